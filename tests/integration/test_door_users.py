"""The doors' users at a real Redis: what they may, what they may not, and that they come back."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from ponton_bridge.coordination.client.door import DoorClient, RedisAway
from ponton_bridge.coordination.client.wire import RedisRefused, Wire
from ponton_bridge.coordination.contract import PAGES_TTL, Door, Heartbeat, Keys, LiveCode, Result, StateChange
from ponton_bridge.model.errors import HostError
from ponton_operator.cluster.door_users import FORGETS, DoorUsers, RedisSeen, door_url
from ponton_operator.plan.gateway_status import Part
from ponton_operator.selfservice.web.keep import Keep
from tests.harness.redis import RedisServer, running_redis

MASTER = "m" * 32


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A Redis of its own, with a password for the control plane."""
    async with running_redis(tmp_path, requirepass="control-plane") as server:
        yield server


@pytest.fixture
async def users(redis: RedisServer) -> AsyncIterator[DoorUsers]:
    """The users' keeper, after its first look."""
    made = DoorUsers(redis.url, "wa", MASTER)
    assert RedisSeen(Part.ANSWERS) == await made.look(Door, 0.0)
    yield made
    await made.close()


def desk(redis: RedisServer) -> str:
    """Give the front desk's URL."""
    return door_url(redis.url, "wa", MASTER, Door.FRONT_DESK)


def pages(redis: RedisServer) -> str:
    """Give the portal's URL."""
    return door_url(redis.url, "wa", MASTER, Door.PORTAL)


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


@pytest.mark.parametrize("url_of", [desk, pages])
async def test_a_door_can_do_its_work(
    redis: RedisServer, users: DoorUsers, url_of: Callable[[RedisServer], str]
) -> None:
    """With its own user a door asks a shard, gets the result, and reads heartbeat and state."""
    keys, url = Keys("wa", "acc-1"), url_of(redis)
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


async def test_the_portal_can_keep_what_it_has_to(redis: RedisServer, users: DoorUsers) -> None:
    """Logins, sessions, notices, counts, live codes, and its word on open pages: nothing of it is refused."""
    keep, door, admin = Keep(pages(redis), "wa"), DoorClient(pages(redis), "wa"), Wire(redis.url)
    code, transaction = await keep.begin("cookie", "alice@example.org")
    assert ("alice@example.org", transaction) == await keep.begun("cookie")
    assert "alice@example.org" == await keep.finish("cookie", code)
    session = await keep.open("alice@example.org")
    found = await keep.session(session)
    assert found
    assert "alice@example.org" == found.owner
    await keep.leave(session, "told")
    assert "told" == await keep.take(session)
    await keep.end(session, "alice@example.org")
    await keep.end_all("alice@example.org")
    await admin.call("SET", Keys("wa", "acc-1").code, LiveCode("qr", "text", 1, 6, 0.0).to_json(), "EX", 20)
    assert {"acc-1"} == (await door.live_codes(["acc-1", "acc-2"])).keys()
    await door.tell_pages("pod-1", 7)
    control = DoorClient(redis.url, "wa")
    assert {"pod-1": 7} == await control.open_pages()
    for opened in (keep, door, admin, control):
        await opened.close()


async def test_a_replica_that_says_nothing_any_more_has_no_pages(redis: RedisServer, users: DoorUsers) -> None:
    """What it said last is forgotten; what cannot be read, too."""
    control, admin = DoorClient(redis.url, "wa"), Wire(redis.url)
    now, _ = await admin.call("TIME")
    key = Keys("wa", "").pages
    await admin.call("HSET", key, "old", f"9 {int(now) - int(PAGES_TTL) - 5}", "odd", "many", "new", f"3 {now}")
    assert {"new": 3} == await control.open_pages()
    assert ["new"] == await admin.call("HKEYS", key)
    for opened in (control, admin):
        await opened.close()


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
async def test_the_front_desk_can_do_nothing_else(redis: RedisServer, users: DoorUsers, command: str) -> None:
    """No users, no keys of shards, no other gateway's, no command that is not the doors'."""
    assert not await allowed(desk(redis), *command.split(" "))


