"""The linked devices of accounts: added, logged in, gone for now, removed, and struck by faults.

Called by the `router`, by the stages (`linking`, `online`) and by the control API.
"""

import base64
import hashlib
from collections.abc import Iterable

from tests.sandbox.delivery import Delivery
from tests.sandbox.faults import KINDS, Point, last_words
from tests.sandbox.node import JID, Node, node
from tests.sandbox.presence import Presence
from tests.sandbox.world import Account, Device, Sender, Session

REMOVED = last_words("logged_out")
REPLACED = last_words("replaced")


class Companions:
    """The life of linked devices in one world."""

    def __init__(self, delivery: Delivery, presence: Presence) -> None:
        self.delivery, self.world, self._presence = delivery, delivery.world, presence

    def add(self, device: Device) -> None:
        """A device was linked: it gets its place, and who knows the device list learns of it."""
        device.account.devices[device.number] = device
        device.account.next_device = max(device.account.next_device, device.number + 1)
        self.world.record("linked", device)
        if device.account.phone is not None:
            device.account.phone.companion_linked(device.number)
        self._announce("add", device)

    def attach(self, device: Device, session: Session) -> None:
        """A device logged in; an older session of it is told that it was replaced, and ends."""
        if device.session is not None:
            self.world.record("replaced", device)
            device.session.end(REPLACED)
            self.departed(device)
        device.session = session
        self.world.record("logged_in", device)

    def activated(self, device: Device) -> None:
        """A device asks for its stanzas: deliver what waited, and tell the phone that it is there."""
        device.active, device.logins = True, device.logins + 1
        self.world.record("activated", device)
        self.delivery.catch_up(device)
        if device.account.phone is not None:
            device.account.phone.companion_active(device.number, first=device.logins == 1)

    def departed(self, device: Device) -> None:
        """A device's session is gone; what it has not acknowledged waits for the next."""
        device.session, device.active = None, False
        self._presence.set_available(Sender(device.account, device.number), available=False)
        self.world.record("departed", device)

    def remove(self, account: Account, number: int, reason: str, farewell: Node | None = REMOVED) -> None:
        """Forget a device for good; its session hears `farewell` and ends. Nothing happens if it is unknown."""
        device = account.devices.get(number)
        if device is None:
            return
        if device.session is not None:
            device.session.end(farewell)
            self.departed(device)
        del account.devices[number]
        device.outbox.clear()
        self.world.record("unlinked", device)
        if account.phone is not None:
            account.phone.companion_gone(number, reason)
        self._announce("remove", device)

    def strike(self, kind: str, scope: JID | None = None) -> int:
        """Let a live fault act on the sessions in scope (a device, an account, None for all); returns how many.

        Raises ValueError for a kind that is not live.
        """
        if KINDS.get(kind) is not Point.LIVE:
            raise ValueError(f"no live fault is named {kind!r}")
        struck = [device for device in self._online() if scope is None or scope in _names(device)]
        for device in struck:
            self.world.record(f"struck_{kind}", device)
            if kind == "logged_out":
                self.remove(device.account, device.number, "logged out by a fault")
            elif kind == "freeze" and device.session is not None:
                device.session.freeze()
            elif device.session is not None:
                device.session.end(last_words(kind))
                self.departed(device)
        return len(struck)

    def thaw(self) -> None:
        """Let frozen sessions go on."""
        for device in self._online():
            if device.session is not None:
                device.session.thaw()

    def _online(self) -> list[Device]:
        return [d for a in self.world.accounts() for d in a.devices.values() if d.session is not None]

    def _announce(self, change: str, device: Device) -> None:
        """Tell who asked for the device list, and the account's own other devices, that it changed."""
        account = device.account
        jids = [account.lid.of_device(number) for number in (0, *account.devices)]
        dhash = device_hash(jids)
        index = {"key-index": device.key_index}
        entry = node(change, node("device", jid=device.lid, **index), device_hash=dhash)
        for watcher in sorted(account.device_watchers):
            if self.world.account(watcher) is not account:
                self.delivery.to_device(watcher, self.delivery.notification("devices", account.lid, entry))
        listed = node("devices", *(node("device", jid=jid) for jid in jids), dhash=dhash)
        for number in account.devices:
            if number != device.number:
                told = self.delivery.notification("account_sync", account.lid, listed)
                self.delivery.to_device(account.lid.of_device(number), told)


def device_hash(jids: Iterable[JID]) -> str:
    """The hash by which device lists (and the devices of a group's members) are compared."""
    joined = "".join(sorted(jid.hashed for jid in jids)).encode()
    return "2:" + base64.b64encode(hashlib.sha256(joined).digest()[:6]).decode().rstrip("=")


def _names(device: Device) -> tuple[JID, ...]:
    return device.lid, device.pn, device.account.lid, device.account.pn
