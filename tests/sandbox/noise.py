"""The server's side of `Noise_XX_25519_AESGCM_SHA256` as WhatsApp uses it, and its two-step certificate.

Used by the `connection` before anything else. One oddity makes stock Noise libraries fail: the empty payload of
the first message is not hashed. Pure: keys, randomness and dates are arguments.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError

from tests.sandbox import frames
from tests.sandbox.keys import KEY_SIZE, KeyPair
from tests.sandbox.proto import wa_cert, wa_wa6
from tests.sandbox.signal import xeddsa
from tests.sandbox.signal.kdf import hkdf

PATTERN = b"Noise_XX_25519_AESGCM_SHA256".ljust(32, b"\x00")
VALIDITY = 30 * 86400  # seconds that a certificate chain is good for, to both sides of `now`


class HandshakeError(ValueError):
    """The client's handshake cannot be opened, or is none."""


class Cipher:
    """AES-256-GCM with the message number as nonce; one per direction once the handshake is over."""

    def __init__(self, key: bytes) -> None:
        self._aead, self._number = AESGCM(key), 0

    def seal(self, plain: bytes, hashed: bytes = b"") -> bytes:
        """Encrypt the next message."""
        return self._aead.encrypt(self._nonce(), plain, hashed)

    def open(self, sealed: bytes, hashed: bytes = b"") -> bytes:
        """Decrypt the next message; raises `HandshakeError` if it is not the peer's."""
        try:
            return self._aead.decrypt(self._nonce(), sealed, hashed)
        except InvalidTag:
            raise HandshakeError("a message does not decrypt") from None

    def _nonce(self) -> bytes:
        nonce = self._number.to_bytes(12)
        self._number += 1
        return nonce


class Symmetric:
    """The transcript hash and the chaining key of a handshake under way."""

    def __init__(self, prologue: bytes) -> None:
        self._hash = self._chain = PATTERN
        self._cipher = Cipher(PATTERN)
        self.mix(prologue)

    def mix(self, data: bytes) -> None:
        """Add what went over the wire to the transcript."""
        self._hash = sha256(self._hash + data).digest()

    def key(self, secret: bytes) -> None:
        """Add a shared secret; the messages that follow are sealed under it."""
        both = hkdf(secret, b"", 64, self._chain)
        self._chain, self._cipher = both[:32], Cipher(both[32:])

    def seal(self, plain: bytes) -> bytes:
        """Encrypt a field of a handshake message and add it to the transcript."""
        sealed = self._cipher.seal(plain, self._hash)
        self.mix(sealed)
        return sealed

    def open(self, sealed: bytes) -> bytes:
        """Decrypt a field of a handshake message and add it to the transcript."""
        plain = self._cipher.open(sealed, self._hash)
        self.mix(sealed)
        return plain

    def split(self) -> tuple[Cipher, Cipher]:
        """The transport's ciphers: initiator to responder, responder to initiator."""
        both = hkdf(b"", b"", 64, self._chain)
        return Cipher(both[:32]), Cipher(both[32:])


@dataclass(frozen=True, slots=True)
class Identity:
    """The server's static key pair and the certificate chain that vouches for it."""

    static: KeyPair
    chain: bytes

    @classmethod
    def make(cls, root: KeyPair, now: float, entropy: Callable[[int], bytes]) -> "Identity":
        """A fresh identity under a root key; the chain is valid from 30 days before `now` to 30 days after."""
        middle, static = KeyPair.of(entropy(32)), KeyPair.of(entropy(32))
        chain = wa_cert.CertChain()
        _certify(chain.intermediate, root, middle.public, (1, 0), now, entropy(64))
        _certify(chain.leaf, middle, static.public, (2, 1), now, entropy(64))
        return cls(static, chain.SerializeToString())


def _certify(
    slot: wa_cert.CertChain.NoiseCertificate,
    signer: KeyPair,
    public: bytes,
    serials: tuple[int, int],
    now: float,
    random: bytes,
) -> None:
    details = wa_cert.CertChain.NoiseCertificate.Details(
        serial=serials[0],
        issuerSerial=serials[1],
        key=public,
        notBefore=int(now) - VALIDITY,
        notAfter=int(now) + VALIDITY,
    )
    slot.details = details.SerializeToString()
    slot.signature = xeddsa.sign(signer.private, slot.details, random)


@dataclass(frozen=True, slots=True)
class Finished:
    """What a finished handshake proved: the client's static key, its payload, and the transport ciphers."""

    client_static: bytes
    payload: wa_wa6.ClientPayload
    incoming: Cipher
    outgoing: Cipher


class Handshake:
    """One handshake: `answer` the client's first frame, then `finish` with its second."""

    def __init__(self, identity: Identity, ephemeral: KeyPair) -> None:
        self._identity, self._ephemeral = identity, ephemeral
        self._state = Symmetric(frames.PROLOGUE)

    def answer(self, frame: bytes) -> bytes:
        """Take clientHello, return serverHello; raises `HandshakeError`."""
        client = _parse(frame).clientHello.ephemeral
        state = self._state
        state.mix(client)
        state.mix(self._ephemeral.public)
        self._agree(self._ephemeral, client)
        hello = wa_wa6.HandshakeMessage()
        hello.serverHello.ephemeral = self._ephemeral.public
        hello.serverHello.static = state.seal(self._identity.static.public)
        self._agree(self._identity.static, client)
        hello.serverHello.payload = state.seal(self._identity.chain)
        answer: bytes = hello.SerializeToString()
        return answer

    def finish(self, frame: bytes) -> Finished:
        """Take clientFinish; raises `HandshakeError`."""
        message = _parse(frame).clientFinish
        client_static = self._state.open(message.static)
        self._agree(self._ephemeral, client_static)
        opened = self._state.open(message.payload)
        try:
            payload = wa_wa6.ClientPayload.FromString(opened)
        except DecodeError:
            raise HandshakeError("the client's payload is none") from None
        return Finished(client_static, payload, *self._state.split())

    def _agree(self, own: KeyPair, peer: bytes) -> None:
        if len(peer) != KEY_SIZE:
            raise HandshakeError("a key of a wrong size")
        try:
            self._state.key(own.shared(peer))
        except ValueError:
            raise HandshakeError("a key of low order") from None


def _parse(frame: bytes) -> wa_wa6.HandshakeMessage:
    try:
        return wa_wa6.HandshakeMessage.FromString(frame)
    except DecodeError:
        raise HandshakeError("not a handshake message") from None
