"""A shard that Redis does not let in: it goes on without Redis, and is back when its user is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from ponton_bridge.coordination.client.door import DoorClient
from ponton_bridge.coordination.client.shard import ShardClient
from ponton_bridge.coordination.client.wire import Wire
from ponton_bridge.coordination.contract import Command, Heartbeat, Keys, Result, StateChange
from tests.harness.redis import RedisServer, running_redis
from tests.integration.local_world import until

KEYS = Keys("wa", "acc-1")


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A Redis whose default user has a password."""
    async with running_redis(tmp_path, requirepass="control-plane") as server:
        yield server


async def handle(command: Command) -> Result:
    """Do what is asked."""
    return Result(command.id, ok=1)


async def admin(redis: RedisServer, *words: str) -> None:
    """Do something as the control plane."""
    wire = Wire(redis.url)
    await wire.call(*words)
    await wire.close()


REFUSED = {
    "NOAUTH": ("", ["ACL", "SETUSER", "none"]),
    "WRONGPASS, no such user": ("ponton-wa-acc-1:pw@", ["ACL", "SETUSER", "none"]),
    "WRONGPASS, another password": ("ponton-wa-acc-1:pw@", ["ACL", "SETUSER", "ponton-wa-acc-1", "on", ">other"]),
    "WRONGPASS, switched off": ("ponton-wa-acc-1:pw@", ["ACL", "SETUSER", "ponton-wa-acc-1", "off", ">pw"]),
    "NOPERM, no rights": ("ponton-wa-acc-1:pw@", ["ACL", "SETUSER", "ponton-wa-acc-1", "on", ">pw"]),
    "NOPERM, another's keys": (
        "ponton-wa-acc-1:pw@",
        ["ACL", "SETUSER", "ponton-wa-acc-1", "on", ">pw", "+@all", "~ponton:wa:a:acc-2:*"],
    ),
}


@pytest.mark.parametrize(("login", "state"), REFUSED.values(), ids=REFUSED.keys())
async def test_a_refused_login_is_redis_away(redis: RedisServer, login: str, state: list[str]) -> None:
    """Whatever the refusal, the shard runs on and says that Redis is away; its user made, it tells what it has to."""
    await admin(redis, *state)
    turns: list[bool] = []
    client = ShardClient(
        f"redis://{login}127.0.0.1:{redis.port}/0", KEYS, 7, "i", changed=turns.append
    )  # fmt: skip
    client.publish_state(StateChange("acc-1", 7, "i", "Connected", 1.0, xmpp=1, paired=1))
    running = asyncio.create_task(client.run(handle, lambda: Heartbeat(7, "i", 1.0)))
    try:
        await until(lambda: client.away)
        assert [True] == turns
        assert not running.done()
        if not login:  # nobody will ever let this one in; it still runs
            return
        door = DoorClient(redis.url, "wa")
        await door.make_user("acc-1", "pw")
        await until(lambda: not client.away)
        beat = await door.heartbeat("acc-1")
        assert beat
        assert ("Connected", 1) == (beat.reason, beat.paired)
        await door.close()
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_a_user_that_is_taken_away_while_it_runs(redis: RedisServer) -> None:
    """A shard whose user goes under way loses its connection, not its life."""
    door = DoorClient(redis.url, "wa")
    await door.make_user("acc-1", "pw")
    client = ShardClient(redis.url_for("ponton-wa-acc-1", "pw"), KEYS, 7, "i")
    running = asyncio.create_task(client.run(handle, lambda: Heartbeat(7, "i", 1.0)))
    try:
        await until(lambda: client._known)
        await door.delete_user("acc-1")
        await until(lambda: client.away)
        await door.make_user("acc-1", "pw")
        await until(lambda: not client.away)
        assert not running.done()
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await door.close()
