"""A door as a child of the local runtime: always one, known by an epoch of its own, started again if it ends.

The doors are the front desk (its epoch is a fence, too) and the portal. Called by `local_runtime`. The programs are
`ponton frontdesk` and `ponton portal`; what they are told is in docs/local.md.
"""

import asyncio
import json
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ponton_bridge.model.errors import HostError
from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.events import Event
from ponton_operator.cluster.local_children import GRACE, Children, Place, Running
from ponton_operator.cluster.local_files import write_whole
from ponton_operator.cluster.local_isolation import program
from ponton_operator.cluster.local_layout import Home
from ponton_operator.plan.ends import BACKOFF_MAX, EX_CONFIG, HEALTHY_AFTER, backoff
from ponton_operator.plan.environment import Told
from ponton_operator.plan.starting import next_epoch


@dataclass(frozen=True, slots=True)
class Door:
    """One kind of door: its program, how the host calls it, and its events."""

    name: str
    title: str
    started: Event
    ended: Event


FRONT_DESK: Final = Door("frontdesk", "The front desk", Event.FRONT_DESK_STARTED, Event.FRONT_DESK_ENDED)
PORTAL: Final = Door("portal", "The portal", Event.PORTAL_STARTED, Event.PORTAL_ENDED)
DOORS: Final = frozenset({FRONT_DESK.name, PORTAL.name})


@dataclass(slots=True)
class LocalDoor:
    """Keeps one door running; `tell(epoch, instance)` says what it is told (raises HostError)."""

    door: Door
    home: Home
    children: Children
    tell: Callable[[int, str], Told]
    log: Log
    through: bool
    on: bool = True
    problem: str = ""
    _failures: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def changed(self) -> None:
        """Something may have to be done: it ended, or what it is told changed."""
        self._news.set()

    def restart(self) -> None:
        """End it, so that a new one starts with what it is told now; a wait for the next try is over."""
        self._failures = 0
        for process in self.children.processes(self.door.name):
            self.children.stop(self.door.name, process.epoch)
        self._news.set()

    async def run(self) -> None:
        """Keep it running until cancelled."""
        while True:
            self._news.clear()
            wait = await self._look()
            try:
                await asyncio.wait_for(self._news.wait(), wait)
            except TimeoutError:
                continue

    async def close(self) -> None:
        """End it and wait until it has."""
        self.on = False
        self.restart()
        while self.children.is_running(self.door.name):
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), GRACE + 5)

    async def _look(self) -> float | None:
        """Start it if there is none; gives the seconds to wait before the next try, None for as long as it runs."""
        wait = 0.0
        for process in self.children.processes(self.door.name):
            if not process.ended:
                return None
            wait = max(wait, self._ended(process.epoch, process.exit_code, told=process.told))
        if not self.on:
            return None
        if wait > 0:
            return wait
        return await self._start()

    def _ended(self, epoch: int, code: int | None, *, told: bool) -> float:
        self.log(self.door.ended, "info" if told else "warning", epoch=epoch, exit_code=code)
        self.children.collect(self.door.name, epoch)
        if told:
            self._failures = 0
            return 0.0
        lived = time.time() - epoch / 1000  # an epoch is the time of the start in milliseconds, or later
        self._failures = 1 if lived >= HEALTHY_AFTER else self._failures + 1
        return BACKOFF_MAX if code == EX_CONFIG else backoff(self._failures)

    async def _start(self) -> float | None:
        epoch, instance = await asyncio.to_thread(self._next_epoch), uuid.uuid4().hex
        place = Place(
            self.home.path, self.home.pidfile, None if self.through else self.home.path / f"{self.door.name}.log"
        )
        try:
            told = self.tell(epoch, instance)
            await asyncio.to_thread(self.home.furnish, told.secrets)
            environment = child_environment(self.home) | dict(told.environment)
            self.children.start(
                self.door.name, Running(epoch, instance, None), program(self.door.name), environment, place
            )
        except (HostError, OSError) as error:
            self.problem = f"{self.door.title} cannot start: {error}"
            self._failures += 1
            self.log(Event.START_FAILED, "error", program=self.door.name, error=type(error).__name__)
            return max(backoff(self._failures), 1.0)
        self.problem = ""
        self.log(self.door.started, epoch=epoch)
        return None

    def _next_epoch(self) -> int:
        """Take the next epoch and remember it first: a smaller one must never come after it."""
        file = self.home.path / "epoch.json"
        self.home.path.mkdir(parents=True, exist_ok=True)
        try:
            last = int(json.loads(file.read_text()))
        except (OSError, ValueError, TypeError):
            last = 0
        epoch = next_epoch(last, time.time())
        write_whole(file, json.dumps(epoch))
        return epoch


def child_environment(home: Home) -> dict[str, str]:
    """Give what every child gets besides its own variables: nothing of ours that could hold a secret.

    Its user may have no entry in /etc/passwd, and libraries ask for a home and a name.
    """
    ours = {name: os.environ[name] for name in ("PATH", "LANG", "TZ", "PYTHONPATH") if name in os.environ}
    own = {"HOME": str(home.store), "USER": home.path.name, "LOGNAME": home.path.name, "PYTHONDONTWRITEBYTECODE": "1"}
    return ours | own | {"LC_ALL": "C.UTF-8"}
