"""The journal's worker under random functions that fail: what callers heard is what is there."""

import asyncio
import shutil
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ponton_bridge.store.errors import StoreFailed, StoreFull
from ponton_bridge.store.journal import Journal
from ponton_bridge.store.opening import open_store
from ponton_bridge.store.worker import JournalWorker

# Each function writes some rows and then: goes well, raises, or wrecks the transaction as a full disk does.
ENDS = st.sampled_from(["well", "well", "well", "raise", "wreck"])
JOBS = st.lists(st.tuples(st.integers(1, 4), ENDS), min_size=1, max_size=60)


class Function:
    """Writes its rows under its number, then ends as told."""

    def __init__(self, number: int, rows: int, end: str) -> None:
        self.number, self.rows, self.end = number, rows, end

    def __call__(self, journal: Journal) -> int:
        """Run in the journal's thread."""
        for row in range(self.rows):
            journal.emit(f"<m job='{self.number}' row='{row}'/>")
        if self.end == "wreck":
            journal.db.rollback()
            raise StoreFull("No space.")
        if self.end == "raise":
            raise LookupError(self.number)
        return self.number


async def play(folder: Path, jobs: list[tuple[int, str]], batch: int, pause: int) -> None:
    """Run all, some at once; then compare what is there with what was heard."""
    worker = JournalWorker(open_store(folder, 1), batch=batch)
    calls: list[asyncio.Task[int]] = []
    for number, (rows, end) in enumerate(jobs):
        calls.append(asyncio.create_task(worker.run(Function(number, rows, end))))
        if number % pause == 0:
            await asyncio.sleep(0)
    heard = await asyncio.gather(*calls, return_exceptions=True)
    stored = await worker.run(lambda journal: journal.outbox(0, 10_000))
    await worker.close()
    expected = []
    for number, ((rows, end), result) in enumerate(zip(jobs, heard, strict=True)):
        if result == number:
            assert end == "well"
            expected += [f"<m job='{number}' row='{row}'/>" for row in range(rows)]
        else:
            assert isinstance(result, StoreFailed if end != "raise" else LookupError | StoreFailed)
    assert expected == [xml for _, xml in stored]
    assert list(range(1, len(stored) + 1)) == [seq for seq, _ in stored]
    if all(end == "well" for _, end in jobs):
        assert list(range(len(jobs))) == heard


@given(JOBS, st.sampled_from([1, 3, 256]), st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_heard_is_stored(jobs: list[tuple[int, str]], batch: int, pause: int) -> None:
    """What was answered is there, in order, once and whole; what was refused has left nothing."""
    folder = Path(tempfile.mkdtemp(prefix="ponton-worker-"))
    try:
        asyncio.run(play(folder, jobs, batch, pause))
    finally:
        shutil.rmtree(folder)
