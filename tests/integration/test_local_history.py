"""On one machine: what happens to an account is kept as on a cluster, and what an owner chose reaches its process."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from ponton_bridge.coordination.client.door import DoorClient
from ponton_bridge.coordination.contract import Choices, Happening
from ponton_operator.resources.account import Preferences
from tests.harness.prosody import running_prosody
from tests.harness.prosody import until as eventually
from tests.harness.redis import RedisServer, running_redis
from tests.integration.local_world import SECONDS, World, kill, until, with_servers


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A Redis of its own."""
    async with running_redis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def world(tmp_path: Path, redis: RedisServer) -> World:
    """A world whose runtime finds that Redis."""
    made = World(tmp_path / "world")
    made.secret("redis", redis.url)
    return made


async def told(redis: RedisServer, name: str = "acc-1") -> list[Happening]:
    """Give what happened, oldest first."""
    door = DoorClient(redis.url, "wa")
    try:
        return list(reversed(await door.history(name)))
    finally:
        await door.close()


async def test_starts_ends_and_states_are_kept_over_a_restart(world: World, redis: RedisServer) -> None:
    """A crash and a park are told in their order; the next run of the runtime goes on with the same list."""
    async with world.up():
        world.put("acc-1")
        await until(lambda: world.started("acc-1"))
        kill(world.started("acc-1")[0]["pid"])
        await until(lambda: len(world.started("acc-1")) == 2)
        await _comes(redis, lambda seen: len(_started(seen)) == 2)
    epochs = [start["epoch"] for start in world.started("acc-1")]
    async with world.up():
        world.put("acc-1", desired="Parked")
        await _comes(redis, lambda seen: any(each.state.startswith("Parked") for each in seen))
    seen = await told(redis)
    assert epochs == _started(seen)[:2]
    assert ["-9"] == [each.ended for each in seen if each.ended]
    second = next(number for number, each in enumerate(seen) if each.started == epochs[1])
    parked = next(number for number, each in enumerate(seen) if each.state.startswith("Parked"))
    # The end of the first run told the second process to end, which is no fault of its own.
    assert any("PodScheduled=False" in each.turned for each in seen[second:parked])
    assert sorted(each.time for each in seen) == [each.time for each in seen]
    assert "alice" not in str(seen)


async def test_a_deleted_account_leaves_no_history(tmp_path: Path, redis: RedisServer) -> None:
    """Nothing is told of it once it is on its way out, so nothing is left when it is gone."""
    async with running_prosody(tmp_path / "prosody") as prosody:
        await _live_and_go(with_servers(World(tmp_path / "world"), prosody, redis), redis)
    assert [] == await told(redis)


async def _live_and_go(world: World, redis: RedisServer) -> None:
    """Let an account live, and delete it."""
    async with world.up():
        file = world.put("acc-1")
        await _comes(redis, lambda seen: bool(_started(seen)))
        file.unlink()
        await until(lambda: world.status("acc-1") is None)


async def test_what_was_chosen_is_told_to_a_new_process(world: World) -> None:
    """The environment says it, and nothing at all where everything is as usual."""
    async with world.up():
        world.put("acc-1")
        world.put("acc-2", owner="bob@example.test", preferences={"typing": False, "revision": 3})
        await until(lambda: world.started("acc-1") and world.started("acc-2"))
        assert "PONTON_CHOICES" not in world.started("acc-1")[0]["environment"]
        said = world.started("acc-2")[0]["environment"]["PONTON_CHOICES"]
    assert Choices(3, typing=0) == Choices.from_json(said)


async def test_a_choice_restarts_nobody(world: World) -> None:
    """A door's change of preferences is a change of the file; the process goes on."""
    async with world.up():
        world.put("acc-1")
        await until(lambda: world.running("acc-1"))
        await world.store().patch("acc-1", preferences=Preferences(typing=False, revision=1))
        world.put("acc-2", owner="bob@example.test")  # what comes after it has been seen to
        await until(lambda: world.running("acc-2"))
        assert 1 == len(world.started("acc-1"))
        assert world.running("acc-1")


def _started(seen: list[Happening]) -> list[int]:
    return [each.started for each in seen if each.started]


async def _comes(redis: RedisServer, condition: Callable[[list[Happening]], bool]) -> None:
    """Wait until the history is as it should be."""

    async def is_so() -> bool:
        return condition(await told(redis))

    await eventually(is_so, timeout=SECONDS)
