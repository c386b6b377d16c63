"""What children write to stdout and stderr, kept in files that cannot grow without bound.

A child writes into a pipe; the runtime copies it to `NAME.log` and, when that is full, begins anew after renaming it
to `NAME.log.1`. Called by `local_children`.
"""

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 1_048_576  # of one file; there are two, so twice that for an account
_CHUNK: Final = 65_536  # the size of a pipe


class BoundedLog:
    """The log of one process; `writer` is the file descriptor that the child inherits."""

    def __init__(self, path: Path, limit: int = MAX_BYTES) -> None:
        self._path = path
        self._limit = limit
        self._reader, self.writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._reader, False)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._size = os.fstat(self._file).st_size
        self._watching = False

    def started(self) -> None:
        """The child has its own end now: close ours, and begin to copy."""
        os.close(self.writer)
        self.writer = -1
        asyncio.get_running_loop().add_reader(self._reader, self._copy)
        self._watching = True

    def close(self) -> None:
        """Copy what is left and close everything; a grandchild that still writes gets a broken pipe."""
        while self._watching and self._copy():
            pass
        if self._watching:
            asyncio.get_running_loop().remove_reader(self._reader)
        for number in (self._reader, self._file, self.writer):
            if number >= 0:
                os.close(number)
        self._reader = self._file = self.writer = -1
        self._watching = False

    def _copy(self) -> bool:
        try:
            data = os.read(self._reader, _CHUNK)
        except BlockingIOError:
            return False
        if not data:
            asyncio.get_running_loop().remove_reader(self._reader)
            self._watching = False
            return False
        if self._size + len(data) > self._limit:
            self._turn()
        with contextlib.suppress(OSError):  # a full disk costs the log, not the shard
            self._size += os.write(self._file, data)
        return True

    def _turn(self) -> None:
        with contextlib.suppress(OSError):
            self._path.replace(self._path.with_name(self._path.name + ".1"))
            fresh = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            os.close(self._file)
            self._file, self._size = fresh, 0
