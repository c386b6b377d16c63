"""Files of the local runtime: secrets, whole writes, private folders, homes of processes, bounded logs."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from ponton_operator.cluster.local_files import MAX_SECRET, Secrets, SecretUnreadable, empty, remove, write_whole
from ponton_operator.cluster.local_layout import Home
from ponton_operator.cluster.local_logs import BoundedLog
from ponton_operator.resources.base import SecretRef

REF = SecretRef(name="prosody", key="master")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A secret file as it should be."""
    path = tmp_path / "prosody" / "master"
    path.parent.mkdir()
    path.touch(mode=0o600)
    path.write_text("s3cret\n")
    return path


def test_reads_a_secret(file: Path) -> None:
    """A private file is read, without the line end that an editor added."""
    assert "s3cret" == Secrets(file.parents[1]).read(REF)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_refuses_a_lax_mode(file: Path, mode: int) -> None:
    """A file that others can read is refused with the command that mends it."""
    file.chmod(mode)
    with pytest.raises(SecretUnreadable) as caught:
        Secrets(file.parents[1]).read(REF)
    expected = f"secrets/prosody/master: others can read it (mode {mode:04o}). Run: chmod 600 secrets/prosody/master"
    assert expected == caught.value.sentence


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "the file is empty"),
        (b"\n", "the file is empty"),
        (b"\xff\xfe", "this is not text"),
        (b"x" * (MAX_SECRET + 1), "this is no file of at most"),
    ],
    ids=["empty", "line", "bytes", "large"],
)
def test_refuses_what_is_no_secret(file: Path, content: bytes, expected: str) -> None:
    """An empty, binary or huge file is none, and its content is not told."""
    file.write_bytes(content)
    with pytest.raises(SecretUnreadable, match=expected):
        Secrets(file.parents[1]).read(REF)


def test_a_missing_secret_is_named(tmp_path: Path) -> None:
    """A file that is not there, or is a folder, is named by its reference."""
    with pytest.raises(SecretUnreadable, match="secrets/prosody/master: No such file"):
        Secrets(tmp_path).read(REF)
    (tmp_path / "prosody" / "master").mkdir(parents=True)
    with pytest.raises(SecretUnreadable, match="this is no file"):
        Secrets(tmp_path).read(REF)


def test_writes_wholly_and_privately(tmp_path: Path) -> None:
    """A write replaces the file at once, has its mode from the start, and leaves no draft."""
    target = tmp_path / "x"
    target.write_text("old")
    held = target.open()
    write_whole(target, "new", mode=0o640)
    assert ("old", "new", 0o640) == (held.read(), target.read_text(), target.stat().st_mode & 0o777)
    assert [target] == list(tmp_path.iterdir())
    held.close()


def test_a_failed_write_leaves_the_old(tmp_path: Path) -> None:
    """When the write does not work the old file is there, and no draft."""
    target = tmp_path / "x"
    target.mkdir()
    with pytest.raises(OSError, match=r"."):
        write_whole(target, "new")
    assert [target] == list(tmp_path.iterdir())


def test_empties_without_following(tmp_path: Path) -> None:
    """Emptying removes links, not what they point to; removing twice is harmless."""
    outside = tmp_path / "outside"
    (outside / "keep").mkdir(parents=True)
    inside = tmp_path / "inside"
    (inside / "a" / "b").mkdir(parents=True)
    (inside / "f").touch()
    (inside / "link").symlink_to(outside)
    empty(inside)
    assert [] == list(inside.iterdir())
    remove(inside)
    remove(inside)
    empty(inside)
    assert (outside / "keep").exists()


def test_a_home_is_furnished(tmp_path: Path) -> None:
    """Secrets are written anew, older ones go, the store stays unless it is to be wiped; nobody else may enter."""
    home = Home(tmp_path / "shards" / "acc-1")
    home.furnish({"owner": "a", "old": "x"})
    (home.store / "whatsapp.db").touch()
    home.furnish({"owner": "b"})
    assert {"owner": "b"} == {f.name: f.read_text() for f in home.secrets.iterdir()}
    assert (home.store / "whatsapp.db").exists()
    assert {0o700} == {p.stat().st_mode & 0o777 for p in (home.path, home.store, home.secrets)}
    assert 0o600 == (home.secrets / "owner").stat().st_mode & 0o777
    home.furnish({}, wipe=True)
    assert [] == list(home.store.iterdir())
    home.remove_store()
    home.remove()
    assert not home.path.exists()


@pytest.mark.parametrize("text", ["", "[]", "nonsense", "1" * 10_000])
def test_a_last_state_that_is_none(tmp_path: Path, text: str) -> None:
    """What the shard wrote there, or did not, is never believed to be more than it is."""
    home = Home(tmp_path)
    assert {} == home.last_state()
    home.store.mkdir()
    (home.store / "last-state.json").write_text(text)
    assert {} == home.last_state()


def test_a_last_state_through_a_link_is_not_read(tmp_path: Path) -> None:
    """A shard cannot make us read what it may not read itself, nor wait for a pipe."""
    home = Home(tmp_path)
    home.store.mkdir()
    (tmp_path / "other").write_text(json.dumps({"reason": "Banned"}))
    (home.store / "last-state.json").symlink_to(tmp_path / "other")
    assert {} == home.last_state()
    (home.store / "last-state.json").unlink()
    os.mkfifo(home.store / "last-state.json")
    assert {} == home.last_state()


async def test_a_log_keeps_the_newest(tmp_path: Path) -> None:
    """A full log begins anew; the last full one is kept beside; order and end of what was written stay."""
    log = BoundedLog(tmp_path / "x.log", limit=100)
    child = os.dup(log.writer)
    log.started()
    for number in range(30):
        os.write(child, f"line {number:02}\n".encode())
        await asyncio.sleep(0.001)
    os.close(child)
    log.close()
    first, second = (tmp_path / "x.log.1").read_text(), (tmp_path / "x.log").read_text()
    lines = (first + second).splitlines()
    assert [f"line {n:02}" for n in range(30 - len(lines), 30)] == lines
    assert max(len(text) for text in (first, second)) <= 100


async def test_a_log_goes_on_where_it_was(tmp_path: Path) -> None:
    """The next process writes behind what the last one wrote; closing without a start leaves no descriptor open."""
    for word in ("one", "two"):
        log = BoundedLog(tmp_path / "x.log")
        child = os.dup(log.writer)
        log.started()
        os.write(child, word.encode())
        os.close(child)
        log.close()
        log.close()
    assert "onetwo" == (tmp_path / "x.log").read_text()
    unused = BoundedLog(tmp_path / "x.log")
    writer = unused.writer
    unused.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(writer)
