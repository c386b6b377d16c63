"""A Signal device as WhatsApp has them: identity, prekeys and the sessions with every peer device.

The one module of this package that phones call for messages. Synchronous, and picklable (`random` is handed in
with each call that needs it), so that a phone's state can be stored.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.sandbox.contract import Bundle
from tests.sandbox.keys import KEY_TYPE, KeyPair
from tests.sandbox.signal import xeddsa
from tests.sandbox.signal.errors import InvalidMessage, UnknownPrekey, UntrustedBundle
from tests.sandbox.signal.kdf import Random, generate
from tests.sandbox.signal.ratchet import Opening, Ratchet
from tests.sandbox.signal.session import Session, initiate, respond
from tests.sandbox.signal.wire import FirstMessage, RatchetMessage

SIGNED_PREKEY_ID = 1  # never rotated here: nothing lives that long
PREKEY_IDS = 2**24  # ids travel in three bytes
MAX_PREKEYS = 4000  # one-time keys handed out and not yet used; the oldest are forgotten


class Sealed(NamedTuple):
    """An encrypted message: `kind` is pkmsg or msg, `base` names the session that it was written in."""

    kind: str
    data: bytes
    base: bytes


@dataclass(slots=True)
class Device:
    """Keys and sessions of one device; peers are named by any hashable address."""

    identity: KeyPair
    registration: int
    signed: KeyPair
    signature: bytes
    prekeys: dict[int, KeyPair] = field(default_factory=dict)
    sessions: dict[Hashable, Session] = field(default_factory=dict)
    next_prekey: int = 1

    @classmethod
    def create(cls, random: Random) -> "Device":
        """A new device with its own identity."""
        identity, signed = generate(random), generate(random)
        signature = xeddsa.sign(identity.private, KEY_TYPE + signed.public, random(xeddsa.RANDOM_SIZE))
        registration = int.from_bytes(random(2), "big") & 0x3FFF or 1  # 14 bits, not 0: libsignal's range
        return cls(identity, registration, signed, signature)

    def bundle(self, random: Random, device_identity: bytes | None = None) -> Bundle:
        """A bundle with a fresh one-time key."""
        prekey_id, self.next_prekey = self.next_prekey, self.next_prekey % (PREKEY_IDS - 1) + 1
        prekey = self.prekeys[prekey_id] = generate(random)
        if len(self.prekeys) > MAX_PREKEYS:
            del self.prekeys[next(iter(self.prekeys))]
        return Bundle(
            registration=self.registration,
            identity=self.identity.public,
            signed_id=SIGNED_PREKEY_ID,
            signed_key=self.signed.public,
            signature=self.signature,
            prekey_id=prekey_id,
            prekey=prekey.public,
            device_identity=device_identity,
        )

    def has_session(self, peer: Hashable) -> bool:
        """Whether a message to this device can be written without a bundle."""
        return peer in self.sessions

    def current_base(self, peer: Hashable) -> bytes | None:
        """The base key of the session that would be written in, None without one."""
        session = self.sessions.get(peer)
        return session.current.base if session else None

    def open_session(self, peer: Hashable, bundle: Bundle, random: Random) -> None:
        """Start a session on top of what there is; the older ones are archived. Raises UntrustedBundle."""
        if not xeddsa.verify(bundle.identity, KEY_TYPE + bundle.signed_key, bundle.signature):
            raise UntrustedBundle("the signed prekey is not signed by the identity")
        opening = Opening(bundle.prekey_id, bundle.signed_id)
        ratchet = initiate(self.identity, bundle.identity, bundle.signed_key, bundle.prekey, opening, random)
        self.sessions.setdefault(peer, Session()).promote(ratchet)

    def seal(self, peer: Hashable, plain: bytes) -> Sealed:
        """Encrypt in the current session; raises NoSession."""
        ratchet = self.sessions.get(peer, Session()).current
        message = ratchet.seal(plain)
        if ratchet.opening is None:
            return Sealed("msg", message, ratchet.base)
        first = FirstMessage(
            registration=self.registration,
            prekey_id=ratchet.opening.prekey_id,
            signed_id=ratchet.opening.signed_id,
            base=ratchet.base,
            identity=self.identity.public,
            inner=message,
        )
        return Sealed("pkmsg", first.write(), ratchet.base)

    def open(self, peer: Hashable, kind: str, data: bytes, random: Random) -> bytes:
        """Decrypt a `pkmsg` or `msg` of a peer; raises a SignalError and then changes nothing."""
        if kind == "msg":
            return self.sessions.get(peer, Session()).open(RatchetMessage.parse(data), random)
        if kind != "pkmsg":
            raise InvalidMessage(f"no such kind of message: {kind}")
        first = FirstMessage.parse(data)
        message = RatchetMessage.parse(first.inner)
        session = self.sessions.get(peer, Session())
        if (ratchet := session.of_base(first)) is None:
            ratchet = self._answer(first)
            plain = ratchet.open(message, random)
            if first.prekey_id is not None:
                del self.prekeys[first.prekey_id]
        else:
            plain = ratchet.open(message, random)
        session.promote(ratchet)
        self.sessions[peer] = session
        return plain

    def _answer(self, first: FirstMessage) -> Ratchet:
        if first.signed_id != SIGNED_PREKEY_ID:
            raise UnknownPrekey("no such signed prekey")
        prekey = None
        if first.prekey_id is not None and (prekey := self.prekeys.get(first.prekey_id)) is None:
            raise UnknownPrekey("no such one-time prekey")
        return respond(self.identity, self.signed, prekey, first)
