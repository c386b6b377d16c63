"""Keeps what the Go library prints out of the shard's log.

Go writes to descriptors 1 and 2 by number: greetings, errors of its crypto library (which may name people), and, when
it dies, the stack of every goroutine. `keep_apart` gives our own streams new numbers and turns 1 to nothing, 2 to a
file that keeps the last words of this run and the one before. To be called first, before any logging is set up.
"""

import os
import sys
from pathlib import Path
from typing import Final

STDOUT, STDERR = 1, 2
MODE: Final = 0o600


def keep_apart(last_words: Path | None = None) -> None:
    """Give sys.stdout and sys.stderr descriptors of their own; Go's output goes to `last_words`, or nowhere."""
    sys.stdout.flush()
    sys.stderr.flush()
    sys.stdout = os.fdopen(os.dup(STDOUT), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    sys.stderr = os.fdopen(os.dup(STDERR), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    _point(STDOUT, Path(os.devnull), os.O_WRONLY)
    if last_words is None:
        _point(STDERR, Path(os.devnull), os.O_WRONLY)
        return
    if last_words.exists():
        last_words.replace(last_words.with_name(last_words.name + ".before"))
    _point(STDERR, last_words, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)


def _point(number: int, target: Path, flags: int) -> None:
    opened = os.open(target, flags | os.O_CLOEXEC, MODE)
    os.dup2(opened, number)
    os.close(opened)
