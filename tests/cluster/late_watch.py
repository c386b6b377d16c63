"""A way to the API server on which watches are late: what they tell comes seconds after it has happened.

For tests of what an operator does on an old view. It speaks HTTP to the operator and HTTPS to the server, hands on
every byte in order, and holds back those of answers to a watch. The operator's own token is handed on as it is.
"""

import asyncio
import contextlib
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import yaml

_CHUNK = 65_536  # bytes
_WAITING = 1_000  # chunks held back on one connection; a full queue slows the server down
_WATCH = re.compile(rb"^GET [^ ]*[?&]watch=true", re.MULTILINE)
_HEAD = re.compile(rb"^(GET|POST|PUT|PATCH|DELETE) [^ ]+ HTTP/1.1\r$", re.MULTILINE)


@dataclass
class LateWatch:
    """The way; `seconds` is how late watches are, and may be changed at any time."""

    kubeconfig: Path
    seconds: float = 0.0
    port: int = 0
    _loop: asyncio.AbstractEventLoop | None = None
    _ready: threading.Event = field(default_factory=threading.Event)
    _end: asyncio.Event | None = None

    def serve(self) -> None:
        """Serve until told to end; for a thread of its own."""
        asyncio.run(self._serve())

    def end(self) -> None:
        """Serve no more."""
        if self._loop and self._end:
            self._loop.call_soon_threadsafe(self._end.set)

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._end.wait()
        server.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = urlsplit(yaml.safe_load(self.kubeconfig.read_text())["clusters"][0]["cluster"]["server"])
        trust = ssl.create_default_context()
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE  # it is the box of this very test, on loopback
        with contextlib.suppress(OSError, asyncio.CancelledError):
            there, to_there = await asyncio.open_connection(target.hostname, target.port, ssl=trust)
            watches = asyncio.Event()
            ways = [
                asyncio.create_task(self._ask(reader, to_there, watches)),
                asyncio.create_task(self._answer(there, writer, watches)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            to_there.close()
        writer.close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, watches: asyncio.Event) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                if _WATCH.search(chunk):
                    watches.set()
                elif _HEAD.search(chunk):
                    watches.clear()
                writer.write(chunk)
                await writer.drain()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, watches: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_WAITING)

        async def hand_on() -> None:
            while True:
                due, chunk = await held.get()
                await asyncio.sleep(due - loop.time())
                writer.write(chunk)
                await writer.drain()
                if not chunk:
                    return

        handing = asyncio.create_task(hand_on())
        try:
            with contextlib.suppress(OSError):
                while chunk := await reader.read(_CHUNK):
                    await held.put((loop.time() + (self.seconds if watches.is_set() else 0.0), chunk))
                await held.put((loop.time(), b""))
                await handing
        finally:
            handing.cancel()


@contextmanager
def late_watch(kubeconfig: Path) -> Iterator[LateWatch]:
    """Run the way to the server that `kubeconfig` names."""
    way = LateWatch(kubeconfig)
    thread = threading.Thread(target=way.serve, daemon=True)
    thread.start()
    assert way._ready.wait(10)
    try:
        yield way
    finally:
        way.end()
        thread.join(10)
