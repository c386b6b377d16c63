"""Binary XML: literal bytes both ways, and what is refused."""

import zlib

import pytest

from tests.sandbox import binary
from tests.sandbox.node import JID, LID, SERVER, SERVER_JID, Node, node
from tests.sandbox.tokens import SINGLE, Dictionaries

SINGLES = ("", "xmlstreamstart", "iq", "id", "type", "result", "s.whatsapp.net", "to", "lid", "ref")
DICTIONARIES = Dictionaries(
    SINGLES + tuple(f"single-{number}" for number in range(len(SINGLES), SINGLE)),
    tuple(tuple(f"double-{table}-{number}" for number in range(256)) for table in range(4)),
)
IQ, ID, TYPE, RESULT, WHATSAPP, TO, LID_TOKEN, REF = 2, 3, 4, 5, 6, 7, 8, 9


def encode(stanza: Node) -> bytes:
    """Write with the small dictionaries."""
    return binary.encode(stanza, DICTIONARIES)


def decode(data: bytes) -> Node:
    """Read with the small dictionaries."""
    return binary.decode(data, DICTIONARIES)


def test_tokens_and_text() -> None:
    """Known words are one byte or two, others are text with a length."""
    stanza = node("iq", id="abc", type="double-2-7")
    assert bytes([0, 248, 5, IQ, ID, 252, 3]) + b"abc" + bytes([TYPE, 238, 7]) == encode(stanza)
    assert stanza == decode(encode(stanza))


def test_content_makes_the_list_even() -> None:
    """A list of even length has content: here bytes, and there children."""
    leaf = bytes([248, 2, REF, 252, 2, 0xFF, 0x00])
    assert bytes([0]) + leaf == encode(node("ref", b"\xff\x00"))
    assert bytes([0, 248, 2, IQ, 248, 1]) + leaf == encode(node("iq", node("ref", b"\xff\x00")))


@pytest.mark.parametrize(
    ("jid", "data"),
    [
        (JID("33612", SERVER), bytes([250, 252, 5]) + b"33612" + bytes([WHATSAPP])),
        (JID("33612", SERVER, 7), bytes([247, 0, 7, 252, 5]) + b"33612"),
        (JID("9", LID, 3), bytes([247, 1, 3, 252, 1]) + b"9"),
        (JID("9", LID), bytes([250, 252, 1]) + b"9" + bytes([LID_TOKEN])),
        (SERVER_JID, bytes([250, 0, WHATSAPP])),
        (JID("9", "hosted", 5), bytes([247, 128, 5, 252, 1]) + b"9"),
    ],
)
def test_addresses(jid: JID, data: bytes) -> None:
    """Addresses are pairs, with a device number the device form; the server has an empty user."""
    stanza = Node("iq", {"to": jid})
    assert bytes([0, 248, 3, IQ, TO]) + data == encode(stanza)
    assert stanza == decode(encode(stanza))


@pytest.mark.parametrize(
    ("size", "head"),
    [(0, "fc00"), (255, "fcff"), (256, "fd000100"), (0xFFFFF, "fd0fffff"), (0x100000, "fe00100000")],
)
def test_lengths_of_bytes(size: int, head: str) -> None:
    """Bytes say their length in one, three or four bytes."""
    data = encode(Node("ref", {}, bytes(size)))
    assert bytes([0, 248, 2, REF]) + bytes.fromhex(head) + bytes(size) == data
    assert bytes(size) == decode(data).content


def test_three_byte_length_uses_twenty_bits() -> None:
    """The high bits of the three-byte length mean nothing."""
    assert b"x" == decode(bytes([0, 248, 2, REF, 253, 0xF0, 0, 1]) + b"x").content


def test_long_lists() -> None:
    """More than 255 children take the longer list header."""
    stanza = node("iq", *(node("ref") for _ in range(256)))
    assert bytes([0, 248, 2, IQ, 249, 1, 0]) == encode(stanza)[:7]
    assert stanza == decode(encode(stanza))
    with pytest.raises(ValueError, match="65536"):
        encode(Node("iq", {}, [node("ref")] * (1 << 16)))


