"""Framing inside the web socket and the web socket's own framing."""

import pytest

from tests.sandbox import frames, websocket
from tests.unit.sandbox_wire import mask


def bytewise(data: bytes) -> list[bytes]:
    """The same bytes, one at a time."""
    return [bytes((byte,)) for byte in data]


def test_prologue_then_frames() -> None:
    """The prologue is dropped, then every body comes out."""
    decoder = frames.Decoder()
    assert [] == list(decoder.feed(b"WA\x06"))
    assert not decoder.greeted
    assert [b"one", b""] == list(decoder.feed(b"\x03\x00\x00\x03one\x00\x00\x00"))
    assert decoder.greeted


def test_frames_in_slices() -> None:
    """A frame may be cut anywhere."""
    decoder = frames.Decoder()
    data = frames.PROLOGUE + frames.encode(b"first") + frames.encode(b"second")
    assert [b"first", b"second"] == [body for part in bytewise(data) for body in decoder.feed(part)]


def test_routing_data_is_skipped() -> None:
    """What some clients say before the prologue is dropped, also in slices."""
    data = b"ED\x00\x01\x00\x00\x04edge" + frames.PROLOGUE + frames.encode(b"body")
    decoder = frames.Decoder()
    assert [b"body"] == [body for part in bytewise(data) for body in decoder.feed(part)]


@pytest.mark.parametrize("greeting", [b"WA\x05\x03", b"WA\x06\x02", b"GET /", b"EDGE"])
def test_foreign_greeting(greeting: bytes) -> None:
    """Another protocol, or another version or dictionary of it, is refused."""
    with pytest.raises(frames.FrameError):
        list(frames.Decoder().feed(greeting))


def test_foreign_greeting_is_refused_at_its_first_byte() -> None:
    """Nothing is waited for that cannot become the prologue."""
    with pytest.raises(frames.FrameError):
        list(frames.Decoder().feed(b"X"))


def test_body_has_a_limit() -> None:
    """A body that the length cannot say is refused when it is written."""
    with pytest.raises(ValueError, match="16 MiB"):
        frames.encode(bytes(frames.MAX_FRAME))


def test_accept_value_of_the_standard() -> None:
    """The answer to the key of RFC 6455's example is the example's."""
    assert "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" == websocket.accept("dGhlIHNhbXBsZSBub25jZQ==")


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, "8200"),
        (5, "8205"),
        (125, "827d"),
        (126, "827e007e"),
        (65535, "827effff"),
        (65536, "827f0000000000010000"),
    ],
)
def test_server_frames(size: int, head: str) -> None:
    """A server's frame is unmasked and says its length in the shortest form."""
    assert bytes.fromhex(head) + bytes(size) == websocket.encode(bytes(size))


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 125, 126, 65535, 65536, 100_000])
def test_client_frames(size: int) -> None:
    """A client's frame of any size is unmasked."""
    payload = bytes(at % 251 for at in range(size))
    assert [(websocket.BINARY, payload)] == list(websocket.Decoder().feed(mask(payload)))


def test_client_frames_in_slices() -> None:
    """Frames may be cut anywhere, and several may come at once."""
    data = mask(b"a" * 130) + mask(b"", opcode=websocket.PING) + mask(b"b")
    decoder = websocket.Decoder()
    expected = [(websocket.BINARY, b"a" * 130), (websocket.PING, b""), (websocket.BINARY, b"b")]
    assert expected == [message for part in bytewise(data) for message in decoder.feed(part)]
    assert expected == list(websocket.Decoder().feed(data))


def test_fragments_are_joined() -> None:
    """Fragments become one message; a control frame between them comes at once."""
    decoder = websocket.Decoder()
    first = list(decoder.feed(mask(b"ab", fin=False) + mask(b"?", opcode=websocket.PING)))
    assert [(websocket.PING, b"?")] == first
    assert [] == list(decoder.feed(mask(b"cd", opcode=0, fin=False)))
    assert [(websocket.BINARY, b"abcdef")] == list(decoder.feed(mask(b"ef", opcode=0)))
    assert [(websocket.BINARY, b"next")] == list(decoder.feed(mask(b"next")))


def test_empty_first_fragment() -> None:
    """A message may begin with an empty fragment."""
    decoder = websocket.Decoder()
    assert [] == list(decoder.feed(mask(b"", fin=False)))
    assert [(websocket.BINARY, b"x")] == list(decoder.feed(mask(b"x", opcode=0)))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(mask(b"x", opcode=0), id="continuation of nothing"),
        pytest.param(mask(b"a", fin=False) + mask(b"b"), id="new message inside a message"),
        pytest.param(websocket.encode(b"x"), id="unmasked"),
        pytest.param(b"\x82\xff" + (1 << 40).to_bytes(8), id="endless"),
    ],
)
def test_broken_framing(data: bytes) -> None:
    """A client that breaks the framing is refused."""
    with pytest.raises(websocket.WebSocketError):
        list(websocket.Decoder().feed(data))


def test_fragmented_message_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fragments cannot pile up beyond the limit of a message."""
    monkeypatch.setattr(websocket, "MAX_MESSAGE", 100)
    decoder = websocket.Decoder()
    assert [] == list(decoder.feed(mask(bytes(60), fin=False)))
    with pytest.raises(websocket.WebSocketError, match="too long"):
        list(decoder.feed(mask(bytes(60), opcode=0)))
