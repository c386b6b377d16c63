"""The local runtime with real Prosody and Redis: fences, users, states, unlinking, and what is left at the end."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from ponton_bridge.coordination.client.door import DoorClient
from ponton_bridge.coordination.client.shard import ShardClient
from ponton_bridge.coordination.contract import Command, Heartbeat, Keys, Result, StateChange, Verb
from ponton_bridge.shard import commands
from ponton_operator.cluster import coordination
from ponton_operator.plan import deletion
from ponton_operator.plan.values import Step
from ponton_operator.resources.base import Truth
from tests.harness.prosody import Prosody, running_prosody
from tests.harness.redis import RedisServer, running_redis
from tests.integration.local_world import World, until, with_servers

OWNER = "alice@example.test"


@pytest.fixture
async def prosody(tmp_path: Path) -> AsyncIterator[Prosody]:
    """A Prosody with the module."""
    async with running_prosody(tmp_path / "prosody") as server:
        yield server


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A Redis of its own, with a password for the control plane."""
    folder = tmp_path / "redis"
    folder.mkdir()
    async with running_redis(folder, requirepass="control-plane") as server:
        yield server


@pytest.fixture
def world(tmp_path: Path, prosody: Prosody, redis: RedisServer) -> World:
    """A world with both."""
    return with_servers(World(tmp_path / "world"), prosody, redis)


class Played:
    """The Redis side of a shard, played by the test with what the runtime told the stand-in."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.name, self.epoch, self.instance = told["name"], told["epoch"], told["instance"]
        self.client = ShardClient(told["secrets"]["redis-url"], Keys("wa", self.name), self.epoch, self.instance)
        self.commands: list[Command] = []
        self.beat = Heartbeat(self.epoch, self.instance, time.time())
        self.can_unlink = True

    def say(self, reason: str, *, instance: str | None = None, **fields: int) -> None:
        """Publish a state."""
        self.client.publish_state(
            StateChange(self.name, self.epoch, instance or self.instance, reason, time.time(), **fields)
        )

    async def handle(self, command: Command) -> Result:
        """Do what is asked: only unlinking."""
        self.commands.append(command)
        return Result(command.id, int(self.can_unlink), "" if self.can_unlink else "not now")


@asynccontextmanager
async def played(told: dict[str, Any]) -> AsyncIterator[Played]:
    """Play the shard until the end of the block."""
    shard = Played(told)
    task = asyncio.create_task(shard.client.run(shard.handle, lambda: shard.beat))
    try:
        yield shard
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await shard.client.release()


def condition(world: World, name: str, kind: str) -> Truth | None:
    """Give the status of an account's condition."""
    account = world.status(name)
    return next((c.status for c in account.status.conditions if c.type == kind), None) if account else None


async def test_states_become_conditions(world: World) -> None:
    """What the shard publishes is on the resource; what somebody else publishes in its name is not."""
    async with world.up():
        world.put("acc-1")
        await until(lambda: world.started("acc-1"))
        async with played(world.started("acc-1")[0]) as shard:
            shard.say("WaitingForScan", xmpp=1)
            await until(lambda: world.reason("acc-1") == "WaitingForScan")
            assert Truth.TRUE == condition(world, "acc-1", "XMPPConnected")
            shard.say("Banned", instance="guessed", xmpp=0)
            shard.say("Connected", xmpp=1, paired=1)
            await until(lambda: world.reason("acc-1") == "Connected")
            assert Truth.TRUE == condition(world, "acc-1", "Ready")
            status = world.status("acc-1")
            assert status
            assert status.status.paired
            await until(lambda: world.gateway_status().get("running") == 1)
        world.order("acc-1", "exit 1")
        await until(lambda: len(world.started("acc-1")) == 2)
    first, second = (told["environment"] for told in world.started("acc-1"))
    assert "PONTON_PREVIOUS_EPOCH" not in first
    assert first["PONTON_EPOCH"] == second["PONTON_PREVIOUS_EPOCH"]
    assert "Banned" not in str([event.get("reason") for event in world.events("phase_changed")])


async def test_a_redis_that_forgot_gets_its_users_again(world: World, redis: RedisServer) -> None:
    """After a restart that lost everything, shards can log in again, and their states arrive."""
    async with world.up():
        world.put("acc-1")
        await until(lambda: world.started("acc-1"))
        async with played(world.started("acc-1")[0]) as shard:
            shard.say("Connected", xmpp=1, paired=1)
            await until(lambda: world.reason("acc-1") == "Connected")
            await redis.restart()
            await until(lambda: len(world.events("redis_reached")) == 2)
            await until(lambda: not shard.client.away)
            shard.say("ConnectionLost", xmpp=1, paired=1)
            await until(lambda: world.reason("acc-1") == "ConnectionLost")


async def test_a_start_without_redis_catches_up(world: World, redis: RedisServer) -> None:
    """With Redis away shards start all the same; when it comes they have their users and are heard."""
    await redis.stop()
    async with world.up():
        world.put("acc-1")
        await until(lambda: world.running("acc-1"))
        await redis.start()
        async with played(world.started("acc-1")[0]) as shard:
            shard.say("Connected", xmpp=1, paired=1)
            await until(lambda: world.reason("acc-1") == "Connected")


