"""What can go wrong with an account's store, typed by who must act. Raised by opening, journal and worker.

Each carries the `reason` under which the shard tells its end (`model.states`).
"""

import sqlite3
from typing import ClassVar

from ponton_bridge.model.errors import HostError, OwnerError, PontonError
from ponton_bridge.model.states import Reason


class StoreError(PontonError):
    """Base of all of these."""

    reason: ClassVar[Reason] = Reason.FAILED


class StoreLocked(StoreError):
    """Another process uses the store; it is to be tried again (exit code 75)."""


class StaleStore(StoreError, OwnerError):
    """The store is older than the link (restored from a copy): its keys must not be used; link again."""

    reason = Reason.STALE_STORE


class StoreFenced(StaleStore):
    """A newer epoch has used this store: we are the old one, and end."""

    reason = Reason.FENCED


class StoreFailed(StoreError, HostError):
    """The disk or the file cannot be used as it is; nothing half done is kept."""


class StoreCorrupt(StoreFailed):
    """The file is damaged. It is left as it is, for the host to look at or to restore."""


class StoreFull(StoreFailed):
    """There is no space left on the disk; what was being written is not kept."""

    condition = "resource-constraint"


class StoreTooNew(StoreFailed):
    """The file was written by a newer release: run that one, or restore an older copy."""


class JournalFull(StoreError):
    """A bound of the journal is reached: what was offered stays where it is, and is offered again later."""

    condition = "resource-constraint"
    kind = "wait"


class StanzaTooLarge(StoreError):
    """This stanza would make the server close the stream, now and after every reconnect."""

    condition = "policy-violation"
    kind = "modify"


_KINDS: dict[str, type[StoreError]] = {
    "SQLITE_FULL": StoreFull,
    "SQLITE_CORRUPT": StoreCorrupt,
    "SQLITE_NOTADB": StoreCorrupt,
    "SQLITE_BUSY": StoreLocked,
    "SQLITE_LOCKED": StoreLocked,
}


def translate(error: sqlite3.Error) -> StoreError:
    """Give our error for SQLite's; the text names SQLite's code only, never a value."""
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    if isinstance(error, (sqlite3.IntegrityError, sqlite3.ProgrammingError)):
        return StoreError(f"The bridge used its store wrongly ({name}).")
    kind = next((kind for prefix, kind in _KINDS.items() if name.startswith(prefix)), StoreFailed)
    return kind(f"The store of this account cannot be used ({name}).")
