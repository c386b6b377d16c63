"""Waking those who wait for something to happen; the waiting part of the inbox and of the trace."""

import asyncio
from contextlib import suppress


class Bell:
    """Rung when something happened; whoever waits then looks for himself."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[None]] = []

    def ring(self) -> None:
        """Wake everybody who waits now."""
        waiting, self.waiting = self.waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def wait(self, seconds: float) -> None:
        """Wait for the next ring, but no longer than this."""
        future = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(future, seconds)
        finally:  # also when the reader went away
            if future in self.waiting:
                self.waiting.remove(future)
