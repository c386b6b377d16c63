"""The journal's tables, how the file is opened, and how older files are brought up to date.

One file per account, one connection, write-ahead log: what was committed survives kill -9, and a power cut once
`Journal.sync` has returned. Called by `opening`.
"""

import sqlite3
from pathlib import Path
from typing import Final

from ponton_bridge.store.errors import StoreCorrupt, StoreTooNew, translate

PAGE_CACHE: Final = 512  # KiB; the default of 2 MiB is paid by every shard and buys nothing for a journal
LOG_LIMIT: Final = 4 * 1024 * 1024  # bytes that the write-ahead log keeps on disk after a checkpoint
BUSY: Final = 5000  # milliseconds; nobody else should hold the file, a backup may for a moment

# Rows have their age from `id`, which only grows; `day` (days since 1970) is when the row was written by our clock.
VERSION_1: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE outgoing (
    id INTEGER PRIMARY KEY AUTOINCREMENT, chat TEXT NOT NULL, xml TEXT NOT NULL,
    message_id TEXT, tries INTEGER NOT NULL DEFAULT 0);
CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, xml TEXT NOT NULL);
CREATE TABLE seen (
    id INTEGER PRIMARY KEY, chat TEXT NOT NULL, sender TEXT NOT NULL, whatsapp TEXT NOT NULL, kind TEXT NOT NULL,
    day INTEGER NOT NULL);
CREATE UNIQUE INDEX seen_key ON seen (chat, whatsapp, sender, kind);
CREATE TABLE pair (
    id INTEGER PRIMARY KEY, chat TEXT NOT NULL, whatsapp TEXT NOT NULL, xmpp TEXT NOT NULL, sender TEXT NOT NULL,
    from_me INTEGER NOT NULL, time INTEGER NOT NULL, read INTEGER NOT NULL DEFAULT 0, day INTEGER NOT NULL);
CREATE UNIQUE INDEX pair_whatsapp ON pair (chat, whatsapp, sender);
CREATE INDEX pair_xmpp ON pair (chat, xmpp);
CREATE INDEX pair_unread ON pair (chat, id) WHERE read = 0 AND from_me = 0;
CREATE TABLE person (
    id INTEGER PRIMARY KEY, number TEXT UNIQUE, lid TEXT UNIQUE, name TEXT NOT NULL DEFAULT '',
    push_name TEXT NOT NULL DEFAULT '', listed INTEGER NOT NULL DEFAULT 0, CHECK (number NOT NULL OR lid NOT NULL));
CREATE INDEX person_listed ON person (id) WHERE listed = 1;
CREATE TABLE taken (mark TEXT PRIMARY KEY, time INTEGER NOT NULL) WITHOUT ROWID;
"""
STEPS: Final = (VERSION_1,)  # step n brings a file of version n to n + 1; never changed once released


def connect(path: Path) -> sqlite3.Connection:
    """Open the file (made with mode 0600), check it, and bring it up to date.

    Raises StoreCorrupt, StoreTooNew, StoreFull or StoreFailed; a file that cannot be used is left as it is.
    """
    path.touch(mode=0o600)
    try:
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=64)
    except sqlite3.Error as error:
        raise translate(error) from error
    try:
        prepare(db)
    except sqlite3.Error as error:
        db.close()
        raise translate(error) from error
    except BaseException:
        db.close()
        raise
    return db


def prepare(db: sqlite3.Connection) -> None:
    """Set the connection up, and migrate."""
    db.execute(f"PRAGMA busy_timeout = {BUSY}")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == 0:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # counts before the first table only, and writes every time
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")  # syncs at checkpoints; commits are synced by `Journal.sync`
    db.execute("PRAGMA secure_delete = FAST")  # delivered text does not stay in pages that are written anyway
    db.execute(f"PRAGMA journal_size_limit = {LOG_LIMIT}")
    db.execute(f"PRAGMA cache_size = -{PAGE_CACHE}")
    (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise StoreCorrupt("The store of this account is damaged (quick_check).")
    if version > len(STEPS):
        raise StoreTooNew("The store of this account was written by a newer release of the bridge.")
    for number, step in enumerate(STEPS[version:], start=version + 1):
        # executescript commits first, so the transaction has to stand in the script itself
        db.executescript(f"BEGIN IMMEDIATE; {step} PRAGMA user_version = {number}; COMMIT;")
