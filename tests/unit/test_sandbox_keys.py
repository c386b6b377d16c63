"""Key pairs and one-time keys."""

import pytest

from tests.sandbox.keys import KeyPair, OneTimeKeys, Prekey

# RFC 7748, section 6.1.
ALICE = bytes.fromhex("77076d0a7318a57d3c16c17251b26645c6db0bffa9a31bcdc4a7b4e7f5d2a8e1")
BOB = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")


def prekey(number: int) -> Prekey:
    """A recognisable one-time key."""
    return Prekey(number, bytes((number % 256,)) * 32)


def test_bob_of_the_standard() -> None:
    """The public key belongs to the private one as RFC 7748 has it."""
    bob = KeyPair.of(BOB)
    assert "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f" == bob.public.hex()


def test_both_sides_share_a_secret() -> None:
    """Both sides come to the same secret."""
    alice, bob = KeyPair.of(ALICE), KeyPair.of(BOB)
    assert alice.shared(bob.public) == bob.shared(alice.public)


def test_private_keys_are_clamped() -> None:
    """Any random bytes become a valid scalar: low three bits and the top bit clear, the second highest set."""
    for random in (bytes(32), b"\xff" * 32):
        private = KeyPair.of(random).private
        assert (0, 0x40) == (private[0] & 7, private[31] & 0xC0)


def test_key_of_low_order_has_no_secret() -> None:
    """A peer's key of low order is an error, not a secret of zeros."""
    with pytest.raises(ValueError, match="computing"):
        KeyPair.of(ALICE).shared(bytes(32))


def test_keys_are_handed_out_once() -> None:
    """Each key is handed out once, oldest first, and then there are none."""
    keys = OneTimeKeys()
    keys.add(map(prekey, (5, 6, 0xFFFFFF)))
    assert 3 == len(keys)
    assert [prekey(5), prekey(6), prekey(0xFFFFFF), None] == [keys.take() for _ in range(4)]
    assert 0 == len(keys)


def test_refill_follows_what_is_left() -> None:
    """A refill does not bring back what was handed out, and keeps what was not."""
    keys = OneTimeKeys()
    keys.add(map(prekey, range(3)))
    keys.take()
    keys.add(map(prekey, range(10, 12)))
    assert [prekey(number) for number in (1, 2, 10, 11)] == list(iter(keys.take, None))


def test_uploads_are_bounded() -> None:
    """What goes beyond the limit is left out."""
    keys = OneTimeKeys()
    keys.add(prekey(number) for number in range(OneTimeKeys.LIMIT + 10))
    assert OneTimeKeys.LIMIT == len(keys)


def test_upload_is_one_bytes_object() -> None:
    """An upload of 812 keys costs 35 bytes a key."""
    keys = OneTimeKeys()
    keys.add(prekey(number) for number in range(812))
    assert 812 * 35 == len(keys.records)
