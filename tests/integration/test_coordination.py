"""The Redis contract on a real Redis: leases, fences, commands, states, users, and Redis going away."""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from ponton_bridge.coordination.client.door import DoorClient, RedisAway, rules
from ponton_bridge.coordination.client.inbox import TOO_LATE
from ponton_bridge.coordination.client.scripts import EpochRefused
from ponton_bridge.coordination.client.shard import ShardClient
from ponton_bridge.coordination.contract import Command, Heartbeat, Keys, LiveCode, Result, StateChange
from ponton_bridge.model.errors import OwnerError
from tests.harness.prosody import until
from tests.harness.redis import RedisServer

KEYS = Keys("gw", "acc-1")


@dataclass
class Shard:
    """A client with what was asked of it; `run` is its task."""

    client: ShardClient
    epoch: int
    asked: list[Command] = field(default_factory=list)
    turns: list[bool] = field(default_factory=list)
    answer: Callable[[Command], Result] = lambda command: Result(command.id, ok=1, value=command.argument)
    run: "asyncio.Task[None] | None" = None

    async def handle(self, command: Command) -> Result:
        """Remember, and answer as told."""
        self.asked.append(command)
        return self.answer(command)

    def beat(self) -> Heartbeat:
        """A heartbeat that says who we are."""
        return Heartbeat(epoch=self.epoch, instance="i", time=0.0, reason="Connected")

    def start(self) -> None:
        """Begin to run."""
        self.run = asyncio.create_task(self.client.run(self.handle, self.beat))

    async def stop(self) -> None:
        """End as a kill would: without a word."""
        if self.run:
            self.run.cancel()
            with contextlib.suppress(asyncio.CancelledError, EpochRefused):
                await self.run


@contextlib.asynccontextmanager
async def shard(url: str, epoch: int = 1, instance: str = "i") -> AsyncIterator[Shard]:
    """A running client of a shard."""
    turns: list[bool] = []
    one = Shard(ShardClient(url, KEYS, epoch, instance, changed=turns.append), epoch, turns=turns)
    one.start()
    try:
        yield one
    finally:
        await one.stop()


@pytest.fixture
async def raw(server: RedisServer) -> AsyncIterator["Redis"]:
    """A client that may look at everything."""
    client = Redis.from_url(server.url, decode_responses=True)
    yield client
    await client.aclose()


def entry(fields: dict[str, str]) -> dict[Any, Any]:
    """Give fields as the library types them."""
    return dict(fields)


async def beats(door: DoorClient, epoch: int) -> bool:
    """Tell whether the last heartbeat is of that epoch."""
    beat = await door.heartbeat(KEYS.account)
    return beat is not None and beat.epoch == epoch


async def test_takes_the_lease_and_beats(server: RedisServer, door: DoorClient, raw: Redis) -> None:
    """A shard that starts holds the lease for a bounded time and is seen by the doors."""
    async with shard(server.url, epoch=7):
        await until(lambda: beats(door, 7))
        assert {"epoch": "7", "instance": "i"} == await raw.hgetall(KEYS.lease)  # type: ignore[misc]
        assert 0 < await raw.pttl(KEYS.lease) <= 15_000
        assert "7" == await raw.get(KEYS.fence)


async def test_knows_a_state_before_the_next_heartbeat(server: RedisServer, door: DoorClient, raw: Redis) -> None:
    """What a shard has told since its heartbeat counts at once, unless another process told it."""
    async with shard(server.url) as one:
        await until(lambda: beats(door, 1))
        one.client.publish_state(StateChange("acc-1", 1, "i", "LoggedOut", 5.0))

        async def known() -> bool:
            beat = await door.heartbeat("acc-1")
            return beat is not None and (beat.reason, beat.since) == ("LoggedOut", 5.0)

        await until(known)
        await raw.hset(KEYS.state, "instance", "other")  # type: ignore[misc]
        beat = await door.heartbeat("acc-1")
        assert beat is not None
        assert "Connected" == beat.reason


async def test_gives_the_lease_back(server: RedisServer, door: DoorClient, raw: Redis) -> None:
    """A clean end leaves no lease, no heartbeat and no code, but keeps the fence, and the day for the next process."""
    async with shard(server.url) as one:
        one.client.publish_code(LiveCode("qr", "text", 1, 6, 9e9))
        await until(lambda: beats(door, 1))
        await one.stop()
        await one.client.release()
    assert {KEYS.fence, KEYS.day} == set(await raw.keys())


