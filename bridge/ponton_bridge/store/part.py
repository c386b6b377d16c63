"""What the parts of the journal share: the connection, the clock, and the small book-keeping of `meta`."""

import sqlite3
from collections.abc import Callable
from typing import Final

DAY: Final = 86400  # seconds
PRUNE_EVERY: Final = 256  # insertions between two looks at the bounds
PRUNE_ROWS: Final = 2 * PRUNE_EVERY  # rows taken away in one look: faster than they come, and one short transaction


class Part:
    """Base of the journal's parts; `clock` gives seconds since 1970."""

    def __init__(self, db: sqlite3.Connection, clock: Callable[[], float]) -> None:
        self.db = db
        self._clock = clock

    @property
    def _today(self) -> int:
        return int(self._clock()) // DAY

    def _meta(self, key: str, default: str = "") -> str:
        row = self.db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else default

    def _set_meta(self, key: str, value: str) -> None:
        self.db.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", (key, value))
