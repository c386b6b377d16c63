"""A world without wires or cryptography: sessions and phones that only remember what they were told.

For the tests of the server's rules; tests of the phones themselves use `sandbox_box`.
"""

from dataclasses import dataclass, field
from random import Random

from tests.sandbox.contract import Bundle, PairingRefused, PendingCode
from tests.sandbox.keys import Prekey, SignedPrekey
from tests.sandbox.node import JID, Node, node
from tests.sandbox.queries import Queries
from tests.sandbox.router import Router
from tests.sandbox.world import Account, Device, Sender, World

NOW = 1_700_000_000


@dataclass(eq=False)
class Line:
    """A session that remembers: what was sent, with which delay, how it ended."""

    sent: list[Node] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    ends: list[tuple[Node | None, float | None]] = field(default_factory=list)
    frozen: bool = False

    def send(self, stanza: Node, delay: float = 0) -> None:
        """Remember a stanza."""
        self.sent.append(stanza)
        self.delays.append(delay)

    def end(self, stanza: Node | None = None, linger: float | None = None) -> None:
        """Remember the end."""
        self.ends.append((stanza, linger))

    def freeze(self) -> None:
        """Remember to be frozen."""
        self.frozen = True

    def thaw(self) -> None:
        """Remember to be thawed."""
        self.frozen = False

    def take(self) -> list[str]:
        """What was sent since the last time, rendered."""
        taken = [str(stanza) for stanza in self.sent]
        self.sent.clear()
        return taken


@dataclass(eq=False)
class Handset:
    """A phone that remembers what it was told, and accepts codes unless told otherwise."""

    got: list[Node] = field(default_factory=list)
    told: list[tuple[object, ...]] = field(default_factory=list)
    container: bytes = b"container"
    accepts: bool = True

    def receive(self, stanza: Node) -> None:
        """Remember a stanza."""
        self.got.append(stanza)

    def bundle(self) -> Bundle:
        """A bundle with a one-time key."""
        return Bundle(5, b"I" * 32, 1, b"S" * 32, b"G" * 64, 3, b"O" * 32)

    def companion_linked(self, device: int) -> None:
        """Remember it."""
        self.told.append(("linked", device))

    def companion_refused(self, reason: str) -> None:
        """Remember it."""
        self.told.append(("refused", reason))

    def passkey_prologue(self, payload: bytes, proof: bytes) -> bytes:
        """Remember it, and accept or not."""
        self.told.append(("prologue", payload, proof))
        if not self.accepts:
            raise PairingRefused("not of this phone")
        return b"primary"

    def passkey_nonce(self, nonce: bytes) -> None:
        """Remember it."""
        self.told.append(("nonce", nonce))

    def passkey_request(self, request: bytes) -> bytes:
        """Remember it, and accept or not."""
        self.told.append(("request", request))
        if not self.accepts:
            raise PairingRefused("not of this phone")
        return self.container

    def companion_active(self, device: int, *, first: bool) -> None:
        """Remember it."""
        self.told.append(("active", device, first))

    def companion_gone(self, device: int, reason: str) -> None:
        """Remember it."""
        self.told.append(("gone", device, reason))

    def finish_code(self, pending: PendingCode, wrapped_bundle: bytes, companion_identity: bytes) -> bytes:
        """Accept or refuse."""
        self.told.append(("code", pending.ref, wrapped_bundle, companion_identity))
        if not self.accepts:
            raise PairingRefused("the code is wrong")
        return self.container

    def app_state_changed(self, collection: str, version: int, patch: bytes) -> None:
        """Remember it."""
        self.told.append(("changed", collection, version, patch))

    def take(self) -> list[str]:
        """What was received since the last time, rendered."""
        taken = [str(stanza) for stanza in self.got]
        self.got.clear()
        return taken


class Net:
    """A world with its router and queries, a stopped clock and seeded randomness."""

    def __init__(self) -> None:
        self.time = float(NOW)
        self.world = World(now=lambda: self.time, entropy=Random(11).randbytes)
        self.router = Router(self.world)
        self.queries = Queries(self.router)
        self.faults, self.companions = self.router.faults, self.router.companions

    def account(self, number: str, lid: str, name: str = "") -> tuple[Account, Handset]:
        """An account with a remembering phone."""
        account, phone = self.world.add_account(number, lid, name), Handset()
        account.phone = phone
        return account, phone

    def device(self, account: Account, number: int = 1, *, online: bool = True) -> tuple[Device, Line]:
        """A linked device of an account, logged in and active unless said otherwise; nothing of this is kept."""
        signed = SignedPrekey(1, b"s" * 32, b"g" * 64)
        device = Device(account, number, number + 10, bytes((number,)) * 32, b"i" * 32, 77, signed, b"identity")
        device.prekeys.add([Prekey(1000 + n, b"k" * 32) for n in range(10)])
        line = Line()
        account.devices[number] = device
        account.next_device = max(account.next_device, number + 1)
        if online:
            device.session, device.active, device.logins = line, True, 1
        return device, line

    def ask(self, device: Device, *content: Node, kind: str = "get", xmlns: str, **attrs: str | JID) -> Node | None:
        """Ask a query as a linked device; the answer."""
        query = node("iq", *content, type=kind, xmlns=xmlns, id="q1", to=JID("", "s.whatsapp.net"), **attrs)
        return self.queries.answer(Sender(device.account, device.number), query)

    def asked(self, device: Device, *content: Node, kind: str = "get", xmlns: str, **attrs: str | JID) -> Node:
        """Ask a query that has an answer."""
        answer = self.ask(device, *content, kind=kind, xmlns=xmlns, **attrs)
        assert answer is not None
        assert "q1" == answer.get("id")
        return answer

    @staticmethod
    def sender(device: Device) -> Sender:
        """A linked device as the writer of a stanza."""
        return Sender(device.account, device.number)
