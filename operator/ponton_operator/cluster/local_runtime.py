"""The local runtime: the same resources, plans, doors and shards as on a cluster, with a folder instead of the API.

Watches the folder of accounts and the gateway's file, lets the reconciler do the rest, and keeps the front desk. Called
by `programs.local`. Everything that a plan rests on is in files or in the children's table, so the runtime may be
killed at any moment; its children end with it, and the next run takes new epochs.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ponton_bridge.coordination.contract import StateChange
from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.coordination import Coordination
from ponton_operator.cluster.events import Event
from ponton_operator.cluster.local_backend import LocalBackend
from ponton_operator.cluster.local_children import GRACE, Children
from ponton_operator.cluster.local_desk import DOORS, FRONT_DESK, PORTAL, Door, LocalDoor
from ponton_operator.cluster.local_folder import POLL, REST, Folder
from ponton_operator.cluster.local_gateway import Gateway
from ponton_operator.cluster.local_isolation import Uids
from ponton_operator.cluster.local_layout import Home
from ponton_operator.cluster.local_pulse import LOOK, Pulses, stamp
from ponton_operator.cluster.local_registry import Registry
from ponton_operator.cluster.local_shards import Shards
from ponton_operator.cluster.local_spawn import Spawn
from ponton_operator.cluster.local_summary import Seen, summary
from ponton_operator.cluster.reconcile import Reconciler
from ponton_operator.plan.environment import Told

_SUMMARY: Final = 0.5  # seconds between looks at what the gateway's status should say


@dataclass(frozen=True, slots=True)
class Settings:
    """Where things are; `uids` empty: all run as we do, `reduced` says why. `through`: children write to our stderr."""

    accounts: Path
    state: Path
    uids: range = range(0)
    reduced: str = ""
    through: bool = False


class LocalRuntime:
    """One gateway on this machine."""

    def __init__(
        self, settings: Settings, gateway: Gateway, spawn: Spawn, log: Log, clock: Callable[[], float] = time.time
    ) -> None:
        resource = gateway.resource
        self._settings, self._gateway, self._log, self._clock = settings, gateway, log, clock
        self._children = Children(spawn, self._changed, lambda name: log(Event.SHARD_KILLED, "warning", account=name))
        self._registry = Registry(Folder(settings.accounts, resource.metadata.name), log, clock)
        self._coordination = Coordination(gateway.redis_url, resource.metadata.name, gateway.master, self._told, log)
        uids = Uids(settings.state / "uids.json", settings.uids)
        uids.load()
        self._shards = Shards(
            settings.state / "shards", gateway, self._children, self._coordination, uids, log, settings.through
        )
        backend = LocalBackend(self._registry, self._children, self._shards, log)
        self._accounts = Reconciler(backend, clock, record=self._coordination.record)
        self._desk = self._door(FRONT_DESK, gateway.tell_desk)
        self._portal = self._door(PORTAL, gateway.tell_portal)
        self._open_doors()

    def _door(self, door: Door, tell: Callable[[int, str, Home, Path], Told]) -> LocalDoor:
        home, accounts = Home(self._settings.state / door.name), self._settings.accounts.absolute()

        def told(epoch: int, instance: str) -> Told:
            return tell(epoch, instance, home, accounts)

        return LocalDoor(door, home, self._children, told, self._log, self._settings.through)

    def _open_doors(self) -> None:
        """Switch the doors on or off, as the gateway says now."""
        selfservice = self._gateway.resource.spec.selfservice
        self._desk.on, self._portal.on = selfservice.front_desk, selfservice.portal is not None

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then end everything in order: the door, the shards, the books."""
        self._adopt()
        self._registry.folder.scan()
        self._registry.recover()
        self._take()
        self._log(
            Event.RUNTIME_STARTED,
            accounts=len(self._registry.held),
            isolation="by process" if self._settings.reduced else "by user",
        )
        async with asyncio.TaskGroup() as tasks:
            loops = (
                self._coordination.run(),
                self._watch(),
                self._desk.run(),
                self._portal.run(),
                self._summarise(),
                self._watch_pulses(),
            )
            running = [tasks.create_task(loop) for loop in loops]
            await stop.wait()
            for task in running:
                task.cancel()
        await self._end()

    def _adopt(self) -> None:
        """Find what an earlier run may have left behind, even of accounts that are gone."""
        shards = self._settings.state / "shards"
        doors = [Home(self._settings.state / name) for name in DOORS]
        for home in [*doors, *(Home(path) for path in shards.glob("*"))]:
            if self._children.adopt(home.path.name, home.pidfile, home.lock):
                self._log(Event.LEFTOVER_FOUND, "warning", account=home.path.name)

    async def _watch(self) -> None:
        """Look at the files again and again; a look that takes longer is followed by a longer rest."""
        while True:
            began = time.monotonic()
            gateway, accounts = await asyncio.to_thread(self._look)
            cost = time.monotonic() - began
            if gateway:
                self._gateway_changed()
            if accounts or self._registry.unsettled:
                self._take()
            await asyncio.sleep(max(POLL, REST * cost))

    async def _watch_pulses(self) -> None:
        """End shards that hang, again and again."""
        pulses = Pulses()
        while True:
            alive = [(name, epoch) for name, epoch in self._children.alive() if name not in DOORS]
            stamps = await asyncio.to_thread(self._stamps, alive)
            for name, epoch in pulses.look(stamps, time.monotonic()):
                self._log(Event.SHARD_HUNG, "error", account=name, epoch=epoch)
                self._children.end(name, epoch)
            await asyncio.sleep(LOOK)

    def _stamps(self, alive: list[tuple[str, int]]) -> dict[tuple[str, int], int]:
        return {key: stamp(self._shards.home(key[0]).lock) for key in alive}

    def _look(self) -> tuple[bool, bool]:
        """Give whether the gateway's file changed, and whether the accounts' did. Runs in a thread."""
        gateway = self._gateway.refresh()
        try:
            return gateway, self._registry.look()
        except OSError:  # a folder that cannot be read leaves everything as it is; the registry says so
            return gateway, False

    def _take(self) -> None:
        for name in self._registry.take():
            self._accounts.queue.add(name)

    def _gateway_changed(self) -> None:
        self._log(Event.GATEWAY_READ, revision=self._gateway.revision)
        self._open_doors()
        for door in (self._desk, self._portal):
            door.restart()
        self._accounts.admit()
        for name in self._registry.held:
            self._accounts.queue.add(name)

    def _told(self, state: StateChange) -> None:
        self._accounts.told(state)

    def _changed(self, name: str) -> None:
        """A child has ended."""
        doors = {FRONT_DESK.name: self._desk, PORTAL.name: self._portal}
        if name in doors:
            doors[name].changed()
        else:
            self._accounts.queue.add(name)

    async def _summarise(self) -> None:
        while True:
            problems = (
                self._gateway.problem,
                self._desk.problem,
                self._portal.problem,
                *self._registry.problems(),
                *self._shards.problems.values(),
            )
            seen = Seen(
                problems=tuple(problem for problem in problems if problem),
                redis=not self._coordination.away and self._coordination.users,
                desk=self._children.is_running(FRONT_DESK.name),
                portal=self._children.is_running(PORTAL.name),
                reduced=self._settings.reduced,
                turn=self._accounts.turn(),
            )
            accounts = [held.account for held in self._registry.held.values()]
            status = summary(self._gateway.resource.spec, self._gateway.status, accounts, seen, self._clock())
            await asyncio.to_thread(self._gateway.write_status, status)
            await asyncio.sleep(_SUMMARY)

    async def _end(self) -> None:
        await self._accounts.close()
        for door in (self._portal, self._desk):
            with suppress(TimeoutError):
                await door.close()
        await self._children.stop_all(GRACE)
        await self._accounts.record_ends(list(self._registry.held))
        await self._coordination.close()
        self._log(Event.RUNTIME_STOPPED)
