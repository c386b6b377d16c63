"""The two messages of a Signal session as bytes: `msg` and `pkmsg`.

A version byte, a protobuf message of a few fields (written by hand: they are all varints and byte strings) and,
for `msg`, eight bytes of MAC. Called by `ratchet` and `device`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from tests.sandbox.keys import KEY_TYPE
from tests.sandbox.signal.errors import InvalidMessage
from tests.sandbox.signal.kdf import untyped

VERSION = b"\x33"  # version 3, written by a peer that speaks 3; only the high half is checked
MAC_SIZE = 8  # bytes
MAX_VARINT = 10  # bytes, protobuf's own limit
COUNTER_LIMIT = 2**32

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # protobuf wire types


@dataclass(frozen=True, slots=True)
class RatchetMessage:
    """A `msg`: 05+ratchet key, counter, previous counter, sealed text. `signed` is what its MAC covers."""

    ratchet: bytes
    counter: int
    sealed: bytes
    signed: bytes
    mac: bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a whole `msg`; raises InvalidMessage."""
        body = _body(data[:-MAC_SIZE])
        return cls(
            ratchet=untyped(_bytes(body, 1)),
            counter=_number(body, 2, default=0),
            sealed=_bytes(body, 4),
            signed=data[:-MAC_SIZE],
            mac=data[-MAC_SIZE:],
        )


def write_message(ratchet: bytes, counter: int, previous: int, sealed: bytes) -> bytes:
    """A `msg` up to its MAC. Counters of 0 are written: libsignal's reader wants them present."""
    return VERSION + _field(1, KEY_TYPE + ratchet) + _field(2, counter) + _field(3, previous) + _field(4, sealed)


@dataclass(frozen=True, slots=True)
class FirstMessage:
    """A `pkmsg`: a `msg` in `inner` with all that its receiver needs to open the session. Has no own MAC."""

    registration: int
    prekey_id: int | None
    signed_id: int
    base: bytes
    identity: bytes
    inner: bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a whole `pkmsg`; raises InvalidMessage."""
        body = _body(data)
        prekey_id = body.get(1)
        if isinstance(prekey_id, bytes):
            raise InvalidMessage("a prekey id is a number")
        return cls(
            registration=_number(body, 5, default=0),
            prekey_id=prekey_id,
            signed_id=_number(body, 6),
            base=untyped(_bytes(body, 2)),
            identity=untyped(_bytes(body, 3)),
            inner=_bytes(body, 4),
        )

    def write(self) -> bytes:
        """The bytes of this `pkmsg`."""
        return (
            VERSION
            + (b"" if self.prekey_id is None else _field(1, self.prekey_id))
            + _field(2, KEY_TYPE + self.base)
            + _field(3, KEY_TYPE + self.identity)
            + _field(4, self.inner)
            + _field(5, self.registration)
            + _field(6, self.signed_id)
        )


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return bytes([number << 3 | _VARINT]) + _varint(value)
    return bytes([number << 3 | _BYTES]) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _body(data: bytes) -> dict[int, int | bytes]:
    if len(data) < 1 or data[0] >> 4 != VERSION[0] >> 4:
        raise InvalidMessage("not version 3")
    try:
        return dict(_fields(data))
    except IndexError:
        raise InvalidMessage("cut short") from None


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at, end = 1, len(data)
    while at < end:
        tag, at = _read_varint(data, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _read_varint(data, at)
            yield tag >> 3, value
            continue
        if kind == _BYTES:
            size, at = _read_varint(data, at)
        elif kind in {_FIXED64, _FIXED32}:
            size = 8 if kind == _FIXED64 else 4
        else:
            raise InvalidMessage("unknown wire type")
        if at + size > end:
            raise InvalidMessage("cut short")
        yield tag >> 3, data[at : at + size]
        at += size


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for step in range(MAX_VARINT):
        byte = data[at + step]
        value |= (byte & 0x7F) << (7 * step)
        if byte < 0x80:  # the continuation bit is clear
            return value, at + step + 1
    raise InvalidMessage("a number without end")


def _bytes(body: dict[int, int | bytes], number: int) -> bytes:
    value = body.get(number)
    if not isinstance(value, bytes):
        raise InvalidMessage(f"field {number} is missing")
    return value


def _number(body: dict[int, int | bytes], number: int, default: int | None = None) -> int:
    value = body.get(number, default)
    if not isinstance(value, int) or value >= COUNTER_LIMIT:
        raise InvalidMessage(f"field {number} is missing or too large")
    return value
