"""A program's small HTTP view: /metrics for Prometheus, /healthz and /readyz for the kubelet. GET only, no parameters.

Served by the program's own event loop on purpose: a loop that hangs does not answer, and the kubelet restarts it.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

SECONDS: Final = 5.0  # for a whole request
_LINE: Final = 4096  # bytes of a request's head


@dataclass(frozen=True, slots=True)
class Health:
    """What is told. `alive` and `ready` give '' for yes, else why not (it is shown; no names)."""

    metrics: Callable[[], bytes]
    alive: Callable[[], str]
    ready: Callable[[], str]

    async def serve(self, port: int, host: str = "0.0.0.0") -> asyncio.Server:  # noqa: S104  # the kubelet comes from outside
        """Listen. Raises OSError."""
        return await asyncio.start_server(self._answer, host, port, limit=_LINE)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                code, kind, body = self._page(head.split(b"\r\n", 1)[0].decode("latin-1").split(" "))
                writer.write(
                    f"HTTP/1.1 {code}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
                    "Connection: close\r\n\r\n".encode()
                    + body
                )
                await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    def _page(self, line: list[str]) -> tuple[str, str, bytes]:
        text = "text/plain; charset=utf-8"
        if line[0] != "GET":
            return "405 Method Not Allowed", text, b"GET only\n"
        path = line[1].partition("?")[0] if len(line) > 1 else ""
        if path == "/metrics":
            return "200 OK", "text/plain; version=0.0.4; charset=utf-8", self.metrics()
        if path not in {"/healthz", "/readyz"}:
            return "404 Not Found", text, b"/metrics, /healthz, /readyz\n"
        wrong = self.alive() if path == "/healthz" else self.ready()
        return ("503 Service Unavailable", text, f"{wrong}\n".encode()) if wrong else ("200 OK", text, b"ok\n")