@pytest.mark.parametrize(
    ("packed", "text"),
    [
        (bytes([255, 3, 0x33, 0x61, 0x20]), "336120"),
        (bytes([255, 0x83, 0x33, 0x61, 0x2F]), "33612"),
        (bytes([255, 2, 0x1A, 0xB5]), "1-.5"),
        (bytes([251, 2, 0x3E, 0xB0]), "3EB0"),
        (bytes([251, 0x82, 0x3E, 0xBF]), "3EB"),
        (bytes([255, 0]), ""),
    ],
)
def test_packed_text(packed: bytes, text: str) -> None:
    """Numbers and hexadecimal ids come two characters to the byte, high half first."""
    assert text == decode(bytes([0, 248, 3, IQ, ID]) + packed).get("id")


@pytest.mark.parametrize(
    ("data", "content"),
    [
        (bytes([252, 2]) + b"hi", b"hi"),
        (bytes([RESULT]), b"result"),
        (bytes([237, 9]), b"double-1-9"),
        (bytes([255, 0x83, 0x33, 0x61, 0x2F]), b"33612"),
        (bytes([250, 252, 1]) + b"9" + bytes([LID_TOKEN]), b"9@lid"),
        (bytes([0]), None),
    ],
)
def test_content_of_any_kind_becomes_bytes(data: bytes, content: bytes | None) -> None:
    """The same element's content may come as bytes, token, packed text or address."""
    assert content == decode(bytes([0, 248, 2, REF]) + data).content


def test_empty_attributes_are_left_out() -> None:
    """An attribute with empty text is not written."""
    assert encode(node("iq")) == encode(Node("iq", {"id": ""}))


def test_compressed_stanza() -> None:
    """A frame with the flag is inflated first."""
    stanza = node("iq", node("ref", bytes(500)), id="1")
    packed = bytes([2]) + zlib.compress(encode(stanza)[1:])
    assert stanza == decode(packed)


def test_compressed_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that inflates beyond the limit is refused, not inflated."""
    monkeypatch.setattr(binary, "MAX_PLAIN", 100)
    with pytest.raises(binary.BinaryError, match="too long"):
        decode(bytes([2]) + zlib.compress(bytes(10_000)))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(bytes([0]), id="no list"),
        pytest.param(bytes([0, 248]), id="list without a size"),
        pytest.param(bytes([0, 248, 0]), id="empty list"),
        pytest.param(bytes([0, IQ]), id="token instead of a list"),
        pytest.param(bytes([0, 248, 1, 252, 9]) + b"short", id="text that is cut"),
        pytest.param(bytes([0, 248, 3, IQ, ID]), id="attribute without a value"),
        pytest.param(bytes([0, 248, 1, 240]), id="unknown kind"),
        pytest.param(bytes([0, 248, 1, IQ, 0]), id="bytes after the stanza"),
        pytest.param(bytes([0, 248, 3, IQ, ID, 247, 9, 1, 252, 1]) + b"9", id="unknown domain"),
        pytest.param(bytes([0, 248, 3, IQ, ID, 255, 1, 0xCC]), id="packed character outside the alphabet"),
        pytest.param(bytes([0, 248, 1, 250, 0, WHATSAPP]), id="address as a tag"),
        pytest.param(bytes([2]) + b"not zlib", id="not compressed"),
        pytest.param(bytes([2]) + zlib.compress(b"xxxxxxxxxxxxxxxx")[:-6], id="cut compression"),
        pytest.param(bytes([0]) + bytes([248, 2, IQ, 248, 1]) * 40 + bytes([248, 1, IQ]), id="nested too deep"),
    ],
)
def test_what_is_no_stanza(data: bytes) -> None:
    """Broken bytes are refused with an error of their own kind."""
    with pytest.raises(binary.BinaryError):
        decode(data)


def test_odd_text_is_kept_readable() -> None:
    """Bytes that are no UTF-8 in a name or value do not end the stanza."""
    assert "�" == decode(bytes([0, 248, 3, IQ, ID, 252, 1, 0xFF])).get("id")
