"""Bringing stanzas to devices: into the outbox, onto the session if there is an active one, or to the phone.

The one place where something is sent to anybody. Called by the router's parts, the stages and the control API.
"""

from tests.sandbox.faults import Faults
from tests.sandbox.node import JID, SERVER_JID, Node, node
from tests.sandbox.outbox import Waiting
from tests.sandbox.world import Account, Device, Sender, World

KEPT = {"message", "receipt", "notification", "call"}  # tags that a client acknowledges, so they are kept until then
LOW_KEYS = 4  # one-time prekeys left at which a device is asked for more


class Delivery:
    """Delivers into one world, through its fault knobs."""

    def __init__(self, world: World, faults: Faults) -> None:
        self.world, self.faults = world, faults

    def to_device(self, to: JID, stanza: Node) -> None:
        """Deliver to one device by LID or number; 0 is the phone. Unknown devices are recorded, not an error."""
        account = self.world.account(to)
        device = None if account is None else account.devices.get(to.device)
        if account is not None and to.device == 0 and account.phone is not None:
            self.world.record("handed", account.lid, stanza)
            account.phone.receive(stanza)
        elif device is not None:
            self._enqueue(device, stanza)
        else:
            self.world.record("undeliverable", to, stanza)

    def to_account(self, account: Account, stanza: Node, *, but: int | None = None) -> None:
        """Deliver to every device of an account except number `but`, the phone first."""
        for number in (0, *account.devices):
            if number != but:
                self.to_device(account.lid.of_device(number), stanza)

    def answer(self, sender: Sender, stanza: Node) -> None:
        """Write to the device that just sent something (an acknowledgement); never kept."""
        device = sender.device
        if device is None:
            self.to_device(sender.lid, stanza)
        elif device.session is not None:
            self._write(device, stanza, "answered")

    def acknowledged(self, device: Device, tag: str, identifier: str, kind: str = "", *addresses: str) -> None:
        """Strike a stanza out of a device's outbox; a repeated acknowledgement changes nothing."""
        done = device.outbox.acknowledge(tag, identifier, kind, *addresses)
        if done is not None:
            self.world.record("acknowledged", device, done)

    def catch_up(self, device: Device) -> None:
        """Deliver all that waited while a device was away, framed as the client expects it."""
        waiting = list(device.outbox)
        if device.session is None:
            return
        if waiting:
            device.session.send(node("ib", _preview(waiting), from_=SERVER_JID))
        for number, entry in enumerate(waiting):
            self._deliver(device, entry, entry.stanza.with_attrs(offline=str(number)))
        device.session.send(node("ib", node("offline", count=len(waiting)), from_=SERVER_JID))

    def ask_for_keys(self, device: Device) -> None:
        """Ask a device to upload one-time prekeys when exactly the low mark is reached."""
        if len(device.prekeys) == LOW_KEYS:
            count = node("count", value=LOW_KEYS)
            self.to_device(device.lid, self.notification("encrypt", SERVER_JID, count))

    def notification(self, kind: str, origin: JID, *content: Node, **attrs: str | JID) -> Node:
        """A server notification with a fresh id."""
        return node("notification", *content, type=kind, from_=origin, id=self.fresh_id(), t=self.seconds(), **attrs)

    def fresh_id(self) -> str:
        """An id for a stanza that the server makes itself."""
        return self.world.entropy(8).hex().upper()

    def seconds(self) -> int:
        """Now, as stanzas say it."""
        return int(self.world.now())

    def _enqueue(self, device: Device, stanza: Node) -> None:
        online = device.session is not None and device.active
        if stanza.tag in KEPT:
            entry = device.outbox.put(stanza)
            self.world.record("queued", device, stanza)
            if online:
                self._deliver(device, entry, stanza)
        elif online:
            self._write(device, stanza)

    def _deliver(self, device: Device, entry: Waiting, stanza: Node) -> None:
        if entry.writes:
            self.world.record("redelivered", device)
        if self._write(device, stanza):
            entry.writes += 1

    def _write(self, device: Device, stanza: Node, event: str = "sent") -> bool:
        plan = self.faults.outgoing(stanza, device.lid, device.pn)
        for copy in plan.copies:
            if device.session is not None:
                device.session.send(copy, plan.delay)
                self.world.record(event, device, copy)
        if not plan.copies:
            self.world.record("swallowed", device, stanza)
        return bool(plan.copies)


def _preview(waiting: list[Waiting]) -> Node:
    tags = [entry.stanza.tag for entry in waiting]
    counts = {tag: tags.count(tag) for tag in ("message", "receipt", "notification")}
    return node("offline_preview", count=len(tags), appdata=0, **counts)
