"""The control plane at a real Redis: users that come back, what is heard, what is forgotten."""

import asyncio
import io
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from ponton_bridge.coordination.client.door import DoorClient, RedisAway
from ponton_bridge.coordination.client.shard import ShardClient
from ponton_bridge.coordination.client.wire import Wire
from ponton_bridge.coordination.contract import Command, Heartbeat, Keys, Result, StateChange
from ponton_bridge.model.errors import HostError
from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.coordination import Coordination
from ponton_operator.plan.secrets import redis_password
from tests.harness.redis import RedisServer, running_redis
from tests.integration.local_world import until


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A Redis of its own."""
    async with running_redis(tmp_path, requirepass="control-plane") as server:
        yield server


class Ears:
    """A coordination with all that it was told."""

    def __init__(self, url: str) -> None:
        self.heard: list[StateChange] = []
        self.log = io.StringIO()
        self.redis = Coordination(url, "wa", "m", self.heard.append, Log(out=self.log))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Coordination]:
        """Read until the end of the block."""
        task = asyncio.create_task(self.redis.run())
        try:
            yield self.redis
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await self.redis.close()


async def can_log_in(url: str, account: str = "acc-1") -> bool:
    """Whether a shard comes in with this URL, and reads what is its own."""
    wire = Wire(url)
    try:
        return await wire.call("GET", Keys("wa", account).code) is None
    except RedisAway as away:
        if away.why != "credentials":
            raise
        return False
    finally:
        await wire.close()


async def test_a_shard_comes_as_its_own_user(redis: RedisServer) -> None:
    """The URL of an epoch lets in as the account's user, confined to its keys; that of the last epoch no more."""
    async with Ears(redis.url).open() as coordination:
        old, new = coordination.shard_url("acc-1", 7), coordination.shard_url("acc-1", 8)
        await coordination.prepare("acc-1", 7)
        assert (True, False) == (await can_log_in(old), await can_log_in(new))
        await coordination.prepare("acc-1", 8)
        assert (False, True) == (await can_log_in(old), await can_log_in(new))
        wire = Wire(new)
        with pytest.raises(RedisAway) as caught:
            await wire.call("SET", Keys("wa", "acc-2").code, "x")
        assert "rights" == caught.value.why
        await wire.close()


@pytest.mark.parametrize("url", ["", "http://x", "redis", "6379"])
def test_a_url_that_is_none_is_told(url: str) -> None:
    """The host is told what a URL looks like, not what stands there: it may be a password."""
    with pytest.raises(HostError) as caught:
        Ears(url)
    assert "This is no URL of a Redis: redis://user:password@host:6379/0 is one." == caught.value.sentence


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://127.0.0.1:6379/0", "redis://ponton-wa-acc-1:{}@127.0.0.1:6379/0"),
        ("redis://admin:p%40ss@[::1]:1/3", "redis://ponton-wa-acc-1:{}@[::1]:1/3"),
        ("rediss://:s@redis.test", "rediss://ponton-wa-acc-1:{}@redis.test"),
        ("unix:///run/redis.sock?db=2", "unix://ponton-wa-acc-1:{}@/run/redis.sock?db=2"),
    ],
)
def test_urls_keep_all_but_the_login(url: str, expected: str) -> None:
    """Scheme, host, database and options stay; user and password are the account's, never the control plane's."""
    assert expected.format(redis_password("m", "wa", "acc-1", 7)) == Ears(url).redis.shard_url("acc-1", 7)


async def test_users_come_back_with_redis(redis: RedisServer) -> None:
    """Users of running shards are made again after a restart, those of others are not."""
    ears = Ears(redis.url)
    async with ears.open() as coordination:
        await coordination.prepare("acc-1", 7)
        await coordination.prepare("acc-2", 7)
        coordination.rest("acc-2")
        await redis.restart()
        await until(lambda: ears.log.getvalue().count("redis_reached") == 2)
        assert await can_log_in(coordination.shard_url("acc-1", 7))
        assert not await can_log_in(coordination.shard_url("acc-2", 7), "acc-2")


