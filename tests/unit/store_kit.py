"""Stores for tests: a folder, a clock that stands still until told, and short names for keys."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ponton_bridge.model.books import Pair
from ponton_bridge.store.journal import Journal
from ponton_bridge.store.opening import open_store

DAY = 86400
ANN, BOB = "111@lid", "222@lid"


class Clock:
    """Seconds since 1970, moved by hand."""

    def __init__(self, now: float = 1_000 * DAY) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time now."""
        return self.now


@contextmanager
def store(folder: Path, epoch: int = 1, clock: Clock | None = None) -> Iterator[Journal]:
    """Open a store, begin a transaction as the worker does, commit and close with the block."""
    journal = open_store(folder, epoch, clock=clock or Clock())
    try:
        journal.db.execute("BEGIN")
        yield journal
        journal.db.execute("COMMIT")
    finally:
        journal.close()


def pair(whatsapp: str, xmpp: str, chat: str = ANN, sender: str | None = None, *, from_me: bool = False) -> Pair:
    """A pair of a direct chat, by the other one unless told otherwise."""
    return Pair(chat, whatsapp, xmpp, sender or chat, from_me, 1_700_000_000)
