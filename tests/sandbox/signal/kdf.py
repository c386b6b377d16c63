"""The key derivations of Signal's protocol.

All are HKDF (RFC 5869) and HMAC with SHA-256; the labels are libsignal's. Called by the other modules of this
package; `hkdf` also by app state.
"""

import hmac
from collections.abc import Callable
from typing import NamedTuple

from tests.sandbox.keys import KEY_SIZE, KEY_TYPE, KeyPair
from tests.sandbox.signal.errors import InvalidMessage

Random = Callable[[int], bytes]  # os.urandom, or seeded in tests


def untyped(public: bytes) -> bytes:
    """The 32 bytes of a public key out of a message; raises InvalidMessage for anything else."""
    if len(public) != KEY_SIZE + 1 or not public.startswith(KEY_TYPE):
        raise InvalidMessage("not a Curve25519 public key")
    return public[1:]


def generate(random: Random) -> KeyPair:
    """A new key pair."""
    return KeyPair.of(random(KEY_SIZE))


def agree(pair: KeyPair, public: bytes) -> bytes:
    """The X25519 shared secret; raises InvalidMessage for a point of low order, which has none."""
    try:
        return pair.shared(public)
    except ValueError as error:
        raise InvalidMessage("a public key of low order") from error


def hkdf(secret: bytes, info: bytes, size: int, salt: bytes = bytes(KEY_SIZE)) -> bytes:
    """HKDF-SHA256 of `secret`, `size` bytes; without a salt 32 zero bytes, as RFC 5869 has it."""
    extracted = hmac.digest(salt, secret, "sha256")
    block, output = b"", b""
    for counter in range(1, -(-size // KEY_SIZE) + 1):
        block = hmac.digest(extracted, block + info + bytes([counter]), "sha256")
        output += block
    return output[:size]


def first_keys(secrets: bytes) -> tuple[bytes, bytes]:
    """Root key and first chain key from the concatenated X3DH secrets."""
    derived = hkdf(b"\xff" * KEY_SIZE + secrets, b"WhisperText", 2 * KEY_SIZE)
    return derived[:KEY_SIZE], derived[KEY_SIZE:]


def ratchet_step(root: bytes, secret: bytes) -> tuple[bytes, bytes]:
    """The next root key and a new chain key."""
    derived = hkdf(secret, b"WhisperRatchet", 2 * KEY_SIZE, salt=root)
    return derived[:KEY_SIZE], derived[KEY_SIZE:]


def chain_step(chain: bytes) -> tuple[bytes, bytes]:
    """The seed of the chain's present message and the next chain key."""
    return hmac.digest(chain, b"\x01", "sha256"), hmac.digest(chain, b"\x02", "sha256")


class MessageKeys(NamedTuple):
    """What one message is sealed with: AES-256-CBC key and IV, HMAC key."""

    cipher: bytes
    mac: bytes
    iv: bytes

    @classmethod
    def derive(cls, seed: bytes) -> "MessageKeys":
        """The keys that belong to the seed of a chain step."""
        derived = hkdf(seed, b"WhisperMessageKeys", 2 * KEY_SIZE + 16)
        return cls(derived[:KEY_SIZE], derived[KEY_SIZE : 2 * KEY_SIZE], derived[2 * KEY_SIZE :])
