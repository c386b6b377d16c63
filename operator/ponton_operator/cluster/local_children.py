"""The child processes of the local runtime, by account: started, told to end, killed, reaped; none gets out of sight.

A successor is possible only when the predecessor's end is certain: it was reaped, or, if an earlier run of the runtime
was killed, its process is gone and its store's lock is free. Called by `local_runtime`.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ponton_operator.cluster.local_files import write_whole
from ponton_operator.cluster.local_logs import BoundedLog
from ponton_operator.cluster.local_spawn import Child, Spawn, SpawnOptions, started_at
from ponton_operator.plan.values import Process

GRACE: Final = 20.0  # seconds between TERM and KILL; a shard drains in less
_LOOK: Final = 0.05  # seconds between two looks at a leftover's lock


@dataclass(slots=True)
class Running:
    """One process: known by its epoch, and by an instance id that nobody else can guess."""

    epoch: int
    instance: str
    child: Child | None
    told: bool = False
    ended: bool = False
    exit_code: int | None = None
    kill: asyncio.TimerHandle | None = None
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class Children:
    """All children; `changed(name)` is called when one has ended, `killed(name)` when one did not end in its grace."""

    def __init__(self, spawn: Spawn, changed: Callable[[str], None], killed: Callable[[str], None]) -> None:
        self._spawn = spawn
        self._changed = changed
        self._killed = killed
        self._all: dict[str, dict[int, Running]] = {}

    def processes(self, name: str) -> tuple[Process, ...]:
        """Give what a plan sees of an account's processes."""
        return tuple(
            Process(r.epoch, ended=r.ended, exit_code=r.exit_code, told=r.told)
            for r in self._all.get(name, {}).values()
        )

    def running(self, name: str, epoch: int) -> Running | None:
        """Give one process, ended or not."""
        return self._all.get(name, {}).get(epoch)

    def alive(self) -> list[tuple[str, int]]:
        """Give name and epoch of every process that has not ended and was not told to."""
        return [(name, r.epoch) for name, all_ in self._all.items() for r in all_.values() if not (r.ended or r.told)]

    def is_running(self, name: str) -> bool:
        """Whether there is a process that has not ended."""
        return any(not r.ended for r in self._all.get(name, {}).values())

    def start(self, name: str, running: Running, argv: Sequence[str], env: Mapping[str, str], place: "Place") -> None:
        """Start a child. Raises OSError; a start that failed leaves no trace."""
        log = BoundedLog(place.log) if place.log else None
        try:
            options = SpawnOptions(place.cwd, log.writer if log else 2, place.uid, place.nice)
            running.child = self._spawn(argv, env, options)
        except BaseException:
            if log:
                log.close()
            raise
        if log:
            log.started()
        self._all.setdefault(name, {})[running.epoch] = running
        note = json.dumps({"pid": running.child.pid, "start": started_at(running.child.pid), "epoch": running.epoch})
        with contextlib.suppress(OSError):  # without a note a later run has the store's lock to go by
            write_whole(place.pidfile, note, durable=False)  # no process outlives the machine
        self._follow(name, running, self._reap(name, running, place.pidfile, log))

    def failed(self, name: str, epoch: int, exit_code: int | None) -> None:
        """Record a start that did not work as a process that ended at once."""
        self._all.setdefault(name, {})[epoch] = Running(epoch, "", None, ended=True, exit_code=exit_code)

    def stop(self, name: str, epoch: int, grace: float = GRACE) -> None:
        """Tell a process to end, and kill it when it has not after `grace` seconds; harmless when it has ended."""
        running = self.running(name, epoch)
        if running is None or running.ended or running.told or running.child is None:
            return
        running.told = True
        running.child.send(signal.SIGTERM)
        running.kill = asyncio.get_running_loop().call_later(grace, self._kill, name, running)

    def end(self, name: str, epoch: int) -> None:
        """End a process at once, by force; harmless when it has ended. Its end is one that nobody asked for."""
        running = self.running(name, epoch)
        if running and not running.ended and running.child:
            running.child.send(signal.SIGKILL)

    def collect(self, name: str, epoch: int) -> None:
        """Forget a process that has ended."""
        running = self.running(name, epoch)
        if running and running.ended:
            del self._all[name][epoch]
            if not self._all[name]:
                del self._all[name]

    async def stop_all(self, grace: float = GRACE) -> None:
        """Tell everything to end and wait until it has."""
        everything = [(name, r) for name, by_epoch in self._all.items() for r in by_epoch.values() if not r.ended]
        for name, running in everything:
            self.stop(name, running.epoch, grace)
        await asyncio.gather(*(task for _, r in everything for task in r.tasks), return_exceptions=True)

    def adopt(self, name: str, pidfile: Path, lock: Path) -> bool:
        """Take over what an earlier run may have left: kill it, and count it as alive until it is gone for certain.

        Gives whether there was anything. `lock` is the store's lock file.
        """
        try:
            note = json.loads(pidfile.read_text())
            pid, start, epoch = int(note["pid"]), int(note["start"]), int(note["epoch"])
        except (OSError, ValueError, TypeError, KeyError):
            pid, start, epoch = 0, -1, 0
        child = None
        if pid and started_at(pid) == start:
            with contextlib.suppress(ProcessLookupError):
                child = Child(pid)
                if started_at(pid) == start:  # now that the descriptor names it, look again: pids come back
                    child.send(signal.SIGKILL)
                else:
                    child = None
        if child is None and not _locked(lock):
            pidfile.unlink(missing_ok=True)
            return False
        running = Running(epoch, "", child, told=True)
        self._all.setdefault(name, {})[epoch] = running
        self._follow(name, running, self._outlive(name, running, pidfile, lock))
        return True

    # ---- inside --------------------------------------------------------------------------------------------

    def _follow(self, name: str, running: Running, work: Coroutine[object, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name=f"child {name}")
        running.tasks.add(task)

    def _kill(self, name: str, running: Running) -> None:
        if not running.ended and running.child:
            self._killed(name)
            running.child.send(signal.SIGKILL)

    async def _reap(self, name: str, running: Running, pidfile: Path, log: BoundedLog | None) -> None:
        code = await running.child.wait() if running.child else None
        if log:
            log.close()
        self._over(name, running, pidfile, code)

    async def _outlive(self, name: str, running: Running, pidfile: Path, lock: Path) -> None:
        if running.child:
            await running.child.wait()
        while _locked(lock):  # noqa: ASYNC110  # the kernel tells nobody when a lock is free
            await asyncio.sleep(_LOOK)
        self._over(name, running, pidfile, None)

    def _over(self, name: str, running: Running, pidfile: Path, code: int | None) -> None:
        if running.kill:
            running.kill.cancel()
        with contextlib.suppress(OSError):
            pidfile.unlink(missing_ok=True)
        running.ended, running.exit_code = True, code
        self._changed(name)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a child lives: working folder, pid file, log (None: our own stderr), user id (None: ours), niceness."""

    cwd: Path
    pidfile: Path
    log: Path | None
    uid: int | None = None
    nice: int = 0


def _locked(lock: Path) -> bool:
    """Whether a process holds the lock of a store (flock(2)); the lock is free again when we return."""
    try:
        number = os.open(lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(number)
    return False
