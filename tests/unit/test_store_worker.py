"""The journal's thread: one transaction for what is queued, each function on its own, nothing silent."""

import asyncio
import os
import random
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from ponton_bridge.store.errors import StoreCorrupt, StoreFailed, StoreFull
from ponton_bridge.store.journal import Journal
from ponton_bridge.store.opening import open_store
from ponton_bridge.store.worker import JournalWorker
from tests.unit.store_kit import ANN, store


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[JournalWorker]:
    """A worker over a fresh journal."""
    made = JournalWorker(open_store(tmp_path, 1))
    yield made
    await made.close()


async def test_runs_in_its_own_thread(worker: JournalWorker) -> None:
    """Functions run off the loop, always in the same thread, and give their result."""
    names = {await worker.run(lambda _: threading.current_thread().name) for _ in range(3)}
    assert {"journal"} == names
    assert 1 == await worker.run(lambda journal: journal.emit("<a/>"))


async def test_a_result_means_committed(worker: JournalWorker, tmp_path: Path) -> None:
    """When a caller hears of it, another connection can read it."""
    for n in range(1, 4):
        await worker.run(lambda journal: journal.emit("<a/>"))
        other = sqlite3.connect(tmp_path / "journal.db")
        assert n == other.execute("SELECT count(*) FROM outbox").fetchone()[0]
        other.close()


