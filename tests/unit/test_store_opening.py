"""Opening a store: one user at a time, no old keys, nothing made of a damaged file."""

import fcntl
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ponton_bridge.model.errors import Actor, PontonError
from ponton_bridge.model.states import TABLE, Reason
from ponton_bridge.store import errors, schema
from ponton_bridge.store.opening import open_store
from tests.unit.store_kit import ANN, store


def test_makes_a_private_folder(tmp_path: Path) -> None:
    """Folder and files are the account's own from the first moment."""
    folder = tmp_path / "deep" / "store"
    with store(folder) as journal:
        journal.emit("<a/>")
        assert folder.stat().st_mode & 0o777 == 0o700
        assert {"journal.db": 0o600, "journal.db-wal": 0o600, "journal.db-shm": 0o600, "lock": 0o600} == {
            file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()
        }


def test_keeps_what_was_committed(tmp_path: Path) -> None:
    """What one process journaled, the next one finds."""
    with store(tmp_path) as journal:
        journal.take("gen", 4, [(ANN, "<a/>")])
        journal.emit("<b/>")
        journal.set("key", "value")
    with store(tmp_path, epoch=2) as journal:
        assert ("gen", 4) == journal.cursor()
        assert ["<a/>"] == [row.xml for row in journal.pending(10)]
        assert [(1, "<b/>")] == journal.outbox(0, 10)
        assert journal.get("key") == "value"
        assert 2 == journal.last_epoch()


def test_is_set_up_for_syncs_of_our_own(tmp_path: Path) -> None:
    """SQLite syncs at checkpoints only, the journal where it is asked to, and freed pages go back."""
    with store(tmp_path) as journal:
        values = {name: journal.db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}
        assert {"journal_mode": "wal", "synchronous": 1} == values
        assert 2 == journal.db.execute("PRAGMA auto_vacuum").fetchone()[0]


def test_the_epoch_is_on_the_disk_before_anybody_hears_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is synced with the epoch in it, and the folder; else a power cut would make a good store look stale."""
    synced: list[tuple[str, int | None]] = []

    def note(kind: str) -> Callable[[int], None]:
        def sync(number: int) -> None:
            other = sqlite3.connect(tmp_path / "journal.db")
            found = other.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
            other.close()
            synced.append((f"{kind} {Path(f'/proc/self/fd/{number}').readlink().name}", int(found[0])))

        return sync

    monkeypatch.setattr(os, "fdatasync", note("data of"))
    monkeypatch.setattr(os, "fsync", note("names of"))
    open_store(tmp_path, 7).close()
    assert [("data of journal.db-wal", 7), (f"names of {tmp_path.name}", 7)] == synced


def test_a_disk_that_cannot_sync_opens_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told as what it is, and the lock is free again."""

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        with pytest.raises(errors.StoreFailed):
            open_store(tmp_path, 7)
    open_store(tmp_path, 7).close()


def test_one_user_at_a_time(tmp_path: Path) -> None:
    """A second opener is refused, in this process or another, until the first has closed."""
    with store(tmp_path):
        with pytest.raises(errors.StoreLocked):
            open_store(tmp_path, 2)
        script = "import sys; from pathlib import Path; from ponton_bridge.store.opening import open_store\n"
        script += "open_store(Path(sys.argv[1]), 2)"
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert "StoreLocked" in done.stderr
    with store(tmp_path, epoch=2):
        pass


def test_a_program_that_we_start_does_not_hold_the_lock(tmp_path: Path) -> None:
    """A child that outlives us keeps no successor out."""
    with store(tmp_path):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with store(tmp_path, epoch=2):
            pass
    finally:
        child.kill()
        child.wait()


def test_a_refused_opener_leaves_no_lock(tmp_path: Path) -> None:
    """After any refusal the folder is free for the next."""
    with store(tmp_path, epoch=5):
        pass
    for _ in range(2):
        with pytest.raises(errors.StoreFenced):
            open_store(tmp_path, 4)
    with store(tmp_path, epoch=5):
        pass


def test_a_newer_epoch_fences(tmp_path: Path) -> None:
    """The old process ends as fenced, and leaves the newer epoch in place."""
    with store(tmp_path, epoch=7):
        pass
    with pytest.raises(errors.StoreFenced) as caught:
        open_store(tmp_path, 6)
    assert Reason.FENCED is caught.value.reason
    with store(tmp_path, epoch=8) as journal:
        assert 8 == journal.last_epoch()


def test_the_same_epoch_may_restart(tmp_path: Path) -> None:
    """A crashed container comes back with its epoch."""
    for _ in range(2):
        with store(tmp_path, epoch=3):
            pass


def test_a_restored_copy_is_stale(tmp_path: Path) -> None:
    """A store whose last user is older than the known predecessor is refused, untouched."""
    with store(tmp_path, epoch=3):
        pass
    with pytest.raises(errors.StaleStore) as caught:
        open_store(tmp_path, 9, previous=5)
    assert Reason.STALE_STORE is caught.value.reason
    assert TABLE[Reason.STALE_STORE].sentence.startswith(caught.value.sentence)
    with store(tmp_path, epoch=9) as journal:
        assert 9 == journal.last_epoch()


