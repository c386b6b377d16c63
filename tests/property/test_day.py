"""The ring of an account's last day: whatever clocks and shards do, it says what was, and is never larger."""

import binascii
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponton_bridge.coordination.contract import Heartbeat
from ponton_bridge.core.day import BUCKET, BUCKETS, DAY, MEMORY_STEP, Bucket, Day

NOON = 1_795_996_800.0  # the beginning of a bucket
CHARACTERS = 2324  # of the text, whatever is in it


@dataclass(frozen=True)
class Beat:
    """What one heartbeat adds: seconds since the one before (a clock may go back), messages, what waits, MiB."""

    step: float
    messages: int = 0
    waits: int = 0
    mib: int = 60
    restarts: bool = False


BEATS = st.lists(
    st.builds(
        Beat,
        step=st.one_of(
            st.floats(0, 10), st.floats(0, 3 * BUCKET), st.floats(-3 * BUCKET, 0), st.floats(-2 * DAY, 2 * DAY)
        ),
        messages=st.integers(0, 50),
        waits=st.integers(0, 500),
        mib=st.integers(1, 4000),
        restarts=st.booleans(),
    ),
    max_size=60,
)


def play(beats: Sequence[Beat], *, began: float = NOON) -> tuple[Day, dict[int, Bucket], float]:
    """Note the beats; gives the ring, the same as a dictionary by number of the bucket, and the time of the last."""
    day, model, now, sent = Day(), dict[int, Bucket](), began, 0
    for each in beats:
        if each.restarts:
            day, sent = Day.from_text(day.to_text()), 0
        now += each.step
        sent += each.messages
        day.note(Heartbeat(1, "i", now, sent=sent, queue_in=each.waits, rss=each.mib * 1024))
        slot = int(now // BUCKET)
        model = {number: bucket for number, bucket in model.items() if number <= slot}
        was = model.get(slot, Bucket(0, 0, 0))
        model[slot] = Bucket(was.messages + each.messages, max(was.queue, each.waits), max(was.rss, each.mib * 1024))
    return day, model, now


@settings(deadline=None)  # a busy machine is no fault
@given(BEATS)
def test_says_what_was(beats: list[Beat]) -> None:
    """Every bucket of the day before a moment is what the heartbeats in it said, and none is where there were none."""
    day, model, now = play(beats)
    for moment in (now, now + BUCKET, now + DAY / 2, now + 2 * DAY, now - BUCKET):
        slot = int(moment // BUCKET)
        assert [model.get(number) for number in range(slot - BUCKETS, slot)] == day.buckets(moment)


@settings(deadline=None)  # a busy machine is no fault
@given(BEATS, BEATS)
def test_survives_a_restart(before: list[Beat], after: list[Beat]) -> None:
    """What is read from Redis goes on as if nothing had been, but for counts that begin anew; its size is one."""
    first, _, now = play(before)
    text = first.to_text()
    assert CHARACTERS == len(text)
    assert first.buckets(now) == Day.from_text(text).buckets(now)
    restarted = [Beat(each.step, each.messages, each.waits, each.mib, restarts=True) for each in after]
    expected, _, end = play([*before, *restarted])
    assert CHARACTERS == len(expected.to_text())
    assert expected.buckets(end) == Day.from_text(expected.to_text()).buckets(end)


@settings(deadline=None)  # a busy machine is no fault
@given(st.text())
def test_anything_else_is_refused(text: str) -> None:
    """A text that is no ring is a ValueError, not half a ring."""
    with pytest.raises(ValueError, match=r"."):
        Day.from_text(text)


@settings(deadline=None)  # a busy machine is no fault
@given(st.binary(min_size=1742, max_size=1742))
def test_whatever_a_shard_writes_can_be_read(raw: bytes) -> None:
    """A ring of the right size is read, whatever is in it: no figure is larger than what fits."""
    day = Day.from_text(binascii.b2a_base64(raw, newline=False).decode())
    shown = [bucket for bucket in day.buckets(NOON) if bucket]
    assert all(b.messages <= 0xFFFF and b.queue <= 0xFFFF and b.rss <= 0xFFFF * MEMORY_STEP for b in shown)
    assert BUCKETS == len(day.buckets(NOON))


def test_says_when_a_bucket_is_complete() -> None:
    """Only then is there something to write: once in five minutes, of a heartbeat each five seconds."""
    day = Day()
    told = [day.note(Heartbeat(1, "i", NOON + seconds)) for seconds in range(0, BUCKET * 3, 5)]
    assert [True] * 3 == [each for each in told if each]
    assert [0, 60, 120] == [number for number, each in enumerate(told) if each]


def test_counts_once_what_a_process_counts_from_its_start() -> None:
    """Heartbeats give totals; a bucket gives what came in it, both ways."""
    day = Day()
    for seconds, sent, received in ((0, 3, 1), (100, 5, 1), (BUCKET, 5, 4), (BUCKET + 5, 5, 4)):
        day.note(Heartbeat(1, "i", NOON + seconds, sent=sent, received=received, rss=1024))
    assert [6, 3] == [bucket.messages for bucket in day.buckets(NOON + 2 * BUCKET)[-2:] if bucket]


def test_more_than_fits_is_the_most() -> None:
    """A flood of messages, or memory beyond any machine, is shown as the largest figure."""
    day = Day()
    day.note(Heartbeat(1, "i", NOON, sent=10**9, queue_out=10**9, rss=10**12))
    assert Bucket(0xFFFF, 0xFFFF, 0xFFFF * MEMORY_STEP) == day.buckets(NOON + BUCKET)[-1]


def test_a_shard_that_tells_no_memory_has_run() -> None:
    """A bucket is empty only where nobody beat."""
    day = Day()
    day.note(Heartbeat(1, "i", NOON))
    assert Bucket(0, 0, MEMORY_STEP) == day.buckets(NOON + BUCKET)[-1]
    assert [None] * (BUCKETS - 1) == day.buckets(NOON + BUCKET)[:-1]
