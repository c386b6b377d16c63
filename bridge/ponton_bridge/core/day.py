"""An account's last day in figures, for the host's plots: messages, what waited, memory, five minutes a bucket. Pure.

The shard notes its heartbeats and leaves the ring in Redis beside them (`coordination.client.shard`); who shows it
reads it there (`coordination.client.door`). It holds counts, and nothing of a conversation.

Time is the heartbeats' own. When a clock is set forward, the buckets between are empty; when it is set back, what lies
in the future is dropped: the ring ends with the newest heartbeat, whatever the clocks did.
"""

from base64 import b64decode, b64encode
from dataclasses import dataclass
from struct import Struct
from typing import Final, Self

from ponton_bridge.coordination.contract import Heartbeat

BUCKET: Final = 300  # seconds
BUCKETS: Final = 288  # complete ones: a day
DAY: Final = BUCKET * BUCKETS  # seconds
MEMORY_STEP: Final = 64  # KiB: 16 bits of it reach 4 GiB
_MOST: Final = 0xFFFF  # what a figure can be; more is shown as that
_BUCKET: Final = Struct(">HHH")
_SLOT: Final = Struct(">Q")
_BYTES: Final = (BUCKETS + 1) * _BUCKET.size  # with the one under way


@dataclass(frozen=True, slots=True)
class Bucket:
    """Five minutes: messages both ways, the most that waited at once, and the most memory in KiB."""

    messages: int
    queue: int
    rss: int


class Day:
    """The ring of one account; `note` what its shard says, `buckets` to read it."""

    def __init__(self) -> None:
        """Nothing is known."""
        self._slot = 0  # of the newest bucket, in BUCKETs since 1970
        self._packed = bytes(_BYTES)  # oldest first; memory 0: no shard ran then
        self._counted = 0  # messages of this process that are in the ring

    def note(self, beat: Heartbeat) -> bool:
        """Take a heartbeat of this process; gives whether it begins another bucket: the one before is complete."""
        before, slot = self._slot, int(beat.time // BUCKET)
        self._packed, self._slot = self._at(slot), slot
        messages, queue, memory = _BUCKET.unpack_from(self._packed, _BYTES - _BUCKET.size)
        counted = beat.sent + beat.received
        now = (
            messages + max(0, counted - self._counted),
            max(queue, beat.queue_in + beat.queue_out),
            max(memory, 1, beat.rss // MEMORY_STEP),
        )
        self._counted = counted
        self._packed = self._packed[: -_BUCKET.size] + _BUCKET.pack(*(min(figure, _MOST) for figure in now))
        return slot != before

    def buckets(self, now: float) -> list[Bucket | None]:
        """Give the complete buckets of the day before `now` (seconds since 1970), oldest first; None: no shard ran."""
        packed = self._at(int(now // BUCKET))
        return [
            Bucket(messages, queue, memory * MEMORY_STEP) if memory else None
            for messages, queue, memory in list(_BUCKET.iter_unpack(packed))[:BUCKETS]
        ]

    def to_text(self) -> str:
        """Pack it for Redis, whose commands we send as JSON: 2,324 characters."""
        return b64encode(_SLOT.pack(self._slot) + self._packed).decode()

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read what `to_text` gave; ValueError when it is something else."""
        raw = b64decode(text, validate=True)
        if _SLOT.size + _BYTES != len(raw):
            raise ValueError("This is no day of an account.")
        made = cls()
        (made._slot,), made._packed = _SLOT.unpack_from(raw), raw[_SLOT.size :]
        return made

    def _at(self, slot: int) -> bytes:
        """Give the ring as it is when the newest bucket is `slot`."""
        turned = min(abs(slot - self._slot), BUCKETS + 1) * _BUCKET.size
        if slot >= self._slot:
            return self._packed[turned:] + bytes(turned)
        return bytes(turned) + self._packed[: _BYTES - turned]
