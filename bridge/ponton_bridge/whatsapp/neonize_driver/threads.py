"""A few daemon threads that make blocking calls for the event loop.

Not concurrent.futures' pool: its threads are waited for when the interpreter ends, and a call into Go may block for
75 s. A job that has not begun can still be withdrawn, which tells "not sent" from "nobody knows".
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

MAX_WAITING: Final = 1000  # jobs; more callers than that are not served but told


class _Job(Generic[T]):
    """One piece of work and who waits for it."""

    def __init__(self, work: Callable[[], T]) -> None:
        self.work = work
        self.future: Future[T] = Future()

    def run(self) -> None:
        """Do it, unless it was withdrawn."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self.future.set_result(self.work())
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            self.future.set_exception(error)


class Crew:
    """Threads that work through one queue, in order if there is one thread."""

    def __init__(self, name: str, size: int) -> None:
        self._jobs: queue.Queue[_Job[Any] | None] = queue.Queue(MAX_WAITING)
        self._size = size
        for number in range(size):
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True).start()

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Queue a job; raises queue.Full when too many wait."""
        job = _Job(work)
        self._jobs.put_nowait(job)
        return job.future

    def end(self) -> None:
        """Let the threads go once they are done with what they do now; what waits is withdrawn."""
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is not None:
                job.future.cancel()
        for _ in range(self._size):
            self._jobs.put_nowait(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.run()
