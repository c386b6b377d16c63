"""Two halves of the sandbox without wires, clock or sockets: what the unit tests of the phones play in.

`Box` is a world with its router, phones on a hand-cranked loop, and linked devices that are scripted here.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from random import Random

from tests.sandbox import contract
from tests.sandbox.keys import ID_SIZE, KeyPair, Prekey, SignedPrekey
from tests.sandbox.node import JID, Node, node
from tests.sandbox.phones import content
from tests.sandbox.phones.inbox import Json
from tests.sandbox.phones.phone import Phone
from tests.sandbox.phones.reception import Habits
from tests.sandbox.proto import wa_e2e
from tests.sandbox.router import Router
from tests.sandbox.signal.device import SIGNED_PREKEY_ID, Device
from tests.sandbox.world import Device as Linked
from tests.sandbox.world import World

START = 1_700_000_000.0  # the box's first second


class Box:
    """A world whose time passes only in `run`."""

    def __init__(self, seed: int = 1) -> None:
        self.random = Random(seed)
        self.time = START
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self.world = World(now=lambda: self.time, entropy=self.random.randbytes)
        self.router = Router(self.world)

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        """Stand in for the event loop's `call_later`."""
        heapq.heappush(self._due, (self.time + seconds, next(self._order), work))

    def run(self, seconds: float = 1.0) -> None:
        """Let time pass, doing all that falls due."""
        end = self.time + seconds
        while self._due and self._due[0][0] <= end:
            self.time, _, work = heapq.heappop(self._due)
            work()
        self.time = end

    def phone(self, number: str, name: str = "", habits: Habits | None = None) -> Phone:
        """Make an account with its phone."""
        account = self.world.add_account(number, push_name=name)
        phone = Phone(account, self.router, random=self.random.randbytes, later=self.later, habits=habits or Habits())
        account.phone = phone
        return phone

    def companion(self, phone: Phone, number: int = 1) -> "Companion":
        """Link a scripted device to a phone's account and make it active."""
        companion = Companion(self, phone, number)
        self.router.companions.add(companion.linked)
        self.router.companions.attach(companion.linked, companion)
        self.router.companions.activated(companion.linked)
        return companion


@dataclass(eq=False)
class Companion:
    """A linked device as the client would be: its keys, its session, and what it was sent."""

    box: Box
    phone: Phone
    number: int
    got: list[Node] = field(default_factory=list)
    ended: bool = False

    def __post_init__(self) -> None:
        random = self.box.random.randbytes
        self.device = Device.create(random)
        account = self.box.world.account(self.phone.line.lid)
        assert account is not None
        self.linked = Linked(
            account,
            self.number,
            self.number,
            KeyPair.of(random(32)).public,
            self.device.identity.public,
            self.device.registration,
            SignedPrekey(SIGNED_PREKEY_ID, self.device.signed.public, self.device.signature),
            b"device identity",
        )
        self.upload(20)

    def upload(self, keys: int) -> None:
        """Publish one-time keys."""
        bundles = [self.device.bundle(self.box.random.randbytes) for _ in range(keys)]
        self.linked.prekeys.add(
            Prekey(b.prekey_id, b.prekey) for b in bundles if b.prekey_id is not None and b.prekey is not None
        )

    @property
    def lid(self) -> JID:
        """Its address."""
        return self.linked.lid

    def send(self, stanza: Node, delay: float = 0) -> None:  # noqa: ARG002 - the protocol has it
        """Take a stanza from the server (the session's side)."""
        self.got.append(stanza)

    def end(self, stanza: Node | None = None, linger: float | None = None) -> None:  # noqa: ARG002 - likewise
        """End the session (the session's side)."""
        self.ended = True

    def freeze(self) -> None:
        """Nothing to freeze."""

    def thaw(self) -> None:
        """Nothing to thaw."""

    def of(self, tag: str, **attrs: str) -> list[Node]:
        """What it was sent of one tag, with these attributes."""
        return [s for s in self.got if s.tag == tag and all(s.get(k) == v for k, v in attrs.items())]

    def read(self, stanza: Node) -> wa_e2e.Message:
        """Decrypt a message that it was sent."""
        enc, origin = stanza.need("enc"), stanza.jid("from")
        sender = (self.box.router.lid(origin) or origin).of_device(origin.device)
        plain = self.device.open(sender, enc.get("type"), enc.data, self.box.random.randbytes)
        return content.unpad(plain)

    def write(self, to: JID, text: str, message_id: str, *, peer: bool = False) -> None:
        """Send a text to a chat, or (peer) to the own phone."""
        self.write_message(to, content.text_message(text), message_id, peer=peer)

    def write_message(self, to: JID, message: wa_e2e.Message, message_id: str, *, peer: bool = False) -> None:
        """Send any message, with a copy for the own phone, as the client does."""
        own = self.lid.bare
        if peer:
            stanza = node("message", self._enc(own, message), to=own, id=message_id, type="text", category="peer")
        else:
            entries = [node("to", self._enc(to, message), jid=to)]
            copy = content.device_sent(str(to), message)
            entries.append(node("to", self._enc(own, copy), jid=own))
            identity = node("device-identity", b"device identity")
            stanza = node("message", node("participants", *entries), identity, to=to, id=message_id, type="text")
        self.box.router.submit(self.lid, stanza)

    def _enc(self, to: JID, message: wa_e2e.Message) -> Node:
        if not self.device.has_session(to):
            bundle = self.box.router.bundle(to)
            assert bundle is not None
            self.device.open_session(to, bundle, self.box.random.randbytes)
        sealed = self.device.seal(to, content.pad(message, self.box.random.randbytes))
        return node("enc", sealed.data, v=2, type=sealed.kind)

    def ask(self, origin: Node, attempt: int, keys: contract.Bundle | None = None) -> None:
        """Send a retry receipt for a message that it was sent."""
        message_id = origin.get("id")
        children = [
            node("retry", count=attempt, id=message_id, t=origin.get("t"), v=1),
            node("registration", self.device.registration.to_bytes(4)),
        ]
        if keys is not None:
            children.append(_keys(keys))
        receipt = node("receipt", *children, to=origin.jid("from"), id=message_id, type="retry")
        self.box.router.submit(self.lid, receipt)


def _keys(bundle: contract.Bundle) -> Node:
    """The `<keys>` that a client sends, written out here so that the phone's reader is tested against it."""
    assert bundle.prekey_id is not None
    assert bundle.prekey is not None
    return node(
        "keys",
        node("type", b"\x05"),
        node("identity", bundle.identity),
        node("key", node("id", bundle.prekey_id.to_bytes(ID_SIZE)), node("value", bundle.prekey)),
        node(
            "skey",
            node("id", bundle.signed_id.to_bytes(ID_SIZE)),
            node("value", bundle.signed_key),
            node("signature", bundle.signature),
        ),
        node("device-identity", b"device identity"),
    )


def records(phone: Phone, kind: str) -> list[Json]:
    """What a phone saw of one kind."""
    return [record.as_json() for record in phone.inbox.since(0) if record.kind == kind]
