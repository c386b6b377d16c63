"""Progress on the screen. Called by everything that plays the story."""

import time
from collections.abc import Callable


class Say:
    """Writes lines, with the seconds since the start."""

    def __init__(self, write: Callable[[str], None] = print) -> None:
        self._write = write
        self._start = time.monotonic()

    def __call__(self, line: str) -> None:
        """Write one line."""
        self._write(f"{time.monotonic() - self._start:7.2f} s  {line}")