@pytest.mark.parametrize(
    "command",
    [
        "ACL LIST", "KEYS *", "SCAN 0", "FLUSHALL", "CONFIG GET *", "EVAL x 0", "PUBLISH a b", "MONITOR",
        "SET ponton:wa:a:acc-1:code x", "DEL ponton:wa:a:acc-1:code", "GETDEL ponton:wa:a:acc-1:code",
        "HSET ponton:wa:a:acc-1:hb epoch 9", "HGETALL ponton:wa:a:acc-1:lease", "GET ponton:wa:a:acc-1:fence",
        "XREAD STREAMS ponton:wa:a:front.desk:cmd 0", "RPUSH ponton:wa:a:front.desk:res:x y",
        "DEL ponton:wa:a:front.desk:cmd", "XADD ponton:wa:states * a b", "XRANGE ponton:wa:a:acc-1:cmd - +",
        "GET ponton:other:portal:s:x", "SET ponton:other:portal:s:x y", "GET ponton:other:a:acc-1:code",
        "XADD ponton:other:a:acc-1:cmd * a b", "EXPIRE ponton:wa:a:acc-1:code 1",
    ],
)  # fmt: skip
async def test_the_portal_can_do_nothing_else(redis: RedisServer, users: DoorUsers, command: str) -> None:
    """Codes and heartbeats are for reading, the front desk's half is not its own, nor is another gateway."""
    assert not await allowed(pages(redis), *command.split(" "))


async def test_the_front_desk_knows_no_session(redis: RedisServer, users: DoorUsers) -> None:
    """What the portal keeps is the portal's."""
    assert not await allowed(desk(redis), "GET", f"{Keys('wa', '').portal}s:x")


async def test_a_door_that_is_switched_off_has_no_user(redis: RedisServer, users: DoorUsers) -> None:
    """It goes, and comes back with the door; that is no loss by Redis."""
    assert RedisSeen(Part.ANSWERS) == await users.look([Door.FRONT_DESK], 1.0)
    assert not await allowed(pages(redis), "TIME")
    assert await allowed(desk(redis), "TIME")
    assert RedisSeen(Part.ANSWERS) == await users.look(Door, 2.0)
    assert await allowed(pages(redis), "TIME")


async def test_it_is_not_the_operators_login(redis: RedisServer, users: DoorUsers) -> None:
    """The front desk's URL holds neither the operator's password nor the master; a wrong password is refused."""
    url = desk(redis)
    assert not any(word in url for word in ("control-plane", MASTER))
    assert not await allowed(door_url(redis.url, "wa", "another", Door.FRONT_DESK), "TIME")


async def test_a_lost_user_comes_back_and_is_told(redis: RedisServer, users: DoorUsers) -> None:
    """A Redis that forgot is given its user again at the next look, and counts as one that forgets for a while."""
    await redis.restart()
    assert not await allowed(desk(redis), "TIME")
    assert RedisSeen(Part.ANSWERS, forgets=True) == await users.look(Door, 10.0)
    assert await allowed(desk(redis), "TIME")
    assert RedisSeen(Part.ANSWERS, forgets=True) == await users.look(Door, 9.0 + FORGETS)
    assert RedisSeen(Part.ANSWERS) == await users.look(Door, 11.0 + FORGETS)


async def test_with_a_file_users_survive_a_restart(tmp_path: Path) -> None:
    """Where Redis has an aclfile nothing is forgotten, and so nothing is told."""
    file = tmp_path / "users.acl"
    file.write_text("user default on >control-plane ~* &* +@all\n")
    async with running_redis(tmp_path / "redis", requirepass="control-plane", aclfile=str(file)) as server:
        url = server.url
        users = DoorUsers(url, "wa", MASTER)
        assert RedisSeen(Part.ANSWERS) == await users.look(Door, 0.0)
        await server.restart()
        for door in Door:
            assert await allowed(door_url(url, "wa", MASTER, door), "TIME")
        assert RedisSeen(Part.ANSWERS) == await users.look(Door, 1.0)
        await users.close()


async def test_a_redis_that_is_away_is_told(redis: RedisServer, users: DoorUsers) -> None:
    """Away is away; back is back."""
    await redis.stop()
    assert Part.AWAY is (await users.look(Door, 1.0)).part
    await redis.start()
    assert Part.ANSWERS is (await users.look(Door, 2.0)).part


async def test_a_redis_without_users_is_told(redis: RedisServer) -> None:
    """A login that may not make users is as good as a Redis that has none."""
    admin = Wire(redis.url)
    await admin.call("ACL", "SETUSER", "poor", "on", ">pw", "~*", "+@all", "-acl")
    await admin.close()
    users = DoorUsers(redis.url_for("poor", "pw"), "wa", MASTER)
    assert RedisSeen(Part.REFUSES) == await users.look(Door, 0.0)
    await users.close()


def test_a_url_that_is_none_is_told() -> None:
    """The sentence does not hold it."""
    with pytest.raises(HostError, match="This is no URL of Redis"):
        DoorUsers("nonsense", "wa", MASTER)
