"""The servers of a gateway beside the cluster, on loopback: a real Redis, a stand-in for Prosody's view."""

import asyncio
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.redis import RedisServer


class _View(http.server.BaseHTTPRequestHandler):
    """The HTTP view of a Prosody that does whatever it is asked, and has a front desk."""

    protocol_version = "HTTP/1.1"
    asked: list[bytes]

    def do_POST(self) -> None:
        """Take anything."""
        self.asked.append(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        self._answer(b"{}")

    def do_GET(self) -> None:
        """Say that the front desk is there."""
        self._answer(b'{"gateway": {"connected": true}, "shards": []}')

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128  # an operator asks for eight at once

    def handle_error(self, *_: object) -> None:
        """Say nothing of those who ask and are killed before the answer."""


@contextmanager
def prosody() -> Iterator[tuple[int, list[bytes]]]:
    """Run the view; gives its port, and the bodies that it was asked with."""
    asked: list[bytes] = []
    server = _Server(("127.0.0.1", 0), type("Here", (_View,), {"asked": asked}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port, asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@contextmanager
def redis(folder: Path) -> Iterator[RedisServer]:
    """Run a Redis below `folder`."""
    place = folder / "redis"
    place.mkdir()
    server = RedisServer(place, {})
    with asyncio.Runner() as runner:
        runner.run(server.start())
        try:
            yield server
        finally:
            runner.run(server.stop())
