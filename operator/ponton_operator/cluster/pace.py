"""Turns to write, so many a second, in the order in which they were asked for. Called by `kube_api`.

A turn is given when it has come and not before: a loop that was late for a second would else let go all at once what
was to go in that second. One timer serves all that wait, so that a busy loop costs no turns either. What follows from
a decision that is written already goes before the next decision: so few things are half done at any moment, and an
operator that ends then leaves its successor little to do again.
"""

import asyncio
from collections import deque
from typing import Final

BURST: Final = 0.5  # seconds' worth of turns that may come at once: after a quiet time, or when the loop was late


class Pace:
    """`rate` turns a second, 0: no limit; used by one event loop."""

    def __init__(self, rate: float) -> None:
        self._gap = 1.0 / rate if rate else 0.0
        self._next = 0.0  # when the next turn comes, by the loop's clock
        self._first: deque[asyncio.Future[None]] = deque()  # what follows from a decision
        self._then: deque[asyncio.Future[None]] = deque()

    async def turn(self, *, follows: bool = False) -> None:
        """Wait for a turn; `follows`: from something that was written already."""
        if not self._gap:
            return
        loop = asyncio.get_running_loop()
        mine = loop.create_future()
        alone = not self._first and not self._then
        (self._first if follows else self._then).append(mine)
        if alone:
            self._give(loop)
        await mine

    def late(self) -> float:
        """Give the seconds that one who asked now would have to wait."""
        waiting = len(self._first) + len(self._then)
        return max(0.0, self._next + waiting * self._gap - asyncio.get_running_loop().time())

    def _give(self, loop: asyncio.AbstractEventLoop) -> None:
        self._next = max(self._next, loop.time() - BURST)
        while (queue := self._first or self._then) and (queue[0].done() or self._next <= loop.time()):
            mine = queue.popleft()
            if not mine.done():  # else it was cancelled
                mine.set_result(None)
                self._next += self._gap
        if queue:
            loop.call_at(self._next, self._give, loop)
