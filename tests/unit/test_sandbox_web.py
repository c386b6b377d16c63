"""HTTP/1.1 as far as the sandbox speaks it."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.sandbox import web


def stream(data: bytes, limit: int = web.MAX_HEAD) -> asyncio.StreamReader:
    """A reader over bytes that have all arrived."""
    reader = asyncio.StreamReader(limit=limit)
    reader.feed_data(data)
    reader.feed_eof()
    return reader


def chunked(*chunks: bytes, trailers: bytes = b"") -> bytes:
    """A body in chunks."""

    def parts() -> Iterator[bytes]:
        for chunk in chunks:
            yield b"%x;note=x\r\n%s\r\n" % (len(chunk), chunk)
        yield b"0\r\n" + trailers + b"\r\n"

    return b"".join(parts())


def test_head_is_parsed() -> None:
    """Method, target, host, path and query come apart; header names lose their case."""
    request = web.parse_head(
        b"POST /mms/image/a%20b?auth=1&token=x%2B HTTP/1.1\r\nHost: MMG.whatsapp.net:443\r\nX-A:  b \r\n\r\n"
    )
    assert ("POST", "mmg.whatsapp.net", "/mms/image/a%20b") == (request.method, request.host, request.path)
    assert {"auth": "1", "token": "x+"} == request.query
    assert "b" == request.headers["x-a"]


@pytest.mark.parametrize("head", [b"", b"GET /\r\n\r\n", b"GET / SMTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00"])
def test_what_is_no_request(head: bytes) -> None:
    """Anything else is a bad request."""
    with pytest.raises(web.HttpError) as raised:
        web.parse_head(head)
    assert 400 == raised.value.status


async def test_heads_are_read_one_by_one() -> None:
    """Requests follow each other on a connection, and its end is None."""
    reader = stream(b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n")
    seen = [await web.read_head(reader) for _ in range(3)]
    assert ["/1", "/2", None] == [request and request.target for request in seen]


async def test_cut_head() -> None:
    """A connection that ends within a head is a bad request."""
    with pytest.raises(web.HttpError) as raised:
        await web.read_head(stream(b"GET / HT"))
    assert 400 == raised.value.status


async def test_endless_head() -> None:
    """A head beyond the limit is refused before it is whole."""
    reader = asyncio.StreamReader(limit=64)
    reader.feed_data(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 50)
    with pytest.raises(web.HttpError) as raised:
        await web.read_head(reader)
    assert 431 == raised.value.status


async def test_body_by_length() -> None:
    """A body of an announced length is read to its end and no further."""
    reader = stream(b"bodyNEXT")
    assert b"body" == await web.read_body(reader, {"content-length": "4"})
    assert b"NEXT" == await reader.read()


async def test_no_body() -> None:
    """Without a length there is no body."""
    assert b"" == await web.read_body(stream(b"NEXT"), {})


async def test_body_in_chunks() -> None:
    """Chunks are joined, extensions and trailers dropped, and what follows stays unread."""
    reader = stream(chunked(b"one ", b"two", trailers=b"X: y\r\n") + b"NEXT")
    assert b"one two" == await web.read_body(reader, {"transfer-encoding": "Chunked"})
    assert b"NEXT" == await reader.read()


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"content-length": "x"}, 400), ({"content-length": "-1"}, 413), ({"content-length": str(1 << 40)}, 413)],
)
async def test_lengths_that_are_none(headers: dict[str, str], status: int) -> None:
    """A length that is no number, or too great, is refused before anything is read."""
    with pytest.raises(web.HttpError) as raised:
        await web.read_body(stream(b""), headers)
    assert status == raised.value.status


async def test_chunks_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks cannot add up beyond the limit of a body."""
    monkeypatch.setattr(web, "MAX_BODY", 10)
    with pytest.raises(web.HttpError) as raised:
        await web.read_body(stream(chunked(b"12345678", b"12345678")), {"transfer-encoding": "chunked"})
    assert 413 == raised.value.status


async def test_cut_body() -> None:
    """A body that ends early is the connection's end."""
    with pytest.raises(asyncio.IncompleteReadError):
        await web.read_body(stream(b"bo"), {"content-length": "4"})


def test_answer_on_the_wire() -> None:
    """An answer says its status, its length and what headers it has; odd statuses have no phrase of the standard."""
    answer = bytes(web.Response(200, b"\xff\xd8", {"Content-Type": "image/jpeg"}))
    assert b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8" == answer
    assert bytes(web.Response(463)).startswith(b"HTTP/1.1 463 Unnamed\r\n")
