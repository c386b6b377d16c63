"""An HTTP server on a free port of loopback that speaks JSON, for stand-ins: `kube_fake` and `kube_server`."""

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class JsonHandler(BaseHTTPRequestHandler, ABC):
    """Takes requests of every method alike, several on one connection; `take` answers one, mostly with `say`."""

    protocol_version = "HTTP/1.1"

    @abstractmethod
    def take(self, body: Any) -> None:  # noqa: ANN401  # JSON
        """Answer the request whose body this is, None for no body; `command`, `path` and `headers` tell the rest."""

    def say(self, code: int, answer: object) -> None:
        """Send an answer: JSON, or bytes as they are."""
        text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _any(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        self.take(json.loads(self.rfile.read(size)) if size else None)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815  # the library's names

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served(handler: type[JsonHandler]) -> Iterator[int]:
    """Run a server, one thread a connection; gives its port. Requests that hang are not waited for at the end."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=lambda: server.serve_forever(0.02), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
