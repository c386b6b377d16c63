"""A queue of keys: each is worked on by one task at a time, and again if it was added meanwhile.

The heart of every level-triggered driver: events only add keys, what is to be done is found out by the handler.
Many keys are worked on at once, so that one slow account holds up no other.
"""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Final

WORKERS: Final = 32  # keys worked on at the same time


class KeyedQueue:
    """Calls `handler(key)` for every key that is added; the handler must not raise."""

    def __init__(self, handler: Callable[[str], Awaitable[None]], workers: int = WORKERS) -> None:
        self._handler = handler
        self._dirty: dict[str, None] = {}  # in the order of adding
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._busy: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._workers = workers
        self._closed = False

    def add(self, key: str) -> None:
        """Have a key worked on as soon as possible; adding it many times is adding it once."""
        if self._closed:
            return
        self._dirty[key] = None
        self._turn()

    def add_after(self, key: str, seconds: float) -> None:
        """Have a key worked on later; an earlier time that is set already stays."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        when = loop.time() + max(0.0, seconds)
        if self._closed or (timer and not timer.cancelled() and timer.when() <= when):
            return
        if timer:
            timer.cancel()
        self._timers[key] = loop.call_at(when, self._due, key)

    def forget(self, key: str) -> None:
        """Drop what is waiting for a key; what runs goes on."""
        self._dirty.pop(key, None)
        if timer := self._timers.pop(key, None):
            timer.cancel()

    async def close(self) -> None:
        """Take nothing more, and wait for what runs."""
        self._closed = True
        self._dirty.clear()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _due(self, key: str) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _turn(self) -> None:
        free = max(0, self._workers - len(self._busy))
        ready = (key for key in self._dirty if key not in self._busy)
        for key in list(islice(ready, free)):  # thousands may wait: no more of them are looked at than can begin
            self._busy.add(key)
            task = asyncio.get_running_loop().create_task(self._work(key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self, key: str) -> None:
        self._dirty.pop(key, None)  # what is added from here on asks for another look
        try:
            if not self._closed:
                await self._handler(key)
        finally:
            self._busy.discard(key)
            if not self._closed:
                self._turn()
