"""Signatures with X25519 keys: the vectors, both sign conventions, and what must be refused."""

import hashlib
import json
from pathlib import Path
from random import Random

import pytest
from nacl import bindings as sodium

from tests.sandbox.keys import KeyPair
from tests.sandbox.signal import xeddsa

VECTORS = json.loads((Path(__file__).parent.parent / "data" / "signal-vectors.json").read_text())
SIGNED = [{name: bytes.fromhex(value) for name, value in vector.items()} for vector in VECTORS["xeddsa"]]


@pytest.mark.parametrize("vector", SIGNED, ids=range(len(SIGNED)))
def test_verifies_what_another_implementation_signed(vector: dict[str, bytes]) -> None:
    """Accepts the signatures of the vectors and no other message under them."""
    assert xeddsa.verify(vector["pub"], vector["message"], vector["signature"])
    assert not xeddsa.verify(vector["pub"], vector["message"] + b"!", vector["signature"])


def test_signs_so_that_it_verifies_for_either_sign_of_the_point() -> None:
    """Signs with keys whose Edwards point is positive and with such whose point has to be negated."""
    random = Random(1)
    signs = set()
    for _ in range(40):
        pair = KeyPair.of(random.randbytes(32))
        signs.add(xeddsa._edwards_pair(pair.private)[0] == xeddsa._reduce(pair.private + bytes(32)))
        signature = xeddsa.sign(pair.private, b"text", random.randbytes(64))
        assert xeddsa.verify(pair.public, b"text", signature)
    assert {True, False} == signs


def test_the_same_randomness_gives_the_same_signature() -> None:
    """Is repeatable with fixed randomness and differs with another."""
    pair = KeyPair.of(bytes(range(32)))
    assert xeddsa.sign(pair.private, b"m", bytes(64)) == xeddsa.sign(pair.private, b"m", bytes(64))
    assert xeddsa.sign(pair.private, b"m", bytes(64)) != xeddsa.sign(pair.private, b"m", b"\1" * 64)


def test_accepts_the_sign_bit_that_libsignal_puts_into_the_signature() -> None:
    """Verifies a signature by the negated key that carries the point's sign in its last byte."""
    random = Random(2)
    pair = KeyPair.of(random.randbytes(32))
    scalar, point = xeddsa._edwards_pair(pair.private)
    negative = sodium.crypto_core_ed25519_scalar_negate(scalar)
    nonce = xeddsa._reduce(random.randbytes(64))
    commitment = sodium.crypto_scalarmult_ed25519_base_noclamp(nonce)
    signed_point = point[:-1] + bytes([point[-1] | xeddsa.SIGN_BIT])
    challenge = xeddsa._reduce(hashlib.sha512(commitment + signed_point + b"m").digest())
    proof = sodium.crypto_core_ed25519_scalar_add(nonce, sodium.crypto_core_ed25519_scalar_mul(challenge, negative))
    signature = bytearray(commitment + proof)
    signature[-1] |= xeddsa.SIGN_BIT
    assert xeddsa.verify(pair.public, b"m", bytes(signature))
    signature[-1] &= ~xeddsa.SIGN_BIT
    assert not xeddsa.verify(pair.public, b"m", bytes(signature))


@pytest.mark.parametrize(
    ("public", "signature"),
    [
        (b"", bytes(64)),
        (bytes(32), b""),
        (bytes(32), bytes(64)),
        ((2**255 - 20).to_bytes(32, "little"), bytes(64)),  # u = -1 has no Edwards point
        (b"\xff" * 32, b"\xff" * 64),
    ],
    ids=["short key", "short signature", "zero", "no such point", "all ones"],
)
def test_refuses_nonsense_without_raising(public: bytes, signature: bytes) -> None:
    """Answers no to keys and signatures that cannot be any."""
    assert not xeddsa.verify(public, b"m", signature)


def test_says_what_a_wrong_size_is() -> None:
    """Raises for a key or randomness of a wrong size instead of signing with something else."""
    with pytest.raises(ValueError, match="32 bytes"):
        xeddsa.sign(bytes(31), b"m", bytes(64))
    with pytest.raises(ValueError, match="64"):
        xeddsa.sign(bytes(32), b"m", bytes(32))
