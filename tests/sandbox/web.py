"""As much HTTP/1.1 as the sandbox's web server needs: heads, bodies, answers, over asyncio streams.

Used by the `proxy`, before TLS for `CONNECT` and inside it for everything else.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

MAX_HEAD = 16 * 1024  # bytes; the client's upgrade request has about 400
MAX_BODY = 160 << 20  # bytes; WhatsApp's largest ordinary upload is 100 MB, documents go in parts in no client here
PHRASES = {status.value: status.phrase for status in HTTPStatus}


class HttpError(ValueError):
    """The client's request cannot be served; `status` is the answer, after which the connection is closed."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Request(NamedTuple):
    """One request; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def host(self) -> str:
        """The host asked for, without a port."""
        return self.headers.get("host", "").partition(":")[0].lower()

    @property
    def path(self) -> str:
        """The target's path, without the query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The target's query; of repeated names the last counts."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))


class Response(NamedTuple):
    """One answer; the length is added on the wire."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}

    def __bytes__(self) -> bytes:
        phrase = PHRASES.get(self.status, "Unnamed")
        head = f"HTTP/1.1 {self.status} {phrase}\r\nContent-Length: {len(self.body)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        return head.encode() + b"\r\n" + self.body


Handler = Callable[[Request], Awaitable[Response]]  # serves one host below the proxy (media, pictures)


def parse_head(head: bytes) -> Request:
    """Read a request line and headers up to the blank line; raises `HttpError` 400 for anything else."""
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise HttpError(400, "not an HTTP request")
    pairs = [line.partition(":") for line in lines[1:] if line]
    return Request(parts[0], parts[1], {name.strip().lower(): value.strip() for name, _, value in pairs})


async def read_head(reader: asyncio.StreamReader) -> Request | None:
    """The next request's head, or None at the connection's end."""
    try:
        return parse_head(await reader.readuntil(b"\r\n\r\n"))
    except asyncio.IncompleteReadError as end:
        if end.partial:
            raise HttpError(400, "the request ended early") from end
        return None
    except asyncio.LimitOverrunError as long:
        raise HttpError(431, "the request's head is too long") from long


async def read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    """The body that the headers announce, by length or in chunks; empty without either."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return await _read_chunks(reader)
    length = _size(headers.get("content-length", "0"), 10)
    return await reader.readexactly(length)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := _size((await reader.readline()).split(b";")[0].strip().decode("latin-1"), 16):
        body += await reader.readexactly(size)
        if len(body) > MAX_BODY:
            raise HttpError(413, "the body is too long")
        await reader.readline()
    while (await reader.readline()).strip():
        pass  # trailers
    return bytes(body)


def _size(text: str, base: int) -> int:
    try:
        size = int(text, base)
    except ValueError:
        raise HttpError(400, "a length that is no number") from None
    if not 0 <= size <= MAX_BODY:
        raise HttpError(413, "the body is too long")
    return size
