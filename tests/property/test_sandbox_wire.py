"""Properties of the wire: whatever is written is read back, in any slices, and nothing else crashes the reader."""

from contextlib import suppress
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.sandbox import binary, frames, websocket
from tests.sandbox.node import JID, Node
from tests.sandbox.tokens import SINGLE, Dictionaries
from tests.unit.sandbox_wire import mask

WORDS = ("", "iq", "id", "type", "to", "from", "s.whatsapp.net", "lid", "g.us", "message", "enc")
DICTIONARIES = Dictionaries(
    WORDS + tuple(f"single-{number}" for number in range(len(WORDS), SINGLE)),
    tuple(tuple(f"double-{table}-{number}" for number in range(256)) for table in range(4)),
)

words = st.one_of(st.sampled_from([*WORDS[1:], "double-0-0", "double-3-255"]), st.text(min_size=1, max_size=20))
users = st.one_of(st.from_regex(r"\A[0-9]{5,15}\Z"), st.text("abcdefghij0123456789-", min_size=1, max_size=12))
jids = st.one_of(
    st.builds(JID, users, st.sampled_from(["s.whatsapp.net", "lid", "g.us", "broadcast"]), st.just(0)),
    st.builds(JID, users, st.sampled_from(sorted(binary.DOMAIN_BYTES)), st.integers(1, 255)),
    st.builds(JID, st.just(""), st.sampled_from(["s.whatsapp.net", "g.us"]), st.just(0)),
)
attrs = st.dictionaries(words, st.one_of(words, jids), max_size=6)
leaves = st.builds(Node, words, attrs, st.one_of(st.none(), st.binary(max_size=300)))
nodes = st.recursive(leaves, lambda inner: st.builds(Node, words, attrs, st.lists(inner, max_size=5)), max_leaves=20)


def slices(data: bytes, cuts: list[int]) -> list[bytes]:
    """The data cut at these places, which may lie outside."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


@given(nodes)
def test_stanzas_survive_the_wire(stanza: Node) -> None:
    """Any stanza is read back as it was written."""
    assert stanza == binary.decode(binary.encode(stanza, DICTIONARIES), DICTIONARIES)


@given(nodes, st.data())
def test_cut_stanzas_are_refused(stanza: Node, data: st.DataObject) -> None:
    """A stanza that ends early anywhere is an error of its own kind, never another."""
    written = binary.encode(stanza, DICTIONARIES)
    cut = data.draw(st.integers(0, len(written) - 1))
    try:
        read = binary.decode(written[:cut], DICTIONARIES)
    except binary.BinaryError:
        return
    assert read != stanza


@given(st.binary(max_size=200))
def test_garbage_is_refused(data: bytes) -> None:
    """Random bytes are a stanza or a typed error."""
    with suppress(binary.BinaryError):
        assert isinstance(binary.decode(data, DICTIONARIES), Node)


@given(nodes, st.integers(0), st.integers(1, 255))
def test_spoiled_stanzas_do_not_crash(stanza: Node, place: int, flip: int) -> None:
    """One spoiled byte makes another stanza or a typed error."""
    written = bytearray(binary.encode(stanza, DICTIONARIES))
    written[place % len(written)] ^= flip
    with suppress(binary.BinaryError):
        assert isinstance(binary.decode(bytes(written), DICTIONARIES), Node)


@given(jids)
def test_addresses_survive_as_text(jid: JID) -> None:
    """An address that is written as text is read back the same."""
    assert jid == JID.parse(str(jid))


@given(st.lists(st.binary(max_size=400), max_size=6), st.lists(st.integers(0), max_size=12), st.booleans())
def test_frames_survive_slicing(bodies: list[bytes], cuts: list[int], routed: bool) -> None:  # noqa: FBT001
    """However a stream of frames is cut, the same bodies come out, with routing data in front or without."""
    routing = frames.ROUTING + frames.encode(b"edge") if routed else b""
    stream = routing + frames.PROLOGUE + b"".join(map(frames.encode, bodies))
    decoder = frames.Decoder()
    assert bodies == [body for part in slices(stream, cuts) for body in decoder.feed(part)]


@given(
    st.lists(st.tuples(st.binary(max_size=70_000), st.binary(min_size=4, max_size=4)), max_size=4),
    st.lists(st.integers(0), max_size=12),
)
def test_messages_survive_slicing(messages: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    """However a client's web socket stream is cut, and whatever it is masked with, the same messages come out."""
    stream = b"".join(mask(payload, key=key) for payload, key in messages)
    decoder = websocket.Decoder()
    read = [message for part in slices(stream, cuts) for message in decoder.feed(part)]
    assert [(websocket.BINARY, payload) for payload, _ in messages] == read


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=5), st.lists(st.booleans(), max_size=5))
def test_fragments_survive_pings(parts: list[bytes], pings: list[bool]) -> None:
    """A message in any number of fragments is joined, with pings between them or not."""
    stream = b""
    for number, part in enumerate(parts):
        stream += mask(part, opcode=0 if number else websocket.BINARY, fin=number == len(parts) - 1)
        if number < len(pings) and pings[number] and number < len(parts) - 1:
            stream += mask(b"?", opcode=websocket.PING)
    read = [message for message in websocket.Decoder().feed(stream) if message[0] != websocket.PING]
    assert [(websocket.BINARY, b"".join(parts))] == read


@given(st.binary(max_size=300))
def test_garbage_in_the_web_socket(data: bytes) -> None:
    """Random bytes are messages or a typed error."""
    with suppress(websocket.WebSocketError):
        assert all(isinstance(payload, bytes) for _, payload in websocket.Decoder().feed(data))
