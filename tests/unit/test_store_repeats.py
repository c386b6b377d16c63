"""The journal's memory of what WhatsApp has taken in the last minutes."""

from pathlib import Path

import pytest

from ponton_bridge.store.repeats import REPEAT_SECONDS
from tests.unit.store_kit import Clock, store


@pytest.mark.parametrize(("later", "known"), [(0, True), (REPEAT_SECONDS, True), (REPEAT_SECONDS + 1, False)])
def test_remembers_for_ten_minutes(tmp_path: Path, later: int, known: bool) -> None:  # noqa: FBT001 - a table's column
    """A mark counts for REPEAT_SECONDS, and no longer."""
    clock = Clock()
    with store(tmp_path, clock=clock) as journal:
        journal.note_taken(["a", "b"])
        clock.now += later
        assert known == journal.was_taken(["x", "b"])
        assert not journal.was_taken(["x"])
        assert not journal.was_taken([])


def test_a_mark_counts_from_its_last_message(tmp_path: Path) -> None:
    """The same mark again is remembered from then on."""
    clock = Clock()
    with store(tmp_path, clock=clock) as journal:
        journal.note_taken(["a"])
        clock.now += REPEAT_SECONDS
        journal.note_taken(["a"])
        clock.now += REPEAT_SECONDS
        assert journal.was_taken(["a"])


def test_outlives_the_process(tmp_path: Path) -> None:
    """The next process knows what the last one has sent."""
    with store(tmp_path) as journal:
        journal.note_taken(["a"])
    with store(tmp_path, epoch=2) as journal:
        assert journal.was_taken(["a"])


@pytest.mark.parametrize("jump", [REPEAT_SECONDS + 1, -1])
def test_keeps_nothing_for_ever(tmp_path: Path, jump: int) -> None:
    """Old marks go when a new one comes, also those that a clock put back has left in the future."""
    clock = Clock()
    with store(tmp_path, clock=clock) as journal:
        journal.note_taken(["a", "b"])
        clock.now += jump
        journal.note_taken(["c"])
        assert [("c",)] == journal.db.execute("SELECT mark FROM taken").fetchall()
