"""A stand-in for an API server: answers what a test says, remembers what it was asked. For tests of the client."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kubernetes.client import ApiClient, Configuration
from urllib3 import Retry

from tests.harness.loopback import JsonHandler, served


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

    class Handler(JsonHandler):
        def take(self, body: Any) -> None:  # noqa: ANN401  # JSON
            state.asked.append(Asked(self.command, self.path, dict(self.headers), body))
            if state.hang:
                state.hang.wait(10)
            self.say(*state.next())

    with served(Handler) as state.port:
        try:
            yield state
        finally:
            if state.hang:
                state.hang.set()
