"""The stream of events between the library's threads and the one reader on the event loop, bounded.

A thread that brings an event while FULL of them wait is held until the reader has taken one; Go then holds back too
(its own queue has 100 places) and WhatsApp keeps what is not acknowledged yet.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from typing import Final

from ponton_bridge.model.errors import PontonError
from ponton_bridge.whatsapp import port

FULL: Final = 500  # events
LOOK: Final = 0.5  # seconds after which a held thread looks whether the feed has ended


class Feed:
    """One reader, any number of writers."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: asyncio.Queue[tuple[port.Event | PontonError | None, bool]] = asyncio.Queue()
        self._room = threading.BoundedSemaphore(FULL)
        self._ended = False

    def bring(self, event: port.Event) -> None:
        """Add an event from any thread but the loop's; waits while the feed is full."""
        while not self._room.acquire(timeout=LOOK):
            if self._ended:
                return
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody reads any more
            self._loop.call_soon_threadsafe(self._queue.put_nowait, (event, True))

    def put(self, event: port.Event) -> None:
        """Add an event on the loop, at once: the few that the driver makes itself."""
        self._queue.put_nowait((event, False))

    def end(self, error: PontonError | None = None) -> None:
        """End the stream behind what is in it, by an error if there is one."""
        if not self._ended:
            self._ended = True
            self._queue.put_nowait((error, False))

    async def read(self) -> AsyncIterator[port.Delivery]:
        """Give the events; without a token, since nothing can be acknowledged here."""
        while True:
            event, counted = await self._queue.get()
            if counted:
                self._room.release()
            if event is None:
                return
            if isinstance(event, PontonError):
                raise event
            yield port.Delivery(event)
