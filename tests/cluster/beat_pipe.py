"""Writes thousands of heartbeats a second to one Redis at little cost, for `played_shards`.

What goes over the wire is what real shards send; only that it is packed once, and that answers are counted rather than
read: a test of ten thousand shards shares two cores with all that it measures.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import urlsplit

from ponton_bridge.coordination.client.wire import RedisAway

ANSWER = 10.0  # seconds for the answers of one page
_CHUNK = 262_144
_END = b"\r\n:"  # begins the last line of each answer of the script (a whole number), and is in no other


def packed(words: Sequence[str | float]) -> bytes:
    r"""Give a command as Redis reads it (RESP).

    >>> packed(["GET", "a"])
    b'*2\r\n$3\r\nGET\r\n$1\r\na\r\n'
    """
    parts = [str(word).encode() for word in words]
    return b"*%d\r\n%s" % (len(parts), b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))


class Pipe:
    """One connection; `url` names a Redis without a password."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._where = str(parts.hostname), parts.port or 6379
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, calls: Sequence[bytes]) -> None:
        """Send packed calls of a script that ends its answer with a number, and wait for all answers.

        Raises RedisAway, also when one of them was refused: then the number does not come.
        """
        try:
            async with asyncio.timeout(ANSWER):
                if self._open is None:
                    self._open = await asyncio.open_connection(*self._where)
                reader, writer = self._open
                writer.write(b"".join(calls))
                found, rest = 0, b""
                while found < len(calls):
                    chunk = await reader.read(_CHUNK)
                    if not chunk:
                        raise ConnectionResetError
                    text = rest + chunk
                    found += text.count(_END)
                    rest = text[len(text) - len(_END) + 1 :]
        except (OSError, TimeoutError) as error:
            await self.close()
            raise RedisAway("unreachable") from error

    async def close(self) -> None:
        """Close the connection; the next call opens another."""
        opened, self._open = self._open, None
        if opened:
            opened[1].close()
            with suppress(OSError):
                await opened[1].wait_closed()