async def test_lets_a_higher_epoch_take_over_at_once(server: RedisServer, door: DoorClient) -> None:
    """The successor does not wait for the lease to end, and the older one is told to stop for good."""
    async with shard(server.url, epoch=1) as old:
        await until(lambda: beats(door, 1))
        async with shard(server.url, epoch=2):
            await until(lambda: beats(door, 2))
            old.client.publish_state(StateChange("acc-1", 1, "i", "Connected", 0.0))
            assert old.run is not None
            with pytest.raises(EpochRefused):
                await asyncio.wait_for(old.run, 10)
    assert [] == await door.states("0", 0.1)


async def test_refuses_every_write_of_an_old_epoch(server: RedisServer, door: DoorClient, raw: Redis) -> None:
    """100 of 100 attempts of a copied process with an old epoch change nothing."""
    async with shard(server.url, epoch=5) as one:
        await until(lambda: beats(door, 5))
        await one.stop()
    dumps = Redis.from_url(server.url)
    before = {key: await dumps.dump(key) for key in await raw.keys() if key != KEYS.heartbeat}
    for number in range(100):
        rogue = ShardClient(server.url, KEYS, 4, f"rogue-{number}")
        rogue.publish_state(StateChange("acc-1", 4, "rogue", "Connected", 0.0))
        with pytest.raises(EpochRefused):
            await rogue.run(Shard(rogue, 4).handle, Shard(rogue, 4).beat)
    assert before == {key: await dumps.dump(key) for key in await raw.keys() if key != KEYS.heartbeat}
    await dumps.aclose()


async def test_refuses_a_second_instance_of_the_same_epoch(server: RedisServer, door: DoorClient) -> None:
    """While the first one's lease lives, another instance of its epoch is refused; the same instance is let in."""
    async with shard(server.url) as one:
        await until(lambda: beats(door, 1))
        await one.stop()
        twin = ShardClient(server.url, KEYS, 1, "other")
        with pytest.raises(EpochRefused):
            await twin.run(one.handle, one.beat)
    async with shard(server.url) as again:
        await until(lambda: beats(door, 1))
        assert again.run is not None
        assert not again.run.done()


async def test_answers_commands(server: RedisServer, door: DoorClient, raw: Redis) -> None:
    """A door's command reaches the shard and its result the door; the entry is gone afterwards."""
    async with shard(server.url) as one:
        result = await door.command("acc-1", "status", "x", 5.0, 5.0)
        assert result is not None
        assert (1, "x") == (result.ok, result.value)
        assert ["status"] == [command.verb for command in one.asked]
        assert 0 == await raw.xlen(KEYS.commands)


async def test_passes_on_a_refusal_in_words(server: RedisServer, door: DoorClient) -> None:
    """An error of ours becomes the result's sentence; the shard goes on."""
    async with shard(server.url) as one:

        def refuse(_command: Command) -> Result:
            raise OwnerError("Not like this.")

        one.answer = refuse
        result = await door.command("acc-1", "unlink", "", 5.0, 5.0)
        assert result is not None
        assert (0, "Not like this.") == (result.ok, result.sentence)
        one.answer = lambda command: Result(command.id, ok=1)
        assert await door.command("acc-1", "status", "", 5.0, 5.0) is not None


async def test_keeps_a_command_for_a_shard_that_is_only_starting(server: RedisServer, door: DoorClient) -> None:
    """What was asked before the shard was there is done when it comes."""
    assert await door.command("acc-1", "pair_phone", "447700900123", 0.0, 60.0) is None
    async with shard(server.url) as one:
        await until(lambda: one.asked)
        assert "447700900123" == one.asked[0].argument


async def test_says_when_no_answer_came(server: RedisServer, door: DoorClient) -> None:
    """Without a shard the door hears nothing, in the time that it gave."""
    assert await door.command("acc-1", "status", "", 0.2, 0.2) is None


