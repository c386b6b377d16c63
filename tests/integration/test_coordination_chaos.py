"""Several accounts and epochs while Redis is killed, frozen and emptied at random: what must hold all the same."""

import asyncio
import contextlib
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ponton_bridge.coordination.client import shard as shards
from ponton_bridge.coordination.client.door import DoorClient, RedisAway
from ponton_bridge.coordination.client.scripts import EpochRefused
from ponton_bridge.coordination.client.shard import ShardClient
from ponton_bridge.coordination.client.wire import Wire
from ponton_bridge.coordination.contract import Command, Heartbeat, Keys, Result, StateChange
from tests.harness.prosody import until
from tests.harness.redis import RedisServer, running_redis

ACCOUNTS = [f"acc-{n}" for n in range(4)]
SECONDS = 12.0


@dataclass
class Process:
    """A shard of an epoch; it is fenced, or runs until the end."""

    account: str
    epoch: int
    url: str
    done: Counter[str] = field(default_factory=Counter)
    fenced: bool = False

    def __post_init__(self) -> None:
        self.client = ShardClient(self.url, Keys("gw", self.account), self.epoch, f"i{self.epoch}")
        self.client.publish_state(StateChange(self.account, self.epoch, f"i{self.epoch}", "Connected", 1.0))
        self.task = asyncio.create_task(self.run())

    async def run(self) -> None:
        """Run; note when a newer one has taken over."""
        try:
            await self.client.run(self.handle, self.beat)
        except EpochRefused:
            self.fenced = True

    async def handle(self, command: Command) -> Result:
        """Count what was asked; an answer names the epoch that gave it."""
        self.done[command.id] += 1
        return Result(command.id, ok=1, value=f"{self.account} {self.epoch}")

    def beat(self) -> Heartbeat:
        """A heartbeat that names the epoch."""
        return Heartbeat(epoch=self.epoch, instance=f"i{self.epoch}", time=0.0, reason="Connected")


async def nemesis(server: RedisServer, rng: random.Random) -> None:
    """Kill, freeze and empty Redis until cancelled; it always comes back."""
    while True:
        await asyncio.sleep(rng.uniform(0.2, 1.0))
        match rng.choice(["kill", "freeze", "restart", "flush"]):
            case "kill":
                await server.kill()
                await asyncio.sleep(rng.uniform(0.0, 0.8))
                await server.start()
            case "freeze":
                server.pause()
                await asyncio.sleep(rng.uniform(0.1, 1.0))
                server.resume()
            case "restart":
                await server.restart()
            case _:
                wire = Wire(server.url)
                with contextlib.suppress(RedisAway):
                    await wire.call("FLUSHALL", seconds=0.5)
                await wire.close()


async def ask(door: DoorClient, rng: random.Random, processes: list[Process]) -> tuple[int, int]:
    """Ask like impatient people; every answer must come from the account asked. Gives answered and unanswered."""
    answered = unanswered = 0
    while True:
        account = rng.choice(ACCOUNTS)
        try:
            result = await door.command(account, "status", "", 0.5, 0.5)
        except RedisAway:
            unanswered += 1
        else:
            answered += result is not None
            unanswered += result is None
            if result:
                assert result.value.split()[0] == account
        if answered + unanswered and all(process.task.done() for process in processes):
            return answered, unanswered
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("seed", [11, 12])
async def test_holds_under_chaos(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No shard dies of Redis, none answers for another, successors take over, and in the end all is as it should be."""
    for module, name, value in ((shards, "LEASE_RENEW", 0.2), (shards, "CALL", 0.3), (shards, "LONGEST_WAIT", 0.5)):
        monkeypatch.setattr(module, name, value)
    rng = random.Random(seed)
    async with running_redis(tmp_path) as server:
        door = DoorClient(server.url, "gw")
        processes = [Process(account, 1, server.url) for account in ACCOUNTS]
        chaos = asyncio.create_task(nemesis(server, rng))
        asking = asyncio.create_task(ask(door, random.Random(seed + 1), processes))
        for epoch in range(2, 6):
            await asyncio.sleep(SECONDS / 5)
            processes.append(Process(ACCOUNTS[epoch % 2], epoch, server.url))
        await asyncio.sleep(SECONDS / 5)
        chaos.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await chaos
        server.resume()
        await server.start()

        newest = {account: max(p.epoch for p in processes if p.account == account) for account in ACCOUNTS}
        living = [p for p in processes if p.epoch == newest[p.account]]

        async def settled() -> bool:
            beats = await door.heartbeats(ACCOUNTS)
            return {account: beat.epoch for account, beat in beats.items()} == newest

        await until(settled, timeout=30)
        await until(lambda: all(p.fenced for p in processes if p not in living), timeout=30)
        await until(lambda: not any(p.client.away for p in living), timeout=30)
        assert not any(p.task.done() for p in living)
        for account in ACCOUNTS:
            result = await door.command(account, "status", "", 10.0, 10.0)
            assert result is not None
            assert f"{account} {newest[account]}" == result.value
        told = {change.account: change.epoch for _, change in await door.states("0", 5.0)}
        assert newest == told
        assert {1} >= {times for process in processes for times in process.done.values()}

        for process in living:
            process.task.cancel()
        await asyncio.gather(*(process.task for process in processes), return_exceptions=True)
        answered, _ = await asking
        assert answered > 10
        await door.close()
