"""Tasks beside the main ones, so that none dies in silence: the first error of any of them ends the shard.

One object per shard, used by all its parts; the program awaits `run`.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Background:
    """Made on the running loop."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()  # asyncio itself holds tasks by weak references only
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def spawn(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Begin something; who needs its result may await the task as well."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) and not self._failure.done():
            self._failure.set_exception(error)

    async def run(self) -> None:
        """Raise the first error, else run until cancelled; then the tasks are cancelled, too."""
        try:
            await self._failure
        finally:
            for task in self._tasks:
                task.cancel()