async def test_does_nothing_after_the_deadline(server: RedisServer, door: DoorClient, raw: Redis) -> None:
    """A command that comes too late is answered and not done."""
    await raw.xadd(KEYS.commands, entry(Command("late", "unlink", deadline=1.0).to_redis()))
    async with shard(server.url) as one:
        await until(lambda: raw.exists(KEYS.result("late")))
        assert [] == one.asked
    assert TOO_LATE == json.loads((await raw.lrange(KEYS.result("late"), 0, -1))[0])["sentence"]  # type: ignore[misc]


@pytest.mark.parametrize("fields", [{"id": "x"}, {"nonsense": "1"}, {"id": "1", "verb": "v", "deadline": "soon"}])
async def test_takes_hostile_entries_away(server: RedisServer, raw: Redis, fields: dict[str, str]) -> None:
    """An entry that is no command is deleted, and the shard goes on."""
    await raw.xadd(KEYS.commands, entry(fields))
    async with shard(server.url) as one:

        async def empty() -> bool:
            return bool(await raw.xlen(KEYS.commands) == 0)

        await until(empty)
        assert one.run is not None
        assert not one.run.done()


async def test_does_a_repeated_command_once(server: RedisServer, door: DoorClient, raw: Redis) -> None:
    """The same id twice is answered twice and done once."""
    async with shard(server.url) as one:
        for _ in range(2):
            await raw.delete(KEYS.result("same"))
            await raw.xadd(KEYS.commands, entry(Command("same", "new_code", deadline=9e9).to_redis()))
            await until(lambda: raw.exists(KEYS.result("same")))
        assert 1 == len(one.asked)


async def test_bounds_waiting_commands(server: RedisServer, door: DoorClient, raw: Redis) -> None:
    """A stream that nobody reads keeps the newest hundred and ends by itself."""
    for number in range(130):
        await door.command("acc-1", "status", str(number), 0.0, 60.0)
    assert 100 == await raw.xlen(KEYS.commands)
    assert 0 < await raw.ttl(KEYS.commands) <= 3600


async def test_shows_the_live_code_until_it_ends(server: RedisServer, door: DoorClient, raw: Redis) -> None:
    """The doors see the code while it can be used; Redis forgets it with its time."""
    async with shard(server.url) as one:
        loop_time = 9_000_000_000.0
        one.client.publish_code(LiveCode("qr", "2@abc", 1, 6, loop_time))
        await until(lambda: door.live_code("acc-1"))
        code = await door.live_code("acc-1")
        assert code is not None
        assert ("qr", "2@abc", 1, 6) == (code.kind, code.text, code.number, code.total)
        assert loop_time == pytest.approx(code.expires, abs=2)
        assert 0 < await raw.pttl(KEYS.code)
        one.client.clear_code()

        async def gone() -> bool:
            return await door.live_code("acc-1") is None

        await until(gone)


async def test_publishes_states_in_order(server: RedisServer, door: DoorClient) -> None:
    """Operators read each state change once, in order, from their cursor."""
    async with shard(server.url) as one:
        cursor = "0"
        seen: list[str] = []
        for reason in ("Connecting", "Connected", "LoggedOut"):
            one.client.publish_state(StateChange("acc-1", 1, "i", reason, 0.0))
            for at, change in await door.states(cursor, 5.0):
                cursor, seen = at, [*seen, change.reason]
        assert ["Connecting", "Connected", "LoggedOut"] == seen


async def test_goes_on_while_redis_is_away_and_says_everything_again(server: RedisServer, door: DoorClient) -> None:
    """A restart that loses everything is noticed and survived; state, lease and heartbeat are back after it."""
    async with shard(server.url) as one:
        one.client.publish_state(StateChange("acc-1", 1, "i", "Connected", 0.0))
        await until(lambda: beats(door, 1))
        await server.kill()
        await until(lambda: one.client.away)
        assert one.run is not None
        assert not one.run.done()
        with pytest.raises(RedisAway):
            await door.command("acc-1", "status", "", 1.0, 1.0)
        await server.start()
        await until(lambda: not one.client.away, timeout=20)
        assert [True, False] == one.turns
        assert ["Connected"] == [change.reason for _, change in await door.states("0", 5.0)]
        assert await door.command("acc-1", "status", "", 5.0, 5.0) is not None


