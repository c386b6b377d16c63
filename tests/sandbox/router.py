"""The network that devices and phones share: one place that knows what each stanza does.

Implements `contract.Network`. The stages submit what linked devices write, the phones what they write themselves;
each kind of stanza has a module of its own, and so have linking, app state and the linked devices' life.
"""

from collections.abc import Callable

from tests.sandbox.appstates import AppStates
from tests.sandbox.companions import Companions
from tests.sandbox.contract import Account as Owner
from tests.sandbox.contract import Bundle, PendingCode, PendingLink
from tests.sandbox.delivery import Delivery
from tests.sandbox.faults import Faults
from tests.sandbox.linking import Lobby
from tests.sandbox.messages import Messages
from tests.sandbox.node import JID, Node, StanzaError
from tests.sandbox.presence import Presence
from tests.sandbox.receipts import Receipts
from tests.sandbox.world import Account, Sender, World


class Router:
    """WhatsApp's servers without their wires. All calls are synchronous and belong on the loop."""

    def __init__(self, world: World, faults: Faults | None = None) -> None:
        self.world = world
        self.faults = Faults() if faults is None else faults
        self.delivery = Delivery(world, self.faults)
        self.messages, self.receipts = Messages(self.delivery), Receipts(self.delivery)
        self.presence, self.states = Presence(self.delivery), AppStates(self.delivery)
        self.companions = Companions(self.delivery, self.presence)
        self.lobby = Lobby(self.delivery, self.companions.add)
        self._rules: dict[str, Callable[[Sender, Node], None]] = {
            "message": self.messages.message,
            "receipt": self.receipts.receipt,
            "ack": self.receipts.ack,
            "presence": self.presence.presence,
            "chatstate": self.presence.chatstate,
            "call": self.presence.call,
            "ib": lambda _sender, _stanza: None,  # sessions and dirty bits concern nobody else
        }

    def submit(self, sender: JID, stanza: Node) -> None:
        """Route a stanza of a device (LID or number; device 0 is the phone); raises `StanzaError` for a bad one."""
        account = self.world.account(sender)
        rule = self._rules.get(stanza.tag)
        if account is None:
            raise StanzaError("a stanza from nobody")
        if rule is None:
            self.world.unimplemented[stanza.tag] += 1
            return
        rule(Sender(account, sender.device), stanza)

    def deliver(self, to: JID, stanza: Node) -> None:
        """Deliver any stanza to one device, as if the server itself had made it."""
        self.delivery.to_device(to, stanza)

    def now(self) -> float:
        """The server's clock, Unix seconds."""
        return self.world.now()

    def bundle(self, device: JID) -> Bundle | None:
        """Take the key bundle of any device, None if it is unknown; a device that runs low is asked for more keys."""
        taken = self.world.bundle(device)
        linked = self.world.device(device)
        if linked is not None:
            self.delivery.ask_for_keys(linked)
        return taken

    def devices(self, user: JID) -> list[int]:
        """The device numbers of an account, the phone's 0 included; empty if it is unknown."""
        account = self.world.account(user)
        return [] if account is None else [0, *account.devices]

    def lid(self, user: JID) -> JID | None:
        """The bare LID behind any address of an account."""
        account = self.world.account(user)
        return None if account is None else account.lid

    def pn(self, user: JID) -> JID | None:
        """The bare number behind any address of an account."""
        account = self.world.account(user)
        return None if account is None else account.pn

    def pending_qr(self, ref: str) -> PendingLink | None:
        """The connection that shows this reference in its code now."""
        return self.lobby.by_ref.get(ref)

    def pending_code(self, account: Owner) -> PendingCode | None:
        """The newest unfinished attempt to link this account by a typed code."""
        return self.lobby.by_number.get(account.pn)

    def next_device(self, account: Owner) -> int:
        """The number (and key index) that the account's next companion will get."""
        return self._own(account).next_device

    def link(self, pending: PendingLink, account: Owner, device: int, container: bytes) -> None:
        """Send pair-success with the phone's container; the outcome comes by `Handset.companion_*`."""
        self.lobby.attempt(pending).link(self._own(account), device, container)

    def primary_hello(self, pending: PendingCode, wrapped_primary: bytes, primary_identity: bytes) -> None:
        """Send the phone's half of the code exchange to the companion."""
        self.lobby.attempt(pending).primary_hello(wrapped_primary, primary_identity)

    def unlink(self, account: Owner, device: int) -> None:
        """Remove a companion: it is told so and forgotten."""
        self.companions.remove(self._own(account), device, "removed by the phone")

    def app_state_patch(self, account: Owner, collection: str, base_version: int, patch: bytes, by: int) -> int | None:
        """Append a patch and announce it to the other devices; the new version, None where the base is old."""
        return self.states.append(self._own(account), collection, base_version, patch, by)

    def _own(self, account: Owner) -> Account:
        found = self.world.account(account.pn)
        if found is None:
            raise KeyError("this account is not of this world")
        return found
