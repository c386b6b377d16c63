"""An account's last day in a real Redis: who writes it, how often, how large it is, and what it survives."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from ponton_bridge.coordination.client import shard
from ponton_bridge.coordination.client.door import DoorClient, door_user_name
from ponton_bridge.coordination.client.shard import ShardClient
from ponton_bridge.coordination.client.wire import RedisAway, Wire, Wires
from ponton_bridge.coordination.contract import Command, Door, Heartbeat, Keys, Result
from ponton_bridge.core.day import BUCKET, BUCKETS, DAY, Bucket, Day
from tests.harness.prosody import until
from tests.harness.redis import RedisServer

KEYS = Keys("gw", "acc-1")
NOON = 1_795_996_800.0  # the beginning of a bucket
MOST = 4096  # bytes that an account may cost in Redis for this


@dataclass
class Life:
    """What heartbeats say; time goes on as a test wants it."""

    now: float = NOON
    messages: int = 0
    epoch: int = 1
    beats: int = 0

    def beat(self) -> Heartbeat:
        """Give the heartbeat of now."""
        self.beats += 1
        return Heartbeat(self.epoch, "i", self.now, sent=self.messages, queue_in=2, rss=70 * 1024)

    async def pass_beats(self, count: int) -> None:
        """Wait until that many more were asked for, and the one before them is written."""
        until_then = self.beats + count + 1

        async def passed() -> bool:
            return self.beats >= until_then

        await until(passed)


@contextlib.asynccontextmanager
async def running(url: str, life: Life) -> AsyncIterator[ShardClient]:
    """A shard's client, until the block ends as a kill would end it."""
    client = ShardClient(url, KEYS, life.epoch, "i")

    async def handle(command: Command) -> Result:
        return Result(command.id, ok=1)

    task = asyncio.create_task(client.run(handle, life.beat))
    try:
        yield client
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats come fast."""
    monkeypatch.setattr(shard, "LEASE_RENEW", 0.03)


async def shown(door: DoorClient, now: float) -> list[Bucket | None]:
    """Give the last two complete buckets, as a page reads them."""
    day = (await door.days(["acc-1"])).get("acc-1")
    return day.buckets(now)[-2:] if day else []


async def test_a_shard_leaves_its_day(server: RedisServer, door: DoorClient) -> None:
    """A confined user is enough; a bucket is there as soon as it is complete."""
    name, life = await door.make_user("acc-1", "secret"), Life(messages=4)
    async with running(server.url_for(name, "secret"), life):
        await life.pass_beats(2)
        life.now += BUCKET
        await life.pass_beats(1)
    assert [None, Bucket(4, 2, 70 * 1024)] == await shown(door, life.now)


async def test_it_is_written_once_in_five_minutes(server: RedisServer, raw: Wires) -> None:
    """However many heartbeats: one write at the start of the process, and one for each bucket."""
    life = Life()

    async def writes() -> int:
        statistics = (await raw.call("INFO", "commandstats")).splitlines()
        lines = [line for line in statistics if line.startswith("cmdstat_set:")]
        return int(lines[0].partition("calls=")[2].partition(",")[0]) if lines else 0

    async with running(server.url, life):
        await life.pass_beats(5)
        before = await writes()
        for _ in range(3):
            life.now += BUCKET
            await life.pass_beats(10)
        assert 3 == await writes() - before
        await life.pass_beats(20)
        assert 3 == await writes() - before


async def test_it_is_small_whatever_is_in_it(server: RedisServer, raw: Wires) -> None:
    """Redis itself says what an account's full day costs, key and bookkeeping included."""
    life = Life()
    async with running(server.url, life):
        for number in range(BUCKETS // 24):
            life.messages += number * 7919
            life.now += BUCKET
            await life.pass_beats(1)
    usage = await raw.call("MEMORY", "USAGE", KEYS.day)
    print(f"{usage} bytes of Redis for an account's day")  # noqa: T201  # a figure
    assert usage <= MOST


async def test_it_goes_on_after_a_restart(server: RedisServer, door: DoorClient) -> None:
    """The next process of the account reads what the one before left, and counts on."""
    life = Life(messages=4)
    async with running(server.url, life):
        await life.pass_beats(1)
        life.now += BUCKET
        await life.pass_beats(1)
    later = Life(now=life.now + BUCKET, messages=3, epoch=2)
    async with running(server.url, later):
        await later.pass_beats(1)
        later.now += BUCKET
        await later.pass_beats(1)
    day = (await door.days(["acc-1"]))["acc-1"].buckets(later.now)
    assert [4, 0, 3] == [bucket.messages if bucket else None for bucket in day[-3:]]


async def test_a_clean_end_loses_nothing(server: RedisServer, door: DoorClient) -> None:
    """What was counted since the last bucket goes with the last words; without the lease it stays for a day."""
    life = Life(messages=9)
    async with running(server.url, life) as client:
        await life.pass_beats(1)
        life.messages = 12
        await life.pass_beats(1)
    await client.release()
    assert 12 == sum(bucket.messages for bucket in await shown(door, life.now + BUCKET) if bucket)


async def test_it_outlives_redis(server: RedisServer, door: DoorClient, raw: Wires) -> None:
    """A Redis that lost everything is given the day again, and one that was away, too."""
    life = Life(messages=4)
    async with running(server.url, life) as client:
        await life.pass_beats(1)
        life.now += BUCKET
        await life.pass_beats(1)
        await raw.call("FLUSHALL")
        await until(lambda: raw.call("EXISTS", KEYS.day))
        assert Bucket(4, 2, 70 * 1024) == (await shown(door, life.now))[-1]
        await server.restart()
        await until(lambda: raw.call("EXISTS", KEYS.day), timeout=20)
        assert not client.away
        assert Bucket(4, 2, 70 * 1024) == (await shown(door, life.now))[-1]


@pytest.mark.parametrize("value", ["", "garbage", "AAAA", "\u00fc"])
async def test_what_cannot_be_read_begins_anew(server: RedisServer, door: DoorClient, raw: Wires, value: str) -> None:
    """Whatever stands there, the shard runs, and its own day replaces it."""
    await raw.call("SET", KEYS.day, value)
    assert {} == await door.days(["acc-1"])
    life = Life(messages=1)
    async with running(server.url, life):
        await life.pass_beats(1)
        life.now += BUCKET
        await life.pass_beats(1)
    assert [None, Bucket(1, 2, 70 * 1024)] == await shown(door, life.now)


async def test_another_kind_of_value_stops_nobody(server: RedisServer, door: DoorClient, raw: Wires) -> None:
    """A hash under this name is none; doors leave it out and the shard writes its own."""
    await raw.call("HSET", KEYS.day, "a", "b")
    assert {} == await door.days(["acc-1"])
    life = Life()
    async with running(server.url, life) as client:
        await life.pass_beats(2)
        assert not client.away
    assert "string" == await raw.call("TYPE", KEYS.day)


async def test_it_ends_with_the_day_and_with_the_account(server: RedisServer, door: DoorClient, raw: Wires) -> None:
    """A key that nobody renews goes when nothing in it is of the last day; deleting takes it at once."""
    life = Life()
    async with running(server.url, life):
        await life.pass_beats(1)
    assert DAY < await raw.call("TTL", KEYS.day) <= DAY + BUCKET
    await door.delete_account("acc-1")
    assert 0 == await raw.call("EXISTS", KEYS.day)


@pytest.mark.parametrize("which", Door)
async def test_doors_may_read_days_and_not_write_them(server: RedisServer, door: DoorClient, which: Door) -> None:
    """They show them and give owners their copy; nothing more."""
    life = Life(messages=1)
    async with running(server.url, life):
        await life.pass_beats(1)
    await door.make_door_user(which, "secret")
    url = server.url_for(door_user_name("gw", which), "secret")
    desk, wire = DoorClient(url, "gw"), Wire(url)
    try:
        assert ["acc-1"] == list(await desk.days(["acc-1"]))
        for words in (("SET", KEYS.day, ""), ("DEL", KEYS.day), ("GET", KEYS.fence)):
            with pytest.raises(RedisAway) as refused:
                await wire.call(*words)
            assert "rights" == refused.value.why
    finally:
        await desk.close()
        await wire.close()


async def test_many_days_are_read_in_pages(door: DoorClient, raw: Wires) -> None:
    """1,200 accounts take three round trips; those without a day are left out, and Redis away is nobody's."""
    day, names = Day().to_text(), [f"acc-{number}" for number in range(1200)]
    await raw.calls([["SET", Keys("gw", name).day, day] for name in names if name != "acc-7"])
    assert set(names) - {"acc-7"} == set(await door.days(names))
    nowhere = DoorClient("redis://127.0.0.1:1/0", "gw")
    assert {} == await nowhere.days(names)
    await nowhere.close()
