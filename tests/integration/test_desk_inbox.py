"""Commands to the front desk over a real Redis: done, answered, at least once, with no more rights than that needs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ponton_bridge.coordination.client.desk import DeskInbox
from ponton_bridge.coordination.client.door import DoorClient
from ponton_bridge.coordination.client.inbox import TOO_LATE
from ponton_bridge.coordination.client.wire import RedisAway, Wire
from ponton_bridge.coordination.contract import FRONT_DESK, Command, Door, Keys, Result, Verb
from ponton_bridge.model.errors import HostError
from ponton_operator.cluster.door_users import DoorUsers, door_url
from tests.harness.redis import RedisServer, running_redis

MASTER = "m" * 32
KEYS = Keys("wa", FRONT_DESK)
SECONDS = 10.0


class Handler:
    """Notes what comes and answers as told."""

    def __init__(self) -> None:
        self.seen: list[Command] = []
        self.problem: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, command: Command) -> Result:
        """Do one."""
        self.seen.append(command)
        await self.gate.wait()
        if self.problem:
            raise self.problem
        return Result(command.id, ok=1, value=command.argument)


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A Redis of its own, with a password for the control plane."""
    async with running_redis(tmp_path, requirepass="control-plane") as server:
        yield server


@asynccontextmanager
async def reading(url: str, handle: Handler) -> AsyncIterator[None]:
    """Read commands until the block ends."""
    task = asyncio.create_task(DeskInbox(url, "wa", handle).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def portal(redis: RedisServer) -> AsyncIterator[DoorClient]:
    """Be the portal."""
    door = DoorClient(redis.url, "wa")
    try:
        yield door
    finally:
        await door.close()


async def test_a_command_is_done_and_answered(redis: RedisServer) -> None:
    """The result comes back, and the entry is gone."""
    handle = Handler()
    async with reading(redis.url, handle), portal(redis) as door:
        result = await door.command(FRONT_DESK, Verb.LOGIN, "said", SECONDS, SECONDS)
    assert result is not None
    assert (1, "said") == (result.ok, result.value)
    wire = Wire(redis.url)
    assert 0 == await wire.call("XLEN", KEYS.commands)
    await wire.close()


async def test_the_front_desks_own_user_is_enough(redis: RedisServer) -> None:
    """On a cluster neither door is the control plane at Redis: one user can ask, the other read and answer."""
    user = DoorUsers(redis.url, "wa", MASTER)
    await user.look(Door, 0.0)
    door = DoorClient(door_url(redis.url, "wa", MASTER, Door.PORTAL), "wa")
    async with reading(door_url(redis.url, "wa", MASTER, Door.FRONT_DESK), Handler()):
        result = await door.command(FRONT_DESK, Verb.LOGIN, "said", SECONDS, SECONDS)
    for opened in (user, door):
        await opened.close()
    assert result is not None
    assert 1 == result.ok


async def test_a_problem_is_a_sentence(redis: RedisServer) -> None:
    """What goes wrong is told to the portal in words."""
    handle = Handler()
    handle.problem = HostError("Not connected.")
    async with reading(redis.url, handle), portal(redis) as door:
        result = await door.command(FRONT_DESK, Verb.LOGIN, "", SECONDS, SECONDS)
    assert result is not None
    assert (0, "Not connected.") == (result.ok, result.sentence)


async def test_a_command_that_nobody_read_waits_for_the_next_front_desk(redis: RedisServer) -> None:
    """It is done when one comes, within its deadline."""
    handle = Handler()
    async with portal(redis) as door:
        asked = asyncio.create_task(door.command(FRONT_DESK, Verb.LOGIN, "late", SECONDS, SECONDS))
        wire = Wire(redis.url)
        async with asyncio.timeout(SECONDS):
            while not await wire.call("XLEN", KEYS.commands):  # noqa: ASYNC110  # Redis tells nobody
                await asyncio.sleep(0.01)
        await wire.close()
        async with reading(redis.url, handle):
            result = await asked
    assert result is not None
    assert ["late"] == [command.argument for command in handle.seen]


async def test_a_front_desk_that_dies_leaves_the_command_to_the_next(redis: RedisServer) -> None:
    """At least once: what was begun and not answered is begun again."""
    first, second = Handler(), Handler()
    first.gate.clear()
    async with portal(redis) as door:
        asked = asyncio.create_task(door.command(FRONT_DESK, Verb.LOGIN, "x", SECONDS, SECONDS))
        async with reading(redis.url, first), asyncio.timeout(SECONDS):
            while not first.seen:  # noqa: ASYNC110  # the handler is the test's own
                await asyncio.sleep(0.01)
        async with reading(redis.url, second):
            result = await asked
    assert result is not None
    assert [first.seen[0].id] == [command.id for command in second.seen]


async def test_what_came_too_late_is_not_done(redis: RedisServer) -> None:
    """A code that nobody waits for any more is not said."""
    handle, wire = Handler(), Wire(redis.url)
    old = Command("c", Verb.LOGIN, 1.0)
    await wire.call("XADD", KEYS.commands, "*", *(part for pair in old.to_redis().items() for part in pair))
    async with reading(redis.url, handle):
        _, text = await wire.call("BLPOP", KEYS.result("c"), SECONDS, seconds=SECONDS + 1)
    await wire.close()
    assert TOO_LATE == Result.from_json(text).sentence
    assert [] == handle.seen


async def test_redis_may_go_and_come(redis: RedisServer) -> None:
    """Reading goes on by itself when Redis is back, even with nothing of what it knew."""
    handle = Handler()
    async with reading(redis.url, handle), portal(redis) as door:
        assert await door.command(FRONT_DESK, Verb.LOGIN, "1", SECONDS, SECONDS)
        await redis.stop()
        with pytest.raises(RedisAway):
            await door.command(FRONT_DESK, Verb.LOGIN, "2", 0.1, 0.1)
        await redis.start()
        assert await door.command(FRONT_DESK, Verb.LOGIN, "3", SECONDS, SECONDS)
    assert ["1", "3"] == [command.argument for command in handle.seen]
