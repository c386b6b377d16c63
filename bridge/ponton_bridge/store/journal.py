"""The journal of one account: everything that must survive a crash, as one object for one thread.

`worker.JournalWorker` runs the shard's and the features' functions with it, many in one transaction; nothing here
begins or commits one. Implements `model.books.IdBook` and `AddressBook`. Made by `opening.open_store`.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ponton_bridge.model.books import Pair
from ponton_bridge.store.ids import IdsPart
from ponton_bridge.store.outbox import OutboxPart
from ponton_bridge.store.outgoing import OutgoingPart
from ponton_bridge.store.repeats import RepeatsPart
from ponton_bridge.store.settings import SettingsPart


@dataclass(frozen=True, slots=True)
class Counts:
    """What waits: `outgoing` for WhatsApp, `outbox` for Prosody's count."""

    outgoing: int
    outbox: int


class Journal(OutgoingPart, OutboxPart, IdsPart, RepeatsPart, SettingsPart):
    """See the parts by their modules. `lock` is the descriptor that keeps others out."""

    def __init__(
        self, db: sqlite3.Connection, clock: Callable[[], float], lock: int | None = None, log: int | None = None
    ) -> None:
        super().__init__(db, clock)
        self._lock = lock
        self._log = log  # descriptor of the write-ahead log

    def sent(self, row: int, pair: Pair | None) -> None:
        """WhatsApp has the row's message: remember the pair, forget the row, both or none."""
        if pair:
            self.remember(pair)
        self.drop(row)

    def last_epoch(self) -> int:
        """Give the highest epoch that has used this store; 0 for a new one."""
        return int(self._meta("epoch", "0"))

    def set_epoch(self, epoch: int) -> None:
        """Leave our epoch behind."""
        self._set_meta("epoch", str(epoch))

    def counts(self) -> Counts:
        """Count what waits, for the heartbeat."""
        return Counts(self.waiting(), self.uncovered())

    def sync(self) -> None:
        """Wait until the disk has everything that is committed. Raises OSError.

        By ourselves instead of SQLite's `synchronous = FULL`, so that not every commit has to pay for it.
        """
        if self._log is not None:
            os.fdatasync(self._log)

    def undo(self) -> None:
        """Undo the whole transaction."""
        self.forget_known()
        self.db.execute("ROLLBACK")

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo what the block did if it raises, and nothing else of the transaction."""
        self.db.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            self.forget_known()
            if self.db.in_transaction:  # a full disk or a damaged file has undone the whole transaction already
                try:
                    self.db.execute("ROLLBACK TO part")
                    self.db.execute("RELEASE part")
                except sqlite3.Error:
                    self.db.rollback()  # never commit half of it: the worker fails the whole transaction
            raise
        self.db.execute("RELEASE part")

    def close(self) -> None:
        """Close the file, then let others in. Closing twice is harmless."""
        self.db.close()
        for number in (self._log, self._lock):
            if number is not None:
                os.close(number)
        self._log = self._lock = None
