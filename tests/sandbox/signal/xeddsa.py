"""XEdDSA: Ed25519 signatures made and checked with X25519 keys (Signal's XEdDSA specification, revision 1).

Called by the server half (certificate chain, pairing) and by the phones (signed prekeys, device identities).
"""

import hashlib
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from nacl import bindings as sodium

FIELD = 2**255 - 19  # the prime of Curve25519
RANDOM_SIZE = 64  # bytes of fresh randomness that go into each signature
SIGNATURE_SIZE = 64  # bytes
KEY_SIZE = 32  # bytes, without the type byte 05 of Signal's wire format

NONCE_PREFIX = b"\xfe" + b"\xff" * 31  # hash number 1 of the specification
SIGN_BIT = 0x80  # of the last byte: the sign of an Edwards point's x coordinate


def sign(private: bytes, message: bytes, random: bytes) -> bytes:
    """Signs `message` with a clamped X25519 private key.

    `random` is 64 fresh bytes (an argument, so that a test is repeatable). The sign bit of the public point
    is forced to 0, which every known verifier accepts. Raises ValueError for a key or randomness of a wrong
    size.
    """
    if len(private) != KEY_SIZE or len(random) != RANDOM_SIZE:
        raise ValueError("a private key has 32 bytes and the randomness 64")
    scalar, point = _edwards_pair(private)
    nonce = _reduce(hashlib.sha512(NONCE_PREFIX + scalar + message + random).digest())
    commitment: bytes = sodium.crypto_scalarmult_ed25519_base_noclamp(nonce)
    challenge = _reduce(hashlib.sha512(commitment + point + message).digest())
    proof: bytes = sodium.crypto_core_ed25519_scalar_add(
        nonce, sodium.crypto_core_ed25519_scalar_mul(challenge, scalar)
    )
    return commitment + proof


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Tells whether `signature` is that of `message` under an X25519 public key (32 bytes, without 05)."""
    if len(public) != KEY_SIZE or len(signature) != SIGNATURE_SIZE:
        return False
    # libsignal's signers carry the point's sign in the top bit of the last byte, which Ed25519 keeps free.
    plain = signature[:-1] + bytes([signature[-1] & ~SIGN_BIT & 0xFF])
    try:
        _edwards_public(public, signature[-1] & SIGN_BIT).verify(plain, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(maxsize=1024)  # signing keys are few and long-lived; the conversion costs a field inversion
def _edwards_public(public: bytes, sign_bit: int) -> Ed25519PublicKey:
    montgomery = int.from_bytes(public, "little") % 2**255
    y = (montgomery - 1) * pow(montgomery + 1, -1, FIELD) % FIELD
    encoded = bytearray(y.to_bytes(KEY_SIZE, "little"))
    encoded[-1] |= sign_bit
    return Ed25519PublicKey.from_public_bytes(bytes(encoded))


@lru_cache(maxsize=1024)
def _edwards_pair(private: bytes) -> tuple[bytes, bytes]:
    """The reduced Edwards scalar and point of a private key, negated where needed to clear the sign bit."""
    scalar = _reduce(private + bytes(32))  # libsodium's scalar arithmetic wants reduced input
    point: bytes = sodium.crypto_scalarmult_ed25519_base_noclamp(scalar)
    if point[-1] & SIGN_BIT:
        scalar = sodium.crypto_core_ed25519_scalar_negate(scalar)
        point = point[:-1] + bytes([point[-1] & ~SIGN_BIT & 0xFF])
    return scalar, point


def _reduce(number: bytes) -> bytes:
    reduced: bytes = sodium.crypto_core_ed25519_scalar_reduce(number)
    return reduced
