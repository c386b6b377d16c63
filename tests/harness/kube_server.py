"""A stand-in for an API server: answers what a test says, remembers what it was asked. For tests of the client."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from kubernetes.client import ApiClient, Configuration
from urllib3 import Retry


@dataclass(slots=True)
class Asked:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass(slots=True)
class KubeServer:
    """Answers in their order (the last one again and again); each is a status and a body."""

    answers: list[tuple[int, Any]] = field(default_factory=lambda: [(200, {})])
    asked: list[Asked] = field(default_factory=list)
    hang: threading.Event | None = None
    port: int = 0

    def client(self) -> ApiClient:
        """Give the library's client for it."""
        settings = Configuration()
        settings.host = f"http://127.0.0.1:{self.port}"
        settings.retries = Retry(0)
        return ApiClient(settings)

    def next(self) -> tuple[int, Any]:
        """Give the next answer."""
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def kube_server(*answers: tuple[int, Any]) -> Iterator[KubeServer]:
    """Run a server on a free port of loopback."""
    state = KubeServer(list(answers) or [(200, {})])

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            state.asked.append(Asked(self.command, self.path, dict(self.headers), body))
            if state.hang:
                state.hang.wait(10)
            code, answer = state.next()
            text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815  # the library's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.port = server.server_port
    thread = threading.Thread(target=lambda: server.serve_forever(0.02), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        if state.hang:
            state.hang.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
