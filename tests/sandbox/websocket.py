"""The server's side of RFC 6455 as values: handshake answer, frames to bytes, bytes to messages.

Used by the `proxy` for `GET /ws/chat`. No extensions: the client speaks without compression.
"""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
MAX_MESSAGE = 1 << 25  # bytes; a Noise frame has less than 2^24, a message may hold the tail of one and another

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
FIN = 0x80
MASKED = 0x80
LENGTH_16, LENGTH_64 = 126, 127  # values of the 7-bit length that announce a longer one


class WebSocketError(ValueError):
    """The client broke the framing; the connection cannot go on."""


def accept(key: str) -> str:
    """The `Sec-WebSocket-Accept` value that answers a client's key."""
    return base64.b64encode(hashlib.sha1(key.encode() + GUID, usedforsecurity=False).digest()).decode()


def encode(payload: bytes, opcode: int = BINARY) -> bytes:
    """One unmasked, unfragmented frame."""
    size = len(payload)
    if size < LENGTH_16:
        return bytes((FIN | opcode, size)) + payload
    if size < 1 << 16:
        return bytes((FIN | opcode, LENGTH_16)) + size.to_bytes(2) + payload
    return bytes((FIN | opcode, LENGTH_64)) + size.to_bytes(8) + payload


@dataclass(slots=True)
class Decoder:
    """Turns what a client's socket yields, in any slices, into messages `(opcode, payload)`.

    Control frames may come between the fragments of a message and are given at once.
    """

    _buffer: bytearray = field(default_factory=bytearray)
    _fragments: bytearray = field(default_factory=bytearray)
    _opcode: int | None = None  # of the fragmented message under way

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield every message that is complete now; raises `WebSocketError` on a broken one."""
        self._buffer += data
        while (frame := self._frame()) is not None:
            first, payload = frame
            opcode = first & 0x0F
            if opcode >= CLOSE:
                yield opcode, payload
                continue
            if (opcode == CONTINUATION) != (self._opcode is not None):
                raise WebSocketError("a fragment out of order")
            if len(self._fragments) + len(payload) > MAX_MESSAGE:
                raise WebSocketError("a message is too long")
            if first & FIN and self._opcode is None:
                yield opcode, payload
                continue
            kind = self._opcode = opcode if self._opcode is None else self._opcode
            self._fragments += payload
            if first & FIN:
                whole = bytes(self._fragments)
                self._fragments.clear()
                self._opcode = None
                yield kind, whole

    def _frame(self) -> tuple[int, bytes] | None:
        """Cut one whole frame off the buffer: its first byte and its unmasked payload."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, at = buffer[1] & 0x7F, 2
        if size >= LENGTH_16:
            width = 2 if size == LENGTH_16 else 8
            if len(buffer) < at + width:
                return None
            size = int.from_bytes(buffer[at : at + width])
            at += width
        if not buffer[1] & MASKED:
            raise WebSocketError("a client's frame is not masked")
        if size > MAX_MESSAGE:
            raise WebSocketError("a frame is too long")
        if len(buffer) < at + 4 + size:
            return None
        mask, payload = bytes(buffer[at : at + 4]), bytes(buffer[at + 4 : at + 4 + size])
        first = buffer[0]
        del buffer[: at + 4 + size]
        return first, _unmask(payload, mask)


def _unmask(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    repeated = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload) ^ int.from_bytes(repeated)).to_bytes(size)
