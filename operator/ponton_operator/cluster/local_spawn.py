"""How the local runtime starts a child process, and waits for its end.

A child ends with its parent (PR_SET_PDEATHSIG, prctl(2)), gains no privileges, dumps no core, and, when told so, runs
under a user id of its own. The way to spawn is an argument of the runtime, so that tests may lead a shard into
their sandbox; the product itself has no switch for that. Called by `local_children` and `local_desk`.
"""

import asyncio
import contextlib
import ctypes
import os
import resource
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_PR_SET_NO_NEW_PRIVS: Final = 38
_LIBC = ctypes.CDLL(None)
_LIBC.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4


@dataclass(frozen=True, slots=True)
class SpawnOptions:
    """Where and as whom: working folder, file descriptor for stdout and stderr, user (and group) id or None = ours.

    `nice`: by how much the child gives way to others when processors are scarce (nice(2)).
    """

    cwd: Path
    output: int
    uid: int | None = None
    nice: int = 0


class Child:
    """A process that we started, or (by `of`) one of an earlier run; made inside the running loop."""

    def __init__(self, pid: int, popen: subprocess.Popen[bytes] | None = None) -> None:
        self.pid = pid
        self._popen = popen
        self._pidfd = os.pidfd_open(pid)
        self._ended: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(self._pidfd, self._reap)

    async def wait(self) -> int | None:
        """Wait until it has ended for certain; gives its exit code (negative: signal), None where nobody can know."""
        return await asyncio.shield(self._ended)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to exactly this process; harmless when it has ended."""
        if not self._ended.done():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def _reap(self) -> None:
        """The descriptor of a process becomes readable when it has ended (pidfd_open(2))."""
        asyncio.get_running_loop().remove_reader(self._pidfd)
        if self._popen:  # as long as it is not reaped its group cannot be another's: what it started ends with it
            with contextlib.suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)
        code = self._popen.wait() if self._popen else None
        os.close(self._pidfd)
        if not self._ended.done():
            self._ended.set_result(code)


Spawn = Callable[[Sequence[str], Mapping[str, str], SpawnOptions], Child]


def spawn_child(argv: Sequence[str], env: Mapping[str, str], options: SpawnOptions) -> Child:
    """Start a child, on the thread of the event loop; raises OSError when that cannot be done.

    The loop's thread it must be: the kernel sends the death signal when the *thread* that forked ends. Forking takes
    some milliseconds, which is less than what a helper thread would complicate.
    """
    parent = os.getpid()

    def leash() -> None:  # runs in the child, after the change of user (which would undo it) and before exec
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.nice(options.nice)
        if os.getppid() != parent:  # it ended before the leash was on
            os._exit(1)

    popen = subprocess.Popen(  # noqa: S603  # argv is ours, no shell
        list(argv),
        env=dict(env),
        cwd=options.cwd,
        stdin=subprocess.DEVNULL,
        stdout=options.output,
        stderr=options.output,
        preexec_fn=leash,  # noqa: PLW1509  # nothing else can set a death signal; it takes no lock
        start_new_session=True,  # Ctrl-C at the terminal is for the runtime, which ends its children in order
        user=options.uid,
        group=options.uid,
        extra_groups=None if options.uid is None else [],
        umask=0o077,
    )
    return Child(popen.pid, popen)


def started_at(pid: int) -> int | None:
    """Give the start time of a process in clock ticks since boot (proc(5), stat field 22), None when there is none.

    Together with the pid it names one process for ever, while pids come again.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else int(fields[18])