async def test_heartbeats_tell_what_the_stream_did_not(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state that got lost on the stream is found in the heartbeat."""
    monkeypatch.setattr(coordination, "SWEEP", 0.1)
    async with world.up():
        world.put("acc-1")
        await until(lambda: world.started("acc-1"))
        told = world.started("acc-1")[0]
        async with played(told) as shard:
            shard.beat = Heartbeat(
                told["epoch"], told["instance"], time.time(), "Connected", time.time(), xmpp=1, paired=1
            )
            await until(lambda: world.reason("acc-1") == "Connected")


async def test_a_start_raises_the_fence(world: World, prosody: Prosody) -> None:
    """When the shard starts, Prosody holds its epoch already, and a higher one after its restart."""
    async with world.up():
        world.put("acc-1")
        for count in (1, 2):
            await until(lambda count=count: len(world.started("acc-1")) == count)  # type: ignore[misc]  # bound at once
            code, held = await prosody.control("status", OWNER)
            assert (200, world.started("acc-1")[-1]["epoch"]) == (code, held["epoch"])
            world.order("acc-1", "exit 1")


async def test_deleting_leaves_nothing(world: World, prosody: Prosody, redis: RedisServer) -> None:
    """The running shard is asked to unlink; then it, Prosody's record, Redis, store, secrets and status are gone."""
    store = world.store()
    async with world.up():
        name = (await store.create(OWNER)).metadata.name
        await until(lambda: world.started(name))
        async with played(world.started(name)[0]) as shard:
            shard.say("Connected", xmpp=1, paired=1)
            await until(lambda: condition(world, name, "Paired") is Truth.TRUE)
            await store.delete(name)
            await until(lambda: world.status(name) is None)
            assert [(Verb.UNLINK, commands.FORGET)] == [(command.verb, command.argument) for command in shard.commands]
        _, held = await prosody.control("status", OWNER)
        assert held.get("error") == "item-not-found" or held.get("released")
        door = DoorClient(redis.url, "wa")
        assert not await door.has_user(name)
        assert None is await door.heartbeat(name)
        await door.close()
        assert not (world.root / "state" / "shards" / name).exists()
        assert [] == [path for path in world.accounts.iterdir() if path.name != ".lock"]
        assert None is await store.get(name)
        assert [0] == [event["problems"] for event in world.events("account_deleted")]


async def test_a_parked_account_is_started_to_unlink(world: World) -> None:
    """Deleting a parked account that is paired starts a shard, asks it, and ends it."""
    async with world.up():
        file = world.put("acc-1")
        await until(lambda: world.started("acc-1"))
        async with played(world.started("acc-1")[0]) as shard:
            shard.say("Connected", xmpp=1, paired=1)
            await until(lambda: condition(world, "acc-1", "Paired") is Truth.TRUE)
        world.put("acc-1", desired="Parked")
        await until(lambda: world.reason("acc-1") == "Parked")
        await until(lambda: not world.running("acc-1"))
        file.unlink()
        await until(lambda: len(world.started("acc-1")) == 2)
        async with played(world.started("acc-1")[1]) as shard:
            shard.can_unlink = False
            await until(lambda: shard.commands)
            shard.can_unlink = True  # the second try works
            await until(lambda: world.status("acc-1") is None)
        assert len(shard.commands) >= 2
        assert not world.running("acc-1")


async def test_what_cannot_be_done_is_said(
    world: World, prosody: Prosody, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Redis and Prosody away the account goes all the same, in time, and the host is told what stayed."""
    monkeypatch.setattr(deletion, "DEADLINE", dict.fromkeys(Step, 1.0))
    async with world.up():
        file = world.put("acc-1")
        await until(lambda: world.started("acc-1"))
        async with played(world.started("acc-1")[0]) as shard:
            shard.say("Connected", xmpp=1, paired=1)
            await until(lambda: condition(world, "acc-1", "Paired") is Truth.TRUE)
        await redis.stop()
        await prosody.stop()
        file.unlink()
        await until(lambda: world.status("acc-1") is None)
        await until(lambda: "Linked devices" in str(world.gateway_status().get("problems")))
        assert "Prosody could not be told" in str(world.gateway_status()["problems"])
        assert not (world.root / "state" / "shards" / "acc-1").exists()
        assert [3] == [event["problems"] for event in world.events("account_deleted")]


async def test_no_address_or_secret_is_logged(world: World, prosody: Prosody) -> None:
    """Over a life of an account, neither the log nor file names hold the owner or a secret."""
    async with world.up():
        name = (await world.store().create(OWNER)).metadata.name
        await until(lambda: world.running(name))
        world.order(name, "exit 3")
        await until(lambda: len(world.started(name)) == 2)
        names = "\n".join(str(path) for path in world.root.rglob("*"))
        await world.store().delete(name)
        await until(lambda: world.status(name) is None)
    log = world.log.getvalue()
    for canary in ("alice", prosody.secrets.master, prosody.secrets.admin_token):
        assert canary not in log
        assert canary not in names
