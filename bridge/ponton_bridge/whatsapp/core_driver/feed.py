"""The driver's event stream: filled and read on the loop, in order.

Bounded for what may be lost; the rest bounds itself, since the core holds each durable event until it was acknowledged.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from ponton_bridge.whatsapp import port

FULL: Final = 1000  # events that wait; above it those that are over in a moment are let go and counted
FLEETING: Final = (port.Typing, port.Presence)


class Feed:
    """One stream for one reader."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[port.Delivery | None] = asyncio.Queue()
        self._ended = False
        self._dropped = 0

    def put(self, event: port.Event, token: int | None = None) -> None:
        """Add an event."""
        if self._ended:
            return
        if isinstance(event, FLEETING) and self._queue.qsize() >= FULL:
            self._dropped += 1
            return
        if self._dropped:
            self._queue.put_nowait(port.Delivery(port.Lost("fleeting", self._dropped)))
            self._dropped = 0
        self._queue.put_nowait(port.Delivery(event, token))

    def end(self) -> None:
        """End the stream behind what is in it."""
        if not self._ended:
            self._ended = True
            self._queue.put_nowait(None)

    async def read(self) -> AsyncIterator[port.Delivery]:
        """Give the events, until the end."""
        while (one := await self._queue.get()) is not None:
            yield one
