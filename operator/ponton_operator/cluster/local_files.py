"""Files of the local runtime: secrets that must be private, folders and files for one account's eyes, whole writes.

Called by the other `local_*` drivers. Everything here blocks for as long as a local disk takes; callers that mind run
it in a thread.
"""

import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Final

from ponton_bridge.model.errors import HostError
from ponton_operator.resources.base import SecretRef

MAX_SECRET: Final = 65_536  # bytes; the largest is a bundle of authorities
_PRIVATE: Final = 0o077  # bits of group and others


class SecretUnreadable(HostError):
    """A secret file is missing, too large, empty, or not private enough; the text names it and says what to do."""


class Secrets:
    """The folder that stands for the Secrets of a cluster: the reference name/key is the file `name/key`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, ref: SecretRef) -> Path:
        """Give the file of a reference, checked: a regular file of at most MAX_SECRET bytes that only we can read."""
        path = self._folder / ref.name / ref.key
        said = f"secrets/{ref.name}/{ref.key}"
        try:
            found = path.stat()
        except OSError as error:
            raise SecretUnreadable(f"{said}: {error.strerror}. Put the secret there, with mode 0600.") from None
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_SECRET:
            raise SecretUnreadable(f"{said}: this is no file of at most {MAX_SECRET} bytes.")
        if found.st_mode & _PRIVATE:
            mode = stat.S_IMODE(found.st_mode)
            raise SecretUnreadable(f"{said}: others can read it (mode {mode:04o}). Run: chmod 600 {said}")
        return path

    def read(self, ref: SecretRef) -> str:
        """Give the text of a secret, without the line end that editors add. Raises SecretUnreadable."""
        try:
            value = self.path(ref).read_bytes().decode().strip("\r\n")
        except OSError as error:
            raise SecretUnreadable(f"secrets/{ref.name}/{ref.key}: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise SecretUnreadable(f"secrets/{ref.name}/{ref.key}: this is not text.") from None
        if not value:
            raise SecretUnreadable(f"secrets/{ref.name}/{ref.key}: the file is empty.")
        return value


def write_whole(path: Path, text: str, *, mode: int = 0o600, uid: int | None = None, durable: bool = True) -> None:
    """Replace a file at once: a reader finds the old text or the new one, nothing between; durable: a crash, too.

    The file has its mode and owner before it has its content.
    """
    number, draft = tempfile.mkstemp(prefix=".", suffix=".new", dir=path.parent)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            os.fchmod(number, mode)
            if uid is not None:
                os.fchown(number, uid, uid)
            file.write(text)
            file.flush()
            if durable:
                os.fsync(number)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def make_private(folder: Path, uid: int | None = None) -> None:
    """Make a folder that only one user may enter, and give it and what is in it to that user.

    Neither links nor a folder that is exchanged meanwhile lead out of it, and a file with a second name is not given
    away: what a shard, or something that it left running, put there must not make us hand over anything else.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    if uid is None:
        return
    os.chown(folder, uid, uid)
    for _, folders, files, here in os.fwalk(folder, follow_symlinks=False):
        for name in (*folders, *files):
            found = os.stat(name, dir_fd=here, follow_symlinks=False)
            if found.st_uid != uid and (found.st_nlink == 1 or stat.S_ISDIR(found.st_mode)):
                os.chown(name, uid, uid, dir_fd=here, follow_symlinks=False)


def empty(folder: Path) -> None:
    """Remove what is in a folder, keep the folder. Raises OSError when something stays."""
    for entry in folder.iterdir() if folder.exists() else ():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def remove(folder: Path) -> None:
    """Remove a folder and what is in it; harmless when there is none. Raises OSError when something stays."""
    if folder.exists():
        shutil.rmtree(folder)
