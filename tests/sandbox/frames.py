"""Framing inside the web socket: the prologue once, then bodies with a 3-byte big-endian length.

Used by the `connection`. A web socket message may hold a part of a frame or several frames.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

PROLOGUE = b"WA\x06\x03"  # protocol version 6, dictionary version 3; it is mixed into the handshake
ROUTING = b"ED\x00\x01"  # some clients first repeat routing data of an earlier connection: 3-byte length + data
LENGTH_SIZE = 3
MAX_FRAME = 1 << 24  # bytes


class FrameError(ValueError):
    """The client does not speak this protocol, or another version of it."""


def encode(body: bytes) -> bytes:
    """One frame; raises ValueError for a body that is too long."""
    if len(body) >= MAX_FRAME:
        raise ValueError("a frame body has less than 16 MiB")
    return len(body).to_bytes(LENGTH_SIZE) + body


@dataclass(slots=True)
class Decoder:
    """Turns a client's bytes, in any slices, into frame bodies; checks and drops the prologue."""

    greeted: bool = False  # the prologue came
    _buffer: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield every frame body that is complete now; raises `FrameError` for a foreign prologue."""
        self._buffer += data
        if not self.greeted and not self._greet():
            return
        while (body := self._cut(LENGTH_SIZE)) is not None:
            yield body

    def _greet(self) -> bool:
        buffer = self._buffer
        if buffer.startswith(ROUTING) and self._cut(len(ROUTING) + LENGTH_SIZE) is None:
            return False
        if len(buffer) < len(PROLOGUE):
            if not PROLOGUE.startswith(buffer) and not ROUTING.startswith(buffer):
                raise FrameError("not WhatsApp's protocol")
            return False
        if not buffer.startswith(PROLOGUE):
            raise FrameError("not WhatsApp's protocol, or another version of it")
        del buffer[: len(PROLOGUE)]
        self.greeted = True
        return True

    def _cut(self, head: int) -> bytes | None:
        """Take a body whose length is in the last three of the first `head` bytes, or None if it is not whole."""
        buffer = self._buffer
        if len(buffer) < head:
            return None
        end = head + int.from_bytes(buffer[head - LENGTH_SIZE : head])
        if len(buffer) < end:
            return None
        body = bytes(buffer[head:end])
        del buffer[:end]
        return body
