"""Carries out the plan of faults on a town, and keeps the books of what struck when. Called by `run`."""

import asyncio
import os
import signal
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from tests.chaos.recovery import Window
from tests.chaos.schedule import Fault, Strike
from tests.chaos.town import Town
from tests.harness.prosody import until

BACK = 60.0  # seconds for a server, or for a killed shard's process, to be there again
PATIENCE = 60.0  # seconds that an aimed fault waits for a message; then it comes all the same
LATE = 0.3  # seconds that this machine may be late in reaping and telling us


@dataclass
class Nemesis:
    """`kills`: moments of kill -9 by owner, the runtime's included; `away`: when all were without a server."""

    town: Town
    kills: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    alone: list[tuple[str, float]] = field(default_factory=list)  # kills of one shard
    storms: list[float] = field(default_factory=list)  # kills of the runtime
    away: list[Window] = field(default_factory=list)
    done: list[tuple[float, Strike]] = field(default_factory=list)
    _spoken: dict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)  # servers fail one after the other

    async def run(self, plan: Iterable[Strike]) -> None:
        """Strike at the planned times, counted from now; returns when the last fault is over."""
        begun = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for strike in plan:
                tasks.create_task(self._at(begun + strike.at, strike))

    def spoke(self, owner: str) -> None:
        """A message of this owner, in either direction, is written now."""
        self._spoken.pop(owner, asyncio.Event()).set()

    async def _at(self, moment: float, strike: Strike) -> None:
        await asyncio.sleep(moment - time.monotonic())
        means: dict[Fault, Callable[[Strike], Awaitable[None]]] = {
            Fault.SHARD_KILLED: self._kill_shard,
            Fault.SHARD_FROZEN: self._freeze_shard,
            Fault.PROSODY_RESTARTED: self._prosody,
            Fault.PROSODY_KILLED: self._prosody,
            Fault.REDIS_RESTARTED: self._redis,
            Fault.REDIS_AWAY: self._redis,
            Fault.RUNTIME_KILLED: self._kill_runtime,
            Fault.WHATSAPP_CUT: self._knob,
            Fault.MESSAGE_CORRUPTED: self._knob,
        }
        await means[strike.fault](strike)
        self.done.append((time.time(), strike))

    # --- one account ---

    async def _pid(self, owner: str) -> int:
        name, local = self.town.names[owner], self.town.stage.local
        await until(lambda: name in local.shards(), timeout=BACK, what="a shard to strike")
        return local.shards()[name]

    async def _kill_shard(self, strike: Strike) -> None:
        owner = strike.owner or ""
        if strike.aimed is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._spoken[owner].wait(), PATIENCE)
            await asyncio.sleep(strike.aimed)
        pid, now = await self._pid(owner), time.time()
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        self.kills[owner].append(now)
        self.alone.append((owner, now))

    async def _freeze_shard(self, strike: Strike) -> None:
        pid = await self._pid(strike.owner or "")
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(strike.seconds)
            os.kill(pid, signal.SIGCONT)

    async def _knob(self, strike: Strike) -> None:
        scope = self.town.phones[strike.owner or ""]
        if strike.fault is Fault.WHATSAPP_CUT:
            await self.town.sandbox.fault("drop", scope)
        else:
            await self.town.sandbox.fault("corrupt", scope, count=1)

    # --- everybody ---

    async def _prosody(self, strike: Strike) -> None:
        prosody = self.town.stage.prosody
        async with self._one:
            begun = time.time()
            await (prosody.kill() if strike.fault is Fault.PROSODY_KILLED else prosody.stop())
            await prosody.start()
            await until(self._desk, timeout=BACK, what="the front desk's stream")
            self.away.append((begun, time.time()))

    async def _redis(self, strike: Strike) -> None:
        redis = self.town.stage.redis
        async with self._one:
            await redis.stop()
            await asyncio.sleep(strike.seconds)
            await redis.start()

    async def _kill_runtime(self, _: Strike) -> None:
        local = self.town.stage.local
        async with self._one:
            begun = time.time()
            await local.kill()
            for owner in self.town.owners:
                self.kills[owner].append(begun)
            self.storms.append(begun)
            await local.start()
            self.away.append((begun, time.time() + LATE))

    async def _desk(self) -> bool:
        return bool((await self.town.stage.prosody.view())["gateway"]["connected"])
