"""Curve25519 key pairs, and the public keys that a device publishes so that others can write to it.

Used by the handshake, by pairing, by the key queries and by the phones.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Self

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

KEY_SIZE = 32  # bytes of a public or private key, without Signal's type byte
KEY_TYPE = b"\x05"  # Signal's type byte for Curve25519 keys
ID_SIZE = 3  # bytes of a prekey id in stanzas, big-endian


class KeyPair(NamedTuple):
    """An X25519 key pair as raw bytes; the private half is clamped."""

    private: bytes
    public: bytes

    @classmethod
    def of(cls, random: bytes) -> Self:
        """The pair made of 32 random bytes."""
        clamped = bytearray(random)
        clamped[0] &= 0xF8
        clamped[31] = clamped[31] & 0x7F | 0x40
        private = bytes(clamped)
        return cls(private, X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw())

    def shared(self, public: bytes) -> bytes:
        """The Diffie-Hellman secret with a peer's public key; raises ValueError for a key of low order."""
        return X25519PrivateKey.from_private_bytes(self.private).exchange(X25519PublicKey.from_public_bytes(public))


class Prekey(NamedTuple):
    """One public one-time prekey."""

    id: int
    public: bytes


class SignedPrekey(NamedTuple):
    """A public prekey signed by its device's identity key."""

    id: int
    public: bytes
    signature: bytes


@dataclass(slots=True)
class OneTimeKeys:
    """A device's public one-time prekeys, handed out once each.

    Kept as one bytes object of 35-byte records (id and key): 812 keys cost 28 KiB, as a dict five times that.
    """

    records: bytes = b""
    taken: int = 0  # bytes already handed out

    RECORD = ID_SIZE + KEY_SIZE
    LIMIT = 4096  # records kept at most; a client uploads 812 and later 50 at a time

    def __len__(self) -> int:
        return (len(self.records) - self.taken) // self.RECORD

    def add(self, keys: Iterable[Prekey]) -> None:
        """Append a client's upload; what goes beyond the limit is left out."""
        fresh = b"".join(key.id.to_bytes(ID_SIZE) + key.public for key in keys)
        self.records = (self.records[self.taken :] + fresh)[: self.LIMIT * self.RECORD]
        self.taken = 0

    def take(self) -> Prekey | None:
        """Hand out the oldest key, or None when they are used up."""
        record = self.records[self.taken : self.taken + self.RECORD]
        if not record:
            return None
        self.taken += self.RECORD
        return Prekey(int.from_bytes(record[:ID_SIZE]), record[ID_SIZE:])
