"""The door to the sandbox: an HTTPS proxy that claims to reach WhatsApp and is all of it itself.

`CONNECT host:443` is answered, TLS is ended right here, and then `GET /ws/chat` becomes a chat connection while
every other request goes to the handler of its host. Started by the `server`.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable

from tests.sandbox import web, websocket

CHAT_PATH = "/ws/chat"
HANDSHAKE_TIMEOUT = 30  # seconds for TLS and for the first request; the client gives up after 20

# Runs one chat connection from the first byte after the upgrade to its end.
Chat = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
# Tells how a connection attempt is refused: an HTTP status, 0 for a cut without a word, None to let it in.
Gate = Callable[[], int | None]


class Proxy:
    """`chat` serves web sockets, `handlers` other requests by host name; `papers`, by path, need no tunnel."""

    def __init__(self, context: ssl.SSLContext, chat: Chat, gate: Gate) -> None:
        self.handlers: dict[str, web.Handler] = {}
        self.papers: dict[str, bytes] = {}
        self._context, self._chat, self._gate = context, chat, gate
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen; returns the port (a free one for 0)."""
        self._server = await asyncio.start_server(self._accepted, host, port, limit=web.MAX_HEAD)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Forget a connection; one that ended by a mistake of ours says so loudly."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            context = {"message": "a sandbox connection crashed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(context)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A peer that hangs up, speaks nonsense or does not trust us ends its own connection only.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            try:
                await self._tunnel(reader, writer)
            except web.HttpError as error:
                writer.write(bytes(web.Response(error.status, str(error).encode())))
                await writer.drain()
        writer.close()

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(HANDSHAKE_TIMEOUT):
            request = await web.read_head(reader)
            if request is None:
                return
            if request.method == "GET" and (paper := self.papers.get(request.path)) is not None:
                writer.write(bytes(web.Response(200, paper)))
                await writer.drain()
                return
            if request.method != "CONNECT":
                raise web.HttpError(405, "this is an HTTPS proxy: only CONNECT is served")
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await writer.drain()
            await writer.start_tls(self._context)
            request = await web.read_head(reader)
        while request is not None:
            if request.path == CHAT_PATH:
                await self._upgrade(request, reader, writer)
                return
            body = await web.read_body(reader, request.headers)
            handler = self.handlers.get(request.host, _nothing_here)
            writer.write(bytes(await handler(request._replace(body=body))))
            await writer.drain()
            request = await web.read_head(reader)

    async def _upgrade(self, request: web.Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (status := self._gate()) is not None:
            if status:
                raise web.HttpError(status, "refused by a fault knob")
            writer.transport.abort()
            return
        key = request.headers.get("sec-websocket-key")
        if key is None or request.headers.get("upgrade", "").lower() != "websocket":
            raise web.HttpError(426, "only a web socket lives here")
        answer = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {websocket.accept(key)}"
        writer.write(f"HTTP/1.1 101 Switching Protocols\r\n{answer}\r\n\r\n".encode())
        await self._chat(reader, writer)


async def _nothing_here(_: web.Request) -> web.Response:
    return web.Response(404, b"nothing here")