async def test_starts_without_redis(server: RedisServer, door: DoorClient) -> None:
    """A shard may start while Redis is away; its lease is written when Redis comes."""
    await server.kill()
    async with shard(server.url) as one:
        await until(lambda: one.client.away)
        await server.start()
        await until(lambda: beats(door, 1), timeout=20)


async def test_confines_a_user_to_its_own_keys(server: RedisServer, door: DoorClient, raw: Redis) -> None:
    """An account's user does all that a shard does, and nothing with anybody else's keys, users or states."""
    assert await door.supports_acl()
    name = await door.make_user("acc-1", "secret")
    assert await door.has_user("acc-1")
    url = server.url_for(name, "secret")
    async with shard(url) as one:
        one.client.publish_state(StateChange("acc-1", 1, "i", "Connected", 0.0))
        one.client.publish_code(LiveCode("qr", "2@abc", 1, 6, 9e9))
        await until(lambda: door.live_code("acc-1"))
        assert await door.command("acc-1", "status", "", 5.0, 5.0) is not None
        assert 1 == len(await door.states("0", 1.0))
    other = Keys("gw", "acc-2")
    confined = Redis.from_url(url, decode_responses=True)
    forbidden: list[tuple[str, ...]] = [
        ("GET", other.fence),
        ("HGETALL", other.heartbeat),
        ("XADD", other.commands, "*", "verb", "unlink"),
        ("XREAD", "STREAMS", KEYS.states, "0"),
        ("XTRIM", KEYS.states, "MAXLEN", "0"),
        ("KEYS", "*"),
        ("SCAN", "0"),
        ("ACL", "LIST"),
        ("CONFIG", "GET", "*"),
        ("FLUSHALL",),
        ("EVAL", "return redis.call('GET', KEYS[1])", "1", other.fence),
        ("EVAL", f"return redis.call('GET', '{other.fence}')", "0"),
        ("MONITOR",),
    ]
    for words in forbidden:
        with pytest.raises((NoPermissionError, ResponseError), match=r"(?i)permission|ACL failure|can't access"):
            await confined.execute_command(*words)  # type: ignore[no-untyped-call]
    await confined.aclose()


async def test_waits_for_its_user_to_be_made_again(server: RedisServer, door: DoorClient) -> None:
    """Refused credentials count as Redis being away: a Redis that lost its users ends no shard."""
    name = await door.make_user("acc-1", "secret")
    async with shard(server.url_for(name, "secret")) as one:
        await until(lambda: beats(door, 1))
        await server.restart()
        await until(lambda: one.client.away, timeout=20)
        assert not await door.has_user("acc-1")
        await door.make_user("acc-1", "secret")
        await until(lambda: not one.client.away, timeout=20)


async def test_leaves_nothing_of_a_deleted_account(server: RedisServer, door: DoorClient, raw: Redis) -> None:
    """Deleting takes every key of the account and its user, and no other account's."""
    await raw.set(Keys("gw", "acc-11").fence, "1")
    await door.make_user("acc-1", "secret")
    async with shard(server.url):
        await door.command("acc-1", "status", "", 5.0, 5.0)
    await door.delete_account("acc-1")
    await door.delete_user("acc-1")
    assert [Keys("gw", "acc-11").fence] == await raw.keys()
    assert not await door.has_user("acc-1")


async def test_reads_many_heartbeats_in_pages(server: RedisServer, door: DoorClient, raw: Redis) -> None:
    """1,200 accounts are read in three round trips; unreadable ones are left out."""
    names = [f"acc-{number}" for number in range(1200)]
    async with raw.pipeline(transaction=False) as pipe:
        for name in names:
            beat = Heartbeat(epoch=1, instance="i", time=1.0)
            pipe.hset(Keys("gw", name).heartbeat, mapping={**beat.to_redis()})
        await pipe.execute()
    await raw.hset(Keys("gw", "acc-7").heartbeat, "epoch", "many")  # type: ignore[misc]
    assert set(names) - {"acc-7"} == set(await door.heartbeats([*names, "acc-none"]))


def test_names_every_command_of_the_user_once() -> None:
    """The rules begin by forgetting older ones, and allow no category."""
    words = rules(KEYS, "p")
    assert ["reset", "on", f"#{hashlib.sha256(b'p').hexdigest()}"] == words[:3]
    assert not [word for word in words if "@" in word]
