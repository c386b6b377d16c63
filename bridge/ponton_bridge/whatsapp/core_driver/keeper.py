"""Keeps one core running on a store, never two: the next is started when the one before has ended. Used by the driver.

Ends without being asked are told to `fell`; what then becomes of the link is the driver's business.
"""

import asyncio
from collections.abc import Callable
from enum import Enum

from .child import Child, Frame
from .restarts import Restarts

EX_USAGE, EX_STORE = 64, 65  # the core's exit codes that no restart cures


class Fall(Enum):
    """How a core has ended."""

    RESTARTED = "restarted"  # the next one follows
    UNUSABLE = "unusable"  # the program cannot be started, or the store not be opened
    STORM = "storm"  # it ended too often


class Keeper:
    """`begin` is idempotent; `heard` gets the frames of whichever core runs."""

    def __init__(
        self,
        command: list[str],
        *,
        heard: Callable[[Child, Frame], None],
        fell: Callable[[Fall], None],
    ) -> None:
        self._command, self._heard, self._fell = command, heard, fell
        self._restarts = Restarts()
        self._running: asyncio.Task[None] | None = None
        self.child: Child | None = None
        self.started = 0  # cores so far

    def begin(self) -> None:
        """Start a core unless one is kept already."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._keep())

    async def end(self) -> None:
        """Let the core go and wait for its end; none is started afterwards."""
        if self.child is not None:
            self.child.close()
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            child = self.child = Child(self._command, self._heard)
            self.started += 1
            born = loop.time()
            try:
                code = await child.run()
            except OSError:
                code = EX_USAGE
            finally:
                self.child = None
            pause = None if code in {EX_USAGE, EX_STORE} else self._restarts.ended(loop.time() - born)
            if pause is None:
                self._fell(Fall.UNUSABLE if code in {EX_USAGE, EX_STORE} else Fall.STORM)
                return
            self._fell(Fall.RESTARTED)
            await asyncio.sleep(pause)
