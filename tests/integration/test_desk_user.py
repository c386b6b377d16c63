"""The front desk's user at a real Redis: what it may, what it may not, and that it comes back."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ponton_bridge.coordination.client.door import DoorClient, RedisAway
from ponton_bridge.coordination.client.wire import RedisRefused, Wire
from ponton_bridge.coordination.contract import Heartbeat, Keys, Result, StateChange
from ponton_bridge.model.errors import HostError
from ponton_operator.cluster.desk_user import FORGETS, DeskUser, RedisSeen, desk_url
from ponton_operator.plan.gateway_status import Part
from tests.harness.redis import RedisServer, running_redis

MASTER = "m" * 32


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A Redis of its own, with a password for the control plane."""
    async with running_redis(tmp_path, requirepass="control-plane") as server:
        yield server


@pytest.fixture
async def user(redis: RedisServer) -> AsyncIterator[DeskUser]:
    """The user's keeper, after its first look."""
    made = DeskUser(redis.url, "wa", MASTER)
    assert RedisSeen(Part.ANSWERS) == await made.look(0.0)
    yield made
    await made.close()


async def allowed(url: str, *command: str) -> bool:
    """Whether a command is let through; a wrong one that is understood counts as let through."""
    wire = Wire(url)
    try:
        await wire.call(*command)
    except RedisAway as away:
        if away.why not in {"rights", "credentials"}:
            raise
        return False
    except RedisRefused:
        return True
    finally:
        await wire.close()
    return True


async def test_the_front_desk_can_do_its_work(redis: RedisServer, user: DeskUser) -> None:
    """With its own user a door asks a shard, gets the result, and reads heartbeat and state."""
    keys, url = Keys("wa", "acc-1"), desk_url(redis.url, "wa", MASTER)
    shard = Wire(redis.url)
    beat, state = Heartbeat(7, "i", 1.0, "Starting"), StateChange("acc-1", 7, "i", "Connected", 2.0, xmpp=1)
    for key, value in ((keys.heartbeat, beat), (keys.state, state)):
        await shard.call("HSET", key, *(part for pair in value.to_redis().items() for part in pair))
    door = DoorClient(url, "wa")
    assert None is await door.command("acc-1", "new_code", "", 0.0, 60.0)
    found = await door.heartbeat("acc-1")
    assert found
    assert ("Connected", 1) == (found.reason, found.xmpp)
    (_, commands) = (await shard.call("XREAD", "STREAMS", keys.commands, "0"))[0]
    (_, fields) = commands[0]
    assert "new_code" in fields
    await shard.call("RPUSH", keys.result("x"), Result("x", ok=1).to_json())
    assert await allowed(url, "BLPOP", keys.result("x"), "1")
    await door.close()
    await shard.close()


@pytest.mark.parametrize(
    "command",
    [
        "ACL LIST", "ACL SETUSER x on nopass ~* +@all", "ACL WHOAMI", "KEYS *", "SCAN 0", "FLUSHALL", "CONFIG GET *",
        "GET ponton:wa:a:acc-1:code", "SET ponton:wa:a:acc-1:cmd x", "DEL ponton:wa:a:acc-1:cmd",
        "HSET ponton:wa:a:acc-1:hb epoch 9", "HSET ponton:wa:a:acc-1:state epoch 9", "XADD ponton:wa:states * a b",
        "XRANGE ponton:wa:a:acc-1:cmd - +", "HGETALL ponton:wa:a:acc-1:lease", "RPUSH ponton:wa:a:acc-1:res:x y",
        "XADD ponton:other:a:acc-1:cmd * a b", "HGETALL ponton:other:a:acc-1:hb", "BLPOP other 1", "EVAL x 0",
        "PUBLISH a b", "SUBSCRIBE a", "MONITOR", "SHUTDOWN", "EXPIRE ponton:wa:a:acc-1:hb 1",
    ],
)  # fmt: skip
async def test_it_can_do_nothing_else(redis: RedisServer, user: DeskUser, command: str) -> None:
    """No users, no keys of shards, no other gateway's, no command that is not the doors'."""
    assert not await allowed(desk_url(redis.url, "wa", MASTER), *command.split(" "))


async def test_it_is_not_the_operators_login(redis: RedisServer, user: DeskUser) -> None:
    """The front desk's URL holds neither the operator's password nor the master; a wrong password is refused."""
    url = desk_url(redis.url, "wa", MASTER)
    assert not any(word in url for word in ("control-plane", MASTER))
    assert not await allowed(desk_url(redis.url, "wa", "another"), "TIME")


async def test_a_lost_user_comes_back_and_is_told(redis: RedisServer, user: DeskUser) -> None:
    """A Redis that forgot is given its user again at the next look, and counts as one that forgets for a while."""
    await redis.restart()
    assert not await allowed(desk_url(redis.url, "wa", MASTER), "TIME")
    assert RedisSeen(Part.ANSWERS, forgets=True) == await user.look(10.0)
    assert await allowed(desk_url(redis.url, "wa", MASTER), "TIME")
    assert RedisSeen(Part.ANSWERS, forgets=True) == await user.look(9.0 + FORGETS)
    assert RedisSeen(Part.ANSWERS) == await user.look(11.0 + FORGETS)


async def test_with_a_file_users_survive_a_restart(tmp_path: Path) -> None:
    """Where Redis has an aclfile nothing is forgotten, and so nothing is told."""
    file = tmp_path / "users.acl"
    file.write_text("user default on >control-plane ~* &* +@all\n")
    async with running_redis(tmp_path / "redis", requirepass="control-plane", aclfile=str(file)) as server:
        url = server.url
        user = DeskUser(url, "wa", MASTER)
        assert RedisSeen(Part.ANSWERS) == await user.look(0.0)
        await server.restart()
        assert await allowed(desk_url(url, "wa", MASTER), "TIME")
        assert RedisSeen(Part.ANSWERS) == await user.look(1.0)
        await user.close()


async def test_a_redis_that_is_away_is_told(redis: RedisServer, user: DeskUser) -> None:
    """Away is away; back is back."""
    await redis.stop()
    assert Part.AWAY is (await user.look(1.0)).part
    await redis.start()
    assert Part.ANSWERS is (await user.look(2.0)).part


async def test_a_redis_without_users_is_told(redis: RedisServer) -> None:
    """A login that may not make users is as good as a Redis that has none."""
    admin = Wire(redis.url)
    await admin.call("ACL", "SETUSER", "poor", "on", ">pw", "~*", "+@all", "-acl")
    await admin.close()
    user = DeskUser(redis.url_for("poor", "pw"), "wa", MASTER)
    assert RedisSeen(Part.REFUSES) == await user.look(0.0)
    await user.close()


def test_a_url_that_is_none_is_told() -> None:
    """The sentence does not hold it."""
    with pytest.raises(HostError, match="This is no URL of Redis"):
        DeskUser("nonsense", "wa", MASTER)