def synced(worker: JournalWorker, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give a list that grows by the number of rows in the file at each sync of its log."""
    rows: list[int] = []
    log = worker._journal._log

    def sync(number: int) -> None:
        assert log == number
        rows.append(worker._journal.db.execute("SELECT count(*) FROM outbox").fetchone()[0])

    monkeypatch.setattr(os, "fdatasync", sync)
    return rows


async def test_a_result_means_on_the_disk(worker: JournalWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is synced after the commit and before the caller hears of it."""
    rows = synced(worker, monkeypatch)
    await worker.run(lambda journal: journal.emit("<a/>"))
    assert [1] == rows
    await worker.run(lambda journal: journal.emit("<a/>"))
    assert [1, 2] == rows


async def test_what_is_lazy_is_synced_soon_and_with_others(
    worker: JournalWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lazy result does not wait for the disk; the next sync covers it, or one of its own when nothing comes."""
    monkeypatch.setattr("ponton_bridge.store.worker.LAZY", 60.0)
    rows = synced(worker, monkeypatch)
    await worker.run(lambda journal: journal.emit("<a/>"), lazy=True)
    assert [] == rows
    await worker.run(lambda journal: journal.emit("<a/>"))
    assert [2] == rows
    monkeypatch.setattr("ponton_bridge.store.worker.LAZY", 0.01)
    await worker.run(lambda journal: journal.emit("<a/>"), lazy=True)
    async with asyncio.timeout(10):
        while rows != [2, 3]:  # noqa: ASYNC110  # the thread tells nobody
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)
    assert [2, 3] == rows  # nothing is owed any more


async def test_a_disk_that_fails_is_told(worker: JournalWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be synced is no result; and a lazy one that failed is told to the next who needs it."""

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("ponton_bridge.store.worker.LAZY", 0.01)
    monkeypatch.setattr(os, "fdatasync", broken)
    with pytest.raises(StoreFailed):
        await worker.run(lambda journal: journal.emit("<a/>"))
    assert 2 == await worker.run(lambda journal: journal.emit("<b/>"), lazy=True)
    await asyncio.sleep(0.05)
    with pytest.raises(StoreFailed):
        await worker.run(lambda journal: journal.get("any"))


async def test_keeps_the_order_of_calls(worker: JournalWorker) -> None:
    """Calls are carried out as they were made, over many transactions and more callers than places."""
    order: list[int] = []

    def note(n: int) -> Callable[[Journal], None]:
        return lambda _: order.append(n)

    await asyncio.gather(*(worker.run(note(n)) for n in range(3000)))
    assert list(range(3000)) == order


async def test_commits_together_what_is_queued(worker: JournalWorker) -> None:
    """What waits while the thread is busy goes into one transaction."""
    gate = threading.Event()
    begun: list[str] = []
    worker._journal.db.set_trace_callback(begun.append)
    started = asyncio.Event()
    loop = asyncio.get_running_loop()
    first = asyncio.create_task(worker.run(lambda _: [loop.call_soon_threadsafe(started.set), gate.wait(10)]))
    await started.wait()
    rest = [asyncio.create_task(worker.run(lambda journal: journal.emit("<a/>"))) for _ in range(100)]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(first, *rest)
    assert 2 == begun.count("BEGIN IMMEDIATE") == begun.count("COMMIT")


async def test_an_error_undoes_its_own(worker: JournalWorker) -> None:
    """A function that fails leaves no trace; its neighbours in the transaction are kept."""

    def half(journal: Journal) -> None:
        journal.emit("<half/>")
        journal.set("half", "yes")
        raise LookupError("no")

    results = await asyncio.gather(
        worker.run(lambda journal: journal.emit("<a/>")),
        worker.run(half),
        worker.run(lambda journal: journal.emit("<b/>")),
        return_exceptions=True,
    )
    assert [1, 2] == [results[0], results[2]]
    assert isinstance(results[1], LookupError)
    assert [(1, "<a/>"), (2, "<b/>")] == await worker.run(lambda journal: journal.outbox(0, 10))
    assert await worker.run(lambda journal: journal.get("half")) == ""


@pytest.mark.parametrize("error", [StopIteration, SystemExit, KeyboardInterrupt, MemoryError, GeneratorExit])
async def test_no_error_ends_the_thread(worker: JournalWorker, error: type[BaseException]) -> None:
    """Whatever a function raises is its caller's; the next one is served."""

    def fail(_journal: Journal) -> None:
        raise error

    with pytest.raises(RuntimeError if error is StopIteration else error):
        await worker.run(fail)
    assert 1 == await worker.run(lambda journal: journal.emit("<a/>"))


async def test_a_cancelled_caller_takes_nothing_back(worker: JournalWorker) -> None:
    """What is queued is carried out, whether or not somebody still waits for it."""
    gate = threading.Event()
    first = asyncio.create_task(worker.run(lambda _: gate.wait(10)))
    gone = asyncio.create_task(worker.run(lambda journal: journal.emit("<a/>")))
    await asyncio.sleep(0)
    gone.cancel()
    gate.set()
    await first
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert [(1, "<a/>")] == await worker.run(lambda journal: journal.outbox(0, 10))


async def test_is_bounded(tmp_path: Path) -> None:
    """Callers beyond the depth wait for a place instead of piling up in the queue."""
    worker = JournalWorker(open_store(tmp_path, 1), depth=3, batch=2)
    gate = threading.Event()
    calls = [asyncio.create_task(worker.run(lambda _: gate.wait(10))) for _ in range(20)]
    for _ in range(10):
        await asyncio.sleep(0)
        assert worker._jobs.qsize() <= 3
    gate.set()
    assert [True] * 20 == await asyncio.gather(*calls)
    await worker.close()


async def test_closing_finishes_what_is_queued(tmp_path: Path) -> None:
    """Everything queued before the end is committed; what comes after hears that it is closed."""
    worker = JournalWorker(open_store(tmp_path, 1), batch=3)
    calls = [asyncio.create_task(worker.run(lambda journal: journal.emit("<a/>"))) for _ in range(20)]
    await asyncio.sleep(0)
    await asyncio.gather(worker.close(), worker.close())
    assert list(range(1, 21)) == await asyncio.gather(*calls)
    with pytest.raises(StoreFailed, match="closed"):
        await worker.run(lambda journal: journal.emit("<b/>"))
    with store(tmp_path) as journal:
        assert 20 == journal.counts().outbox


async def test_those_without_a_place_hear_of_the_end(tmp_path: Path) -> None:
    """A caller that still waits for a place when the worker closes gets an answer."""
    worker = JournalWorker(open_store(tmp_path, 1), depth=1)
    gate = threading.Event()
    first = asyncio.create_task(worker.run(lambda _: gate.wait(10)))
    late = asyncio.create_task(worker.run(lambda journal: journal.emit("<a/>")))
    await asyncio.sleep(0)
    closing = asyncio.create_task(worker.close())
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(first, closing)
    with pytest.raises(StoreFailed, match="closed"):
        await late


async def test_a_full_disk_keeps_nothing_half(worker: JournalWorker) -> None:
    """When space runs out everybody in the transaction hears of it, nothing of it is kept, and it goes on later."""
    await worker.run(lambda journal: journal.emit("<before/>"))
    pages = await worker.run(lambda journal: int(journal.db.execute("PRAGMA page_count").fetchone()[0]))
    await worker.run(lambda journal: journal.db.execute(f"PRAGMA max_page_count = {pages + 2}").fetchone())
    big = "x" * 4000
    results = await asyncio.gather(
        *(worker.run(lambda journal: journal.emit(big)) for _ in range(20)), return_exceptions=True
    )
    assert any(isinstance(result, StoreFull) for result in results)
    kept = [seq for seq, _ in await worker.run(lambda journal: journal.outbox(1, 100))]
    assert kept == [result for result in results if isinstance(result, int)]
    await worker.run(lambda journal: journal.db.execute("PRAGMA max_page_count = 100000").fetchone())
    assert await worker.run(lambda journal: journal.emit(big)) > 1


async def test_damage_under_way_is_typed(worker: JournalWorker, tmp_path: Path) -> None:
    """A file that is damaged while it is used gives our error, and the process stays up."""
    rows = [(ANN, "x" * 2000)] * 500
    await worker.run(lambda journal: journal.take("gen", 1, rows))
    await worker.run(lambda journal: journal.db.execute("PRAGMA cache_size = 0").fetchone())
    rng = random.Random(1)
    await asyncio.to_thread(_checkpoint_and_damage, worker._journal, tmp_path / "journal.db", rng)
    with pytest.raises(StoreCorrupt):
        await worker.run(lambda journal: [journal.pending(600), journal.take("gen", 2, rows)])
    with pytest.raises(StoreFailed):
        await worker.run(lambda journal: journal.pending(600))


def _checkpoint_and_damage(journal: Journal, path: Path, rng: random.Random) -> None:
    journal.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    with path.open("r+b") as file:
        for page in range(8, path.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(rng.randbytes(64))


async def test_a_broken_rollback_commits_nothing(worker: JournalWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    """If SQLite has undone the whole transaction, no neighbour is told that it was kept."""

    def wreck(journal: Journal) -> None:
        journal.db.rollback()
        raise LookupError("no")

    results = await asyncio.gather(
        worker.run(lambda journal: journal.emit("<a/>")),
        worker.run(wreck),
        worker.run(lambda journal: journal.emit("<b/>")),
        return_exceptions=True,
    )
    kept = await worker.run(lambda journal: [seq for seq, _ in journal.outbox(0, 10)])
    assert kept == [result for result in results if isinstance(result, int)]
    assert isinstance(results[1], StoreFailed)
