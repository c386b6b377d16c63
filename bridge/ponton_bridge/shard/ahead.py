"""The next rows of the journal, read only when they are not at hand: who journals rows brings them along.

Rows are numbered upwards, and one reader takes them in order. Used by `shard.outbox` and `shard.outgoing`.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

Row = TypeVar("Row")


class Ahead(Generic[Row]):
    """Up to `most` rows at hand between the journal and its reader; what is beyond is read, `page` rows at once."""

    def __init__(self, page: int, most: int) -> None:
        self._page = page
        self._fresh: deque[tuple[int, Row]] = deque(maxlen=most)
        self._behind = True  # the journal may have rows that are not at hand

    @property
    def pending(self) -> bool:
        """Whether there may be a next row."""
        return bool(self._fresh) or self._behind

    def bring(self, rows: Iterable[tuple[int, Row]]) -> None:
        """Take rows that are in the journal already, in order; the first ones fall out when there are too many."""
        self._fresh.extend(rows)

    def look(self) -> None:
        """Have the journal read: it may have rows that nobody brought."""
        self._behind = True

    def clear(self) -> None:
        """Forget what is at hand."""
        self._fresh.clear()

    async def after(
        self, position: int, read: Callable[[int, int], Awaitable[list[tuple[int, Row]]]]
    ) -> list[tuple[int, Row]]:
        """Give the rows behind `position`, [] without one. `read(after, most)` gives those of the journal."""
        if rows := self._at_hand(position):
            return rows
        if not self.pending:
            return []
        # All that was brought is in the journal, so the read has it; what is brought while it goes on stays at hand.
        self._fresh.clear()
        self._behind = False
        rows = await read(position, self._page)
        self._behind = self._behind or len(rows) == self._page
        return rows

    def _at_hand(self, position: int) -> list[tuple[int, Row]]:
        """Give what follows `position` without a gap; none when the next row is missing: the journal has it."""
        rows: list[tuple[int, Row]] = []
        while self._fresh and len(rows) < self._page:
            number = self._fresh[0][0]
            following = position + len(rows) + 1
            if number > following:
                break
            row = self._fresh.popleft()
            if number == following:  # else it was read from the journal meanwhile
                rows.append(row)
        return rows
