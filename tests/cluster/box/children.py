"""The processes that the first process of a box looks after: started, reaped, named in its log; called by `first`."""

import os
import time
from collections.abc import Callable
from pathlib import Path

_STEP = 0.03  # seconds between two looks at a condition


class Ended(Exception):
    """A program that the box cannot do without has ended; the text says which and shows its last lines."""


class Children:
    """Starts programs with a log file each; the orphans of their namespaces come here too and are reaped."""

    def __init__(self, logs: Path, environ: dict[str, str]) -> None:
        logs.mkdir(exist_ok=True)
        self._logs = logs
        self._environ = environ
        self._names: dict[int, str] = {}

    def start(self, name: str, line: list[str]) -> None:
        """Run `line`; its output goes to the log `name`."""
        files = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, self._logs / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        # Not subprocess: look() below is the only one to reap, because orphans come to us too.
        self._names[os.posix_spawn(line[0], line, self._environ, file_actions=files)] = name

    def look(self) -> None:
        """Reap whatever has ended; raises Ended when it was one of ours: none of them ends in a healthy box."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if name := self._names.pop(pid, None):
                code = os.waitstatus_to_exitcode(status)
                raise Ended(f"{name} ended with {code}:\n{self.tail(name)}")

    def until(self, what: str, condition: Callable[[], bool], seconds: float) -> None:
        """Wait until `condition` holds; raises Ended as soon as a program dies, TimeoutError naming `what`."""
        deadline = time.monotonic() + seconds
        while not condition():
            self.look()
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {seconds:g} s: {what}")
            time.sleep(_STEP)

    def tail(self, name: str, size: int = 3000) -> str:
        """The last bytes that a program wrote."""
        path = self._logs / f"{name}.log"
        return path.read_bytes()[-size:].decode(errors="replace") if path.exists() else ""
