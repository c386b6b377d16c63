"""One chat connection: bytes of a socket on one side, stanzas on the other.

The `proxy` runs it after the upgrade. It takes the client through the handshake, then hands stanzas to the stage
that the client's payload asks for (`linking` or `online`) and writes what that stage sends, collecting what one
turn of the event loop produces into one packet.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tests.sandbox import binary, frames, noise, websocket
from tests.sandbox.keys import KeyPair
from tests.sandbox.node import Node, StanzaError
from tests.sandbox.tokens import Dictionaries
from tests.sandbox.world import World

READ_SIZE = 1 << 16  # bytes
HANDSHAKE_TIMEOUT = 30  # seconds for a client to say who it is; the real one gives up after 20
MAX_UNSENT = 64 << 20  # bytes the client may leave unread; then it is cut off, its outbox keeps the stanzas


class Stage(Protocol):
    """What a connection is for, once the handshake tells."""

    def receive(self, stanza: Node) -> None:
        """Take one stanza; raises `StanzaError` where it lacks what it needs."""

    def late(self, stanza: Node) -> None:
        """Note a stanza that came after the connection was ended; it is not served."""

    def closed(self) -> None:
        """The connection is gone; called once."""


@dataclass(frozen=True, slots=True)
class Wire:
    """What every connection of a server shares; `begin` picks the stage after the handshake."""

    world: World
    identity: noise.Identity
    dictionaries: Dictionaries
    begin: Callable[["Connection", noise.Finished], Stage | None]


class Connection:
    """A client's socket; implements `world.Session` for the stages and the router."""

    def __init__(self, wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._wire, self._reader, self._writer = wire, reader, writer
        self._loop = asyncio.get_running_loop()
        self._messages, self._frames = websocket.Decoder(), frames.Decoder()
        self._handshake = noise.Handshake(wire.identity, KeyPair.of(wire.world.entropy(32)))
        self._step: Callable[[bytes], None] = self._hello
        self._outgoing: noise.Cipher | None = None
        self._incoming: noise.Cipher | None = None
        self._stage: Stage | None = None
        self._unsent: list[bytes] = []
        self._held: deque[tuple[float, Node]] = deque()  # stanzas that a fault delays, with their loop time
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._deadline = self._loop.call_later(HANDSHAKE_TIMEOUT, self.end)
        self.ended = False

    async def run(self) -> None:
        """Serve the socket until either side closes it."""
        try:
            while data := await self._reader.read(READ_SIZE):
                await self._thawed.wait()
                for opcode, message in self._messages.feed(data):
                    self._message(opcode, message)
        except (websocket.WebSocketError, frames.FrameError, noise.HandshakeError, binary.BinaryError):
            self._wire.world.record("broke_protocol")
        finally:
            self.ended = True
            self._deadline.cancel()
            if self._stage is not None:
                self._stage.closed()
            self._writer.close()

    def send(self, stanza: Node, delay: float = 0) -> None:
        """Write a stanza behind all earlier ones, not before `delay` seconds have passed."""
        if self.ended:
            return
        if delay or self._held:
            due = max(self._loop.time() + delay, self._held[-1][0] if self._held else 0)
            self._held.append((due, stanza))
            self._loop.call_at(due, self._release)
        else:
            self._write(stanza)

    def end(self, stanza: Node | None = None, linger: float | None = None) -> None:
        """Write a last stanza and close after `linger` seconds; what the client still says is not heard.

        Without a stanza the socket is cut at once. A frozen connection is cut without its stanza.
        """
        if self.ended:
            return
        if stanza is None or not self._thawed.is_set():
            self.ended = True
            self._thawed.set()
            self._writer.transport.abort()
            return
        self._write(stanza)
        self.ended = True
        pause = self._wire.world.settings.linger if linger is None else linger
        self._loop.call_later(pause, self._writer.close)

    def freeze(self) -> None:
        """Read and write nothing from now on, and leave the socket open."""
        self._thawed.clear()

    def thaw(self) -> None:
        """Go on after `freeze` with what has piled up."""
        self._thawed.set()
        self._flush()

    def _message(self, opcode: int, message: bytes) -> None:
        if opcode == websocket.BINARY:
            for frame in self._frames.feed(message):
                self._step(frame)
        elif opcode == websocket.PING:
            self._queue(websocket.encode(message, websocket.PONG))
        elif opcode == websocket.CLOSE:
            self._queue(websocket.encode(message[:2], websocket.CLOSE))
            self._flush()
            self._writer.close()

    def _hello(self, frame: bytes) -> None:
        self._queue(websocket.encode(frames.encode(self._handshake.answer(frame))))
        self._step = self._finish

    def _finish(self, frame: bytes) -> None:
        done = self._handshake.finish(frame)
        self._incoming, self._outgoing = done.incoming, done.outgoing
        self._step = self._stanza
        self._deadline.cancel()
        self._stage = self._wire.begin(self, done)

    def _stanza(self, frame: bytes) -> None:
        if self._incoming is None:
            return
        stanza = binary.decode(self._incoming.open(frame), self._wire.dictionaries)
        if self._stage is None:
            return
        if self.ended:
            self._stage.late(stanza)
            return
        try:
            self._stage.receive(stanza)
        except StanzaError:
            self._wire.world.record("refused_stanza", None, stanza)

    def _write(self, stanza: Node) -> None:
        if self._outgoing is None:
            raise RuntimeError("a stanza before the handshake's end")
        sealed = self._outgoing.seal(binary.encode(stanza, self._wire.dictionaries))
        self._queue(websocket.encode(frames.encode(sealed)))

    def _release(self) -> None:
        """One held stanza's time has come: there is one timer for each, in their order."""
        _, stanza = self._held.popleft()
        if not self.ended:
            self._write(stanza)

    def _queue(self, data: bytes) -> None:
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(data)

    def _flush(self) -> None:
        if not self._thawed.is_set() or not self._unsent or self._writer.is_closing():
            return
        self._writer.write(b"".join(self._unsent))
        self._unsent.clear()
        if self._writer.transport.get_write_buffer_size() > MAX_UNSENT:
            self._writer.transport.abort()
