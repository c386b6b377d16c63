"""The local runtime under a seeded storm: kills, edits, wakes, deletions, killed runtimes; then it is as wanted.

Never two processes of an account at a time: the stand-ins hold the lock of their store and write down when they found
it taken, and each start's epoch is above the last one.
"""

import asyncio
import random
from pathlib import Path

import pytest

from ponton_operator.resources.account import Desired, account_name
from tests.harness.prosody import running_prosody
from tests.harness.redis import running_redis
from tests.integration.local_world import World, alive, apart, kill, until, with_servers

OWNERS = [f"u{number}@example.test" for number in range(4)]
ROUNDS = 3  # runs of the runtime, all but the last ended by kill -9
STEPS = 20  # deeds in each


class Storm:
    """Random deeds on one world; `wanted` is what should be in the end."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.random = random.Random(seed)
        self.store = world.store()
        self.domain = world.gateway["domain"]
        self.wanted: dict[str, Desired | None] = dict.fromkeys(OWNERS)

    def name(self, owner: str) -> str:
        """Give the account's name."""
        return account_name(self.domain, owner)

    async def step(self) -> None:
        """Do one thing."""
        owner = self.random.choice(OWNERS)
        deed = self.random.choice([self.create, self.create, self.want, self.crash, self.park, self.wake, self.delete])
        await deed(owner)
        await asyncio.sleep(self.random.uniform(0, 0.15))

    async def create(self, owner: str) -> None:
        """A door creates an account; while an old one is being deleted it is told so, and tries again."""
        await until(
            lambda: not (self.world.accounts / f"{self.name(owner)}.status.yaml").exists() or self.wanted[owner]
        )
        before = len(self.world.started(self.name(owner)))
        await self.store.create(owner)
        if self.wanted[owner] is None:
            self.wanted[owner] = Desired.RUNNING
            await until(lambda: len(self.world.started(self.name(owner))) > before)

    async def want(self, owner: str) -> None:
        """Somebody wants it otherwise."""
        if self.wanted[owner]:
            self.wanted[owner] = self.random.choice(list(Desired))
            await self.store.patch(self.name(owner), desired=self.wanted[owner])

    async def crash(self, owner: str) -> None:
        """The process is killed."""
        if told := self.world.started(self.name(owner)):
            kill(told[-1]["pid"])

    async def park(self, owner: str) -> None:
        """The shard ends for good."""
        self.world.order(self.name(owner), "say CodesUsedUp", "exit 0")

    async def wake(self, owner: str) -> None:
        """A door wakes it."""
        if self.wanted[owner]:
            await self.store.wake(self.name(owner))
            if self.wanted[owner] is Desired.PARKED:
                self.wanted[owner] = Desired.RUNNING

    async def delete(self, owner: str) -> None:
        """A door deletes it."""
        await self.store.delete(self.name(owner))
        self.wanted[owner] = None

    async def settle(self) -> None:
        """Wake who may run, and wait until everything is as wanted."""
        for owner, desired in self.wanted.items():
            (self.world.root / "orders" / f"{self.name(owner)}.do").unlink(missing_ok=True)
            if desired:
                await self.wake(owner)
        for owner, desired in self.wanted.items():
            name = self.name(owner)
            if desired is None:
                await until(lambda name=name: self.world.status(name) is None)  # type: ignore[misc]  # bound at once
            elif desired is Desired.RUNNING:
                await until(lambda name=name: self.world.running(name), 60)  # type: ignore[misc]  # the same
            else:
                await until(lambda name=name: not self.world.running(name))  # type: ignore[misc]  # the same


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_storm_passes(tmp_path: Path, seed: int) -> None:
    """After any storm each account is as wanted, with its own store, and nothing ran twice or was left behind."""
    (tmp_path / "redis").mkdir()
    async with running_prosody(tmp_path / "prosody") as prosody, running_redis(tmp_path / "redis") as redis:
        world = with_servers(World(tmp_path / "world"), prosody, redis)
        storm = Storm(world, seed)
        for round_ in range(ROUNDS):
            async with apart(world) as process:
                log = world.root / "runtime.log"
                await until(lambda: log.read_text().count("runtime_started") == round_ + 1)  # noqa: B023  # asked at once
                for _ in range(STEPS):
                    await storm.step()
                if round_ < ROUNDS - 1:
                    process.kill()
                    await process.wait()
                else:
                    await storm.settle()
    everything = [told for owner in OWNERS for told in world.started(storm.name(owner))]
    assert len(everything) > ROUNDS
    assert not (world.root / "orders" / "overlaps").exists()
    assert [] == [told["pid"] for told in everything if alive(told["pid"])]
    for owner in OWNERS:
        epochs = [told["epoch"] for told in world.started(storm.name(owner))]
        assert sorted(set(epochs)) == epochs
        if storm.wanted[owner] is None:
            assert not (world.root / "state" / "shards" / storm.name(owner)).exists()