async def test_users_that_went_unnoticed_come_back(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis that lost its users so fast that no call failed is found out by a look now and then."""
    monkeypatch.setattr("ponton_operator.cluster.coordination.SWEEP", 0.1)
    async with Ears(redis.url).open() as coordination:
        for name in ("acc-1", "acc-2"):
            await coordination.prepare(name, 7)
        admin = DoorClient(redis.url, "wa")
        for name in ("acc-1", "acc-2"):
            await admin.delete_user(name)
        async with asyncio.timeout(20):
            while not (await admin.has_user("acc-1") and await admin.has_user("acc-2")):  # noqa: ASYNC110  # in Redis
                await asyncio.sleep(0.02)
        await admin.close()


async def test_a_frozen_redis_holds_up_no_start(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """While Redis hangs, preparing is given up after its seconds, and made up for afterwards."""
    monkeypatch.setattr("ponton_operator.cluster.coordination.START_SECONDS", 0.1)
    async with Ears(redis.url).open() as coordination:
        await until(lambda: not coordination.away)
        redis.pause()
        await coordination.prepare("acc-1", 7)
        redis.resume()
        await coordination.prepare("acc-1", 7)
        assert await can_log_in(coordination.shard_url("acc-1", 7))


async def test_hears_what_was_said_before(redis: RedisServer) -> None:
    """The state that was published before the control plane came is heard, the newest only, and again after a loss."""
    ears = Ears(redis.url)
    door = DoorClient(redis.url, "wa")
    await door.make_user("acc-1", redis_password("m", "wa", "acc-1", 7))
    shard = ShardClient(ears.redis.shard_url("acc-1", 7), Keys("wa", "acc-1"), 7, "i")

    async def handle(command: Command) -> Result:
        return Result(command.id, 1)

    running = asyncio.create_task(shard.run(handle, lambda: Heartbeat(7, "i", time.time())))
    for reason in ("Starting", "Connecting"):
        shard.publish_state(StateChange("acc-1", 7, "i", reason, time.time()))
        await asyncio.sleep(0.2)
    async with ears.open() as coordination:
        await coordination.prepare("acc-1", 7)

        def said() -> list[str]:  # these heartbeats name none
            return [str(state.reason) for state in ears.heard if state.reason]

        await until(lambda: said() == ["Connecting"])
        await redis.restart()
        await until(lambda: len(said()) >= 2)  # said again by the shard, since Redis had lost it
        assert "Connecting" == said()[-1]
        assert "" == await coordination.unlink("acc-1", 5.0)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await shard.release()
    await door.close()


async def test_a_heartbeat_from_before_the_first_state_is_old(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a shard was when it started does not pass for newer than what it has told since."""
    monkeypatch.setattr("ponton_operator.cluster.coordination.SWEEP", 0.1)
    ears = Ears(redis.url)
    shard = ShardClient(ears.redis.shard_url("acc-1", 7), Keys("wa", "acc-1"), 7, "i")

    async def handle(command: Command) -> Result:
        return Result(command.id, 1)

    async with ears.open() as coordination:
        await coordination.prepare("acc-1", 7)
        running = asyncio.create_task(shard.run(handle, lambda: Heartbeat(7, "i", time.time(), "Starting")))
        await until(lambda: ears.heard)
        assert {("Starting", 0.0)} == {(state.reason, state.since) for state in ears.heard}
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await shard.release()


async def test_heartbeats_are_looked_at_page_by_page(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes on a later page is heard of as well, and then the first ones again."""
    monkeypatch.setattr("ponton_operator.cluster.coordination.SWEEP", 0.05)
    monkeypatch.setattr("ponton_operator.cluster.coordination.PAGE", 1)
    ears = Ears(redis.url)
    names = ("acc-1", "acc-2", "acc-3")
    shards = {name: ShardClient(ears.redis.shard_url(name, 7), Keys("wa", name), 7, name) for name in names}

    async def handle(command: Command) -> Result:
        return Result(command.id, 1)

    async with ears.open() as coordination:
        for name in names:
            await coordination.prepare(name, 7)
        running = [
            asyncio.create_task(shard.run(handle, lambda name=name: Heartbeat(7, name, time.time(), "Starting")))  # type: ignore[misc]
            for name, shard in shards.items()
        ]
        await until(lambda: set(names) == {state.account for state in ears.heard})
        ears.heard.clear()
        await until(lambda: set(names) == {state.account for state in ears.heard})
        monkeypatch.setattr("ponton_operator.cluster.coordination.SWEEP", 1000.0)
        successor = Ears(redis.url)  # at its start it looks at all of them at once
        for name in names:
            successor.redis.keep(name, 7)
        async with successor.open():
            await asyncio.wait_for(successor.redis.looked.wait(), 10)
            assert set(names) == {state.account for state in successor.heard}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for shard in shards.values():
            await shard.release()


async def test_nobody_waits_for_the_heartbeats_of_a_redis_that_is_away(redis: RedisServer) -> None:
    """What it cannot tell is planned without it."""
    await redis.stop()
    ears = Ears(redis.url)
    ears.redis.keep("acc-1", 7)
    async with ears.open():
        await asyncio.wait_for(ears.redis.looked.wait(), 10)
        assert ears.redis.away
    assert [] == ears.heard


async def test_unlinking_says_what_was_wrong(redis: RedisServer) -> None:
    """No answer, and no Redis, are sentences; nothing is raised."""
    async with Ears(redis.url).open() as coordination:
        assert "The shard did not answer in time." == await coordination.unlink("acc-1", 0.2)
        await redis.stop()
        assert "cannot be reached" in await coordination.unlink("acc-1", 0.2)


async def test_forgetting_is_whole_and_may_be_repeated(redis: RedisServer) -> None:
    """Keys and user of one account go, those of another stay; without Redis it is an error to be tried again."""
    async with Ears(redis.url).open() as coordination:
        wire = Wire(redis.url)
        for name in ("acc-1", "acc-2"):
            await coordination.prepare(name, 7)
            await wire.call("SET", Keys("wa", name).fence, "7")
        await coordination.forget("acc-1")
        await coordination.forget("acc-1")
        assert [Keys("wa", "acc-2").fence] == await wire.call("KEYS", "*")
        assert (False, True) == (
            await can_log_in(coordination.shard_url("acc-1", 7)),
            await can_log_in(coordination.shard_url("acc-2", 7), "acc-2"),
        )
        await wire.close()
        await redis.stop()
        with pytest.raises(RedisAway):
            await coordination.forget("acc-2")


async def test_a_redis_without_users_is_told(redis: RedisServer) -> None:
    """When our user may not make users, that is an event and a condition; no shard is ever given our own login."""
    admin = Wire(redis.url)
    await admin.call("ACL", "SETUSER", "plain", "on", ">p", "~*", "&*", "+@all", "-acl")
    await admin.close()
    ears = Ears(redis.url_for("plain", "p"))
    async with ears.open() as coordination:
        await coordination.prepare("acc-1", 7)
        await coordination.prepare("acc-2", 7)
        assert not coordination.users
        assert 1 == ears.log.getvalue().count("redis_without_users")
        assert "plain" not in coordination.shard_url("acc-1", 7)
        await coordination.forget("acc-1")
