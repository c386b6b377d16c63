"""The journal's one thread: the shard's functions run in it, many in one transaction, off the event loop.

Everything that is queued at a moment is committed with one sync of the disk (group commit); a caller hears of its
result only after that. What is `lazy` asks for no sync of its own: it survives kill -9 like everything committed, and
a power cut from the next sync on, LAZY seconds later at most. Used by the shard, for all that is durable.
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from ponton_bridge.store.errors import StoreFailed, translate
from ponton_bridge.store.journal import Journal

T = TypeVar("T")

DEPTH: Final = 1000  # functions that may wait; callers beyond that wait for a place
BATCH: Final = 256  # functions in one transaction; a commit costs about as much as 50 of them
LAZY: Final = 0.2  # seconds


@dataclass(slots=True)
class _Job:
    """One function and who waits for it."""

    function: Callable[[Journal], Any]
    future: asyncio.Future[Any]
    lazy: bool
    result: Any = None
    error: BaseException | None = None


def _failed(error: OSError | StoreFailed) -> StoreFailed:
    return error if isinstance(error, StoreFailed) else StoreFailed(f"The disk has failed ({type(error).__name__}).")


class JournalWorker:
    """Owns a journal; made inside the running loop, which is the only one that may use it."""

    def __init__(self, journal: Journal, *, depth: int = DEPTH, batch: int = BATCH) -> None:
        self._journal = journal
        self._batch = batch
        self._loop = asyncio.get_running_loop()
        self._places = asyncio.Semaphore(depth)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._ended = self._loop.create_future()
        self._closing = False
        self._owes = False  # something was committed that the disk may not have yet
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    async def run(self, function: Callable[[Journal], T], *, lazy: bool = False) -> T:
        """Run `function` with the journal inside the next transaction; gives its result once that is committed.

        `lazy`: a power cut right afterwards may undo it (a read, or what is learnt again); never what gives numbers
        to others.

        Calls are carried out in the order in which they were made. An error that it raises undoes what it did, and
        nothing of the others. Raises StoreError when the disk or the file fails: then nothing of it is kept.
        A caller that is cancelled while it waits does not take back what it has queued.
        """
        await self._places.acquire()
        if self._closing:
            self._places.release()
            raise StoreFailed("The store of this account is closed.")
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(_Job(function, future, lazy))
        return await future

    async def close(self) -> None:
        """Carry out what is queued, then close the journal and end the thread. Calling twice is harmless."""
        if not self._closing:
            self._closing = True
            self._jobs.put(None)
        await asyncio.shield(self._ended)
        self._thread.join()

    # ---- in the thread -----------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while jobs := self._next():
                self._commit(jobs)
                self._post(self._answer, jobs)
        finally:
            with contextlib.suppress(sqlite3.Error):
                self._journal.close()
            self._post(self._end)

    def _next(self) -> list[_Job]:
        """Wait for a job, then take whatever else is there; an empty list ends the thread."""
        jobs: list[_Job] = []
        job = self._first()
        while job is not None:
            jobs.append(job)
            if len(jobs) == self._batch or self._jobs.empty():
                return jobs
            job = self._jobs.get()
        if jobs:
            self._jobs.put(None)  # the order to end was met behind the last jobs
        return jobs

    def _first(self) -> _Job | None:
        """Wait for the next job; when none comes for a while, sync what is owed."""
        if self._owes:
            try:
                return self._jobs.get(timeout=LAZY)
            except queue.Empty:
                with contextlib.suppress(OSError):  # the next one that cannot do without tells
                    self._sync()
        return self._jobs.get()

    def _commit(self, jobs: list[_Job]) -> None:
        """Run the jobs in one transaction; if that fails as a whole, every one of them hears of it."""
        db = self._journal.db
        try:
            db.execute("BEGIN IMMEDIATE")
            for job in jobs:
                self._attempt(job)
            db.execute("COMMIT")
            self._owes = True
            if not all(job.lazy for job in jobs):
                self._sync()
        except (sqlite3.Error, OSError, StoreFailed) as error:
            failure = translate(error) if isinstance(error, sqlite3.Error) else _failed(error)
            with contextlib.suppress(sqlite3.Error):
                self._journal.undo()
            for job in jobs:
                job.error = failure

    def _sync(self) -> None:
        self._journal.sync()
        self._owes = False

    def _attempt(self, job: _Job) -> None:
        """Run one job in its savepoint. Raises StoreFailed when SQLite has undone the transaction around it."""
        try:
            with self._journal.savepoint():
                job.result = job.function(self._journal)
        except sqlite3.Error as error:
            job.error = translate(error)
        except StopIteration as error:  # a future refuses it
            job.error = RuntimeError("A function of the journal raised StopIteration.")
            job.error.__cause__ = error
        except BaseException as error:  # noqa: BLE001  # whatever it is belongs to the caller, never to this thread
            job.error = error
        if not self._journal.db.in_transaction:
            raise job.error if isinstance(job.error, StoreFailed) else StoreFailed("The store failed.")

    # ---- back on the loop --------------------------------------------------------------------------------------

    def _post(self, function: Callable[..., object], *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(function, *args)

    def _answer(self, jobs: list[_Job]) -> None:
        for job in jobs:
            self._places.release()
            if job.future.done():  # cancelled meanwhile
                continue
            if job.error:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.result)

    def _end(self) -> None:
        while not self._jobs.empty():  # nothing is ever put behind the order to end, but silence would be a bug
            job = self._jobs.get_nowait()
            if job and not job.future.done():
                job.future.set_exception(StoreFailed("The store of this account is closed."))
        if not self._ended.done():
            self._ended.set_result(None)
