"""The double ratchet: one session's keys, and how a message moves them.

A `Ratchet` is the state between two devices since one X3DH agreement. Called by `session`, which keeps several of
them. Whatever fails leaves the state as it was: new keys are committed only after MAC and padding were right.
"""

import hmac
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from tests.sandbox.keys import KEY_TYPE, KeyPair
from tests.sandbox.signal.errors import InvalidMessage, RepeatedCounter, TooFarAhead
from tests.sandbox.signal.kdf import MessageKeys, Random, agree, chain_step, generate, ratchet_step
from tests.sandbox.signal.wire import MAC_SIZE, RatchetMessage, write_message

MAX_SKIPPED = 2000  # message keys kept, and steps taken ahead, per chain; libsignal's figure
MAX_RECEIVING = 5  # receiving chains kept per session; libsignal's figure

_PADDING = PKCS7(128)


@dataclass(slots=True)
class Chain:
    """A chain key and the counter of the message that it makes next."""

    key: bytes
    counter: int = 0


@dataclass(slots=True)
class ReceivingChain:
    """The peer's chain under one of its ratchet keys, with the seeds of counters that were stepped over."""

    ratchet: bytes
    key: bytes
    counter: int = 0
    skipped: dict[int, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class Opening:
    """What a sender repeats in every `pkmsg` until the peer has answered."""

    prekey_id: int | None
    signed_id: int


@dataclass(slots=True)
class Ratchet:
    """One session. `base` is the initiator's base key, by which both sides know the session."""

    identity: bytes
    peer: bytes
    base: bytes
    root: bytes
    own: KeyPair
    sending: Chain
    receiving: list[ReceivingChain] = field(default_factory=list)
    previous: int = 0
    opening: Opening | None = None

    def knows(self, ratchet: bytes) -> bool:
        """Whether a message with this ratchet key was read in this session before."""
        return any(chain.ratchet == ratchet for chain in self.receiving)

    def seal(self, plain: bytes) -> bytes:
        """The next `msg` of the sending chain."""
        seed, following = chain_step(self.sending.key)
        keys = MessageKeys.derive(seed)
        encryptor = Cipher(algorithms.AES256(keys.cipher), modes.CBC(keys.iv)).encryptor()
        padder = _PADDING.padder()
        sealed = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
        text = write_message(self.own.public, self.sending.counter, self.previous, sealed)
        self.sending = Chain(following, self.sending.counter + 1)
        return text + _mac(keys, self.identity, self.peer, text)

    def open(self, message: RatchetMessage, random: Random) -> bytes:
        """The plaintext of a message of the peer.

        Raises InvalidMessage (no message of this session), RepeatedCounter or TooFarAhead; the state is then as
        it was before. `random` gives the next own ratchet key where the peer shows a new one.
        """
        chain = next((c for c in self.receiving if c.ratchet == message.ratchet), None)
        if chain is not None:
            key, seed, skipped = _advance(chain, message.counter)
            plain = self._unseal(message, seed)
            _settle(chain, key, message.counter, skipped)
        else:
            root, chain_key = ratchet_step(self.root, agree(self.own, message.ratchet))
            chain = ReceivingChain(message.ratchet, chain_key)
            key, seed, skipped = _advance(chain, message.counter)
            plain = self._unseal(message, seed)
            _settle(chain, key, message.counter, skipped)
            self._turn(root, chain, random)
        self.opening = None
        return plain

    def _turn(self, root: bytes, chain: ReceivingChain, random: Random) -> None:
        """Take the peer's new chain into use and answer with a new own ratchet key."""
        self.receiving = [chain, *self.receiving][:MAX_RECEIVING]
        self.own = generate(random)
        self.root, sending = ratchet_step(root, agree(self.own, chain.ratchet))
        self.previous = max(self.sending.counter - 1, 0)
        self.sending = Chain(sending)

    def _unseal(self, message: RatchetMessage, seed: bytes) -> bytes:
        keys = MessageKeys.derive(seed)
        if not hmac.compare_digest(message.mac, _mac(keys, self.peer, self.identity, message.signed)):
            raise InvalidMessage("the MAC is not of this session")
        decryptor = Cipher(algorithms.AES256(keys.cipher), modes.CBC(keys.iv)).decryptor()
        unpadder = _PADDING.unpadder()
        try:
            padded = decryptor.update(message.sealed) + decryptor.finalize()
            return unpadder.update(padded) + unpadder.finalize()
        except ValueError as error:
            raise InvalidMessage("the padding is broken") from error


def _advance(chain: ReceivingChain, counter: int) -> tuple[bytes, bytes, dict[int, bytes]]:
    """Chain key after `counter`, seed of `counter`, seeds stepped over; changes nothing."""
    if counter < chain.counter:
        if (seed := chain.skipped.get(counter)) is None:
            raise RepeatedCounter("the key of this counter was used")
        return chain.key, seed, {}
    if counter - chain.counter > MAX_SKIPPED:
        raise TooFarAhead("too many messages are missing before this one")
    key, skipped = chain.key, {}
    for missing in range(chain.counter, counter):
        skipped[missing], key = chain_step(key)
    seed, key = chain_step(key)
    return key, seed, skipped


def _settle(chain: ReceivingChain, key: bytes, counter: int, skipped: dict[int, bytes]) -> None:
    """Commit what `_advance` found out."""
    chain.key = key
    chain.skipped.pop(counter, None)
    chain.skipped |= skipped
    for oldest in list(chain.skipped)[: len(chain.skipped) - MAX_SKIPPED]:
        del chain.skipped[oldest]
    chain.counter = max(chain.counter, counter + 1)


def _mac(keys: MessageKeys, sender: bytes, receiver: bytes, text: bytes) -> bytes:
    covered = KEY_TYPE + sender + KEY_TYPE + receiver + text
    return hmac.digest(keys.mac, covered, "sha256")[:MAC_SIZE]
