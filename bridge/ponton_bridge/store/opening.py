"""Open an account's store, for one process at a time and never with old keys. Called by the shard's start.

The lock is a `flock` on a file beside the journal, held until the journal is closed or the process ends, however it
ends. It stands for the whole folder, the WhatsApp driver's database included.
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ponton_bridge.store.errors import StaleStore, StoreFailed, StoreFenced, StoreLocked, translate
from ponton_bridge.store.journal import Journal
from ponton_bridge.store.schema import connect

LOCK: Final = "lock"  # file names in the folder
JOURNAL: Final = "journal.db"
LOG: Final = JOURNAL + "-wal"  # SQLite's name for it; the file stays the same one as long as the journal is open
DRIVER: Final = "whatsapp.db"  # the driver's keys


def open_store(folder: Path, epoch: int, *, previous: int = 0, clock: Callable[[], float] = time.time) -> Journal:
    """Open the store in `folder` (made with mode 0700 if missing) for this epoch, and remember the epoch in it.

    `previous` is the highest epoch that is known to have used this store, 0 if nobody knows.

    Raises StoreLocked while another process has it, StoreFenced when a newer epoch has used it, StaleStore when
    it is older than `previous` (a restored copy), StoreCorrupt, StoreTooNew, StoreFull or StoreFailed. Blocks for
    as long as the disk takes: not for the event loop.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _lock(folder / LOCK)
    except OSError as error:
        raise StoreFailed(f"The folder of this account cannot be used ({type(error).__name__}).") from error
    try:
        journal = _journal(folder, clock, lock)
    except BaseException:
        os.close(lock)
        raise
    try:
        _claim(journal, epoch, previous, keys=(folder / DRIVER).exists())
        _settle(journal, folder)
    except sqlite3.Error as error:
        journal.close()
        raise translate(error) from error
    except BaseException:
        journal.close()
        raise
    return journal


def _lock(path: Path) -> int:
    """Take the lock or raise StoreLocked; the descriptor is not inherited by programs that we start."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise StoreLocked("Another process still uses the store of this account.") from None
    except BaseException:
        os.close(lock)
        raise
    return lock


def _journal(folder: Path, clock: Callable[[], float], lock: int) -> Journal:
    db = connect(folder / JOURNAL)
    try:
        return Journal(db, clock, lock, _log(folder / LOG))
    except BaseException:
        db.close()
        raise


def _settle(journal: Journal, folder: Path) -> None:
    """Have the epoch on the disk, and the files' names: whoever hears of this epoch counts on the store to know it."""
    try:
        journal.sync()
        names = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(names)
        finally:
            os.close(names)
    except OSError as error:
        raise StoreFailed(f"The store of this account cannot be written ({type(error).__name__}).") from error


def _log(path: Path) -> int:
    """Open the write-ahead log for its syncs; SQLite holds no locks on this file, so closing it takes none away."""
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise StoreFailed(f"The log of this account cannot be used ({type(error).__name__}).") from error


def _claim(journal: Journal, epoch: int, previous: int, *, keys: bool) -> None:
    """Compare the epochs and leave ours behind. An empty store without keys is never stale: there is no link in it."""
    last = journal.last_epoch()
    if last > epoch:
        raise StoreFenced("A newer process has used the store of this account.")
    if last < previous and (last or keys):
        raise StaleStore("The stored keys of this link are older than the link itself and cannot be used.")
    if last != epoch:
        journal.set_epoch(epoch)
