"""The bytes of Signal messages and its derivations: round trips, nonsense, and the RFCs' own vectors."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sandbox.keys import KeyPair
from tests.sandbox.signal import kdf
from tests.sandbox.signal.errors import InvalidMessage
from tests.sandbox.signal.wire import MAC_SIZE, FirstMessage, RatchetMessage, write_message

keys = st.binary(min_size=32, max_size=32)
counters = st.integers(0, 2**32 - 1)
sealed = st.binary(max_size=200)


@given(ratchet=keys, counter=counters, previous=counters, text=sealed, mac=st.binary(min_size=8, max_size=8))
def test_a_msg_is_read_as_written(ratchet: bytes, counter: int, previous: int, text: bytes, mac: bytes) -> None:
    """Ratchet key, counter and sealed text come back; what the MAC covers is all before it."""
    written = write_message(ratchet, counter, previous, text)
    message = RatchetMessage.parse(written + mac)
    assert RatchetMessage(ratchet, counter, text, written, mac) == message
    assert MAC_SIZE == len(mac)


@given(
    first=st.builds(
        FirstMessage,
        registration=counters,
        prekey_id=st.none() | counters,
        signed_id=counters,
        base=keys,
        identity=keys,
        inner=sealed,
    )
)
def test_a_pkmsg_is_read_as_written(first: FirstMessage) -> None:
    """All fields come back, with and without a one-time key."""
    assert first == FirstMessage.parse(first.write())


@given(data=st.binary(max_size=120) | st.binary(max_size=120).map(lambda data: b"\x33" + data))
def test_any_bytes_are_a_message_or_invalid(data: bytes) -> None:
    """Bytes from nowhere are read or raise InvalidMessage, never anything else."""
    for kind in (RatchetMessage, FirstMessage):
        with contextlib.suppress(InvalidMessage):
            kind.parse(data)


@pytest.mark.parametrize(
    ("secret", "salt", "info", "size", "expected"),
    [
        (  # RFC 5869, A.1
            "0b" * 22,
            "000102030405060708090a0b0c",
            "f0f1f2f3f4f5f6f7f8f9",
            42,
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (  # RFC 5869, A.2
            bytes(range(0x50)).hex(),
            bytes(range(0x60, 0xB0)).hex(),
            bytes(range(0xB0, 0x100)).hex(),
            82,
            (
                "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
                "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
                "cc30c58179ec3e87c14c01d5c1f3434f1d87"
            ),
        ),
        (  # RFC 5869, A.3: no salt, no info
            "0b" * 22,
            None,
            "",
            42,
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ],
    ids=["A.1", "A.2", "A.3"],
)
def test_derives_as_rfc_5869_does(secret: str, salt: str | None, info: str, size: int, expected: str) -> None:
    """Gives the output of the RFC's test cases."""
    options = {} if salt is None else {"salt": bytes.fromhex(salt)}
    derived = kdf.hkdf(bytes.fromhex(secret), bytes.fromhex(info), size, **options)
    assert expected == derived.hex()


def test_agrees_as_rfc_7748_does() -> None:
    """Gives the public keys and the shared secret of section 6.1, from both sides."""
    alice = KeyPair.of(bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"))
    bob = KeyPair.of(bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"))
    shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    assert "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a" == alice.public.hex()
    assert "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f" == bob.public.hex()
    assert shared == kdf.agree(alice, bob.public).hex() == kdf.agree(bob, alice.public).hex()