def test_an_up_to_date_store_is_not_stale(tmp_path: Path) -> None:
    """A store that the predecessor itself used is taken over."""
    with store(tmp_path, epoch=5):
        pass
    open_store(tmp_path, 9, previous=5).close()


def test_an_empty_store_is_not_stale(tmp_path: Path) -> None:
    """A lost volume holds no keys: nothing to refuse, the owner links again. Keys without a journal are refused."""
    open_store(tmp_path / "lost", 9, previous=5).close()
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "whatsapp.db").write_bytes(b"keys")
    with pytest.raises(errors.StaleStore):
        open_store(tmp_path / "half", 9, previous=5)


def test_garbage_is_no_store(tmp_path: Path) -> None:
    """A file that is no database gives a typed error and stays as it is."""
    path = tmp_path / "journal.db"
    path.write_bytes(b"This is not a database. " * 500)
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(errors.StoreCorrupt) as caught:
            open_store(tmp_path, 1)
        assert Actor.HOST is caught.value.actor
    assert before == path.read_bytes()


def test_finds_damage_when_it_opens(tmp_path: Path) -> None:
    """A damaged page is found at the start, not in the middle of a conversation; the file stays as it is."""
    with store(tmp_path) as journal:
        for n in range(2000):
            journal.take("gen", n + 1, [(ANN, f"<m n='{n}'>{'x' * 100}</m>")])
    path = tmp_path / "journal.db"
    damaged = bytearray(path.read_bytes())
    for page in range(8, len(damaged) // 4096):
        damaged[page * 4096 : page * 4096 + 64] = os.urandom(64)
    path.write_bytes(damaged)
    with pytest.raises(errors.StoreCorrupt):
        open_store(tmp_path, 2)
    assert bytes(damaged) == path.read_bytes()


def test_an_empty_file_is_a_new_store(tmp_path: Path) -> None:
    """A crash between making the file and its tables leaves nothing to mend by hand."""
    (tmp_path / "journal.db").touch()
    with store(tmp_path) as journal:
        assert 1 == journal.emit("<a/>")


def test_a_newer_release_is_not_understood(tmp_path: Path) -> None:
    """A file of a later version is refused and left alone."""
    with store(tmp_path):
        pass
    with sqlite3.connect(tmp_path / "journal.db") as db:
        db.execute(f"PRAGMA user_version = {len(schema.STEPS) + 1}")
    db.close()
    with pytest.raises(errors.StoreTooNew):
        open_store(tmp_path, 2)


def test_a_migration_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that fails leaves version and tables as they were; a later try does it."""
    good = "CREATE TABLE extra (a); INSERT INTO extra VALUES (1);"
    bad = "INSERT INTO missing VALUES (1);"
    with store(tmp_path):
        pass
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, good + bad))
    with pytest.raises(errors.StoreFailed):
        open_store(tmp_path, 2)
    monkeypatch.setattr(schema, "STEPS", (schema.STEPS[0], good))
    with store(tmp_path, epoch=2) as journal:
        assert 2 == journal.db.execute("PRAGMA user_version").fetchone()[0]
        assert 1 == journal.db.execute("SELECT a FROM extra").fetchone()[0]


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_folder_that_cannot_be_used(tmp_path: Path, what: str) -> None:
    """A path that is no folder, or a journal that is one, is the host's to mend, in a sentence."""
    if what == "file":
        (tmp_path / "store").write_text("")
    else:
        (tmp_path / "store" / "journal.db").mkdir(parents=True)
    with pytest.raises(errors.StoreFailed) as caught:
        open_store(tmp_path / "store", 1)
    assert Actor.HOST is caught.value.actor
    assert caught.value.sentence.endswith(".")


def test_another_connection_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup that holds the file for too long gives an error to try again with, not a hang."""
    with store(tmp_path):
        pass
    monkeypatch.setattr(schema, "BUSY", 10)
    other = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(errors.StoreLocked):
        open_store(tmp_path, 2)
    other.close()
    with store(tmp_path, epoch=2):
        pass


def test_errors_name_who_must_act() -> None:
    """Every error of the store is ours, typed, and has a reason with a row in the table."""
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.StoreError)}
    assert len(kinds) == 10
    assert {True} == {kind.reason in TABLE for kind in kinds}
    assert issubclass(errors.StoreError, PontonError)
    assert Actor.OWNER is errors.StaleStore.actor
    assert Actor.HOST is errors.StoreFull.actor
    assert Actor.PONTON is errors.StoreLocked.actor


def test_misuse_is_ours() -> None:
    """A broken rule of the tables is our fault, not the host's."""
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE t (a UNIQUE)")
    db.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(sqlite3.IntegrityError) as caught:
        db.execute("INSERT INTO t VALUES (1)")
    db.close()
    assert Actor.PONTON is errors.translate(caught.value).actor
    assert "SQLITE_CONSTRAINT_UNIQUE" in str(errors.translate(caught.value))


def test_the_lock_is_a_flock(tmp_path: Path) -> None:
    """Any program that honours the lock file (a backup, say) is kept out too."""
    with store(tmp_path), (tmp_path / "lock").open() as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
