"""The clients of the contract over their life: connections, lost data, slow commands, clocks, liars."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from ponton_bridge.coordination.client import inbox, shard
from ponton_bridge.coordination.client.acl import COMMANDS
from ponton_bridge.coordination.client.door import DoorClient, NoAcl, RedisAway
from ponton_bridge.coordination.client.shard import ShardClient
from ponton_bridge.coordination.client.wire import CALL, Wires
from ponton_bridge.coordination.contract import Command, Heartbeat, Keys, LiveCode, Result, StateChange
from tests.harness.prosody import until
from tests.harness.redis import RedisServer, running_redis

KEYS = Keys("gw", "acc-1")
CONNECTED = StateChange("acc-1", 1, "i", "Connected", 5.0)
CODE = LiveCode("qr", "2@abc", 1, 6, 9e9)


async def answer(command: Command) -> Result:
    """A handler that does at once what it is asked."""
    return Result(command.id, ok=1, value=command.argument)


def beat() -> Heartbeat:
    """A heartbeat."""
    return Heartbeat(epoch=1, instance="i", time=0.0)


@contextlib.asynccontextmanager
async def running(
    url: str, handle: Callable[[Command], Awaitable[Result]] = answer, clock: Callable[[], float] = time.time
) -> AsyncIterator[ShardClient]:
    """A shard's client that runs until the block ends."""
    client = ShardClient(url, KEYS, 1, "i", clock=clock)
    task = asyncio.create_task(client.run(handle, beat))
    try:
        yield client
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


# ---- connections --------------------------------------------------------------------------------------------------


async def test_one_connection_at_rest(server: RedisServer, raw: Wires, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said out of turn takes a second connection, which goes when there is nothing to say."""
    monkeypatch.setattr(shard, "IDLE", 0.3)

    async def connections() -> int:
        listed = (await raw.call("CLIENT", "LIST")).splitlines()
        return len([line for line in listed if "cmd=client" not in line])

    async with running(server.url) as client:
        await until(lambda: raw.call("EXISTS", KEYS.lease))
        client.publish_state(CONNECTED)
        await until(lambda: raw.call("EXISTS", KEYS.state))
        assert 2 == await connections()

        async def alone() -> bool:
            return await connections() == 1

        await until(alone)
        client.publish_code(CODE)
        await until(lambda: raw.call("EXISTS", KEYS.code))

    async def none() -> bool:
        return await connections() == 0

    await until(none)


async def test_a_user_may_do_what_a_shard_does_and_no_more(server: RedisServer, door: DoorClient, raw: Wires) -> None:
    """The list of allowed commands is what a whole life of a shard called, but for choosing a database."""
    name = await door.make_user("acc-1", "secret")
    await raw.call("CONFIG", "RESETSTAT")
    async with running(server.url_for(name, "secret")) as client:
        client.publish_state(CONNECTED)
        client.publish_code(CODE)
        assert await door.command("acc-1", "status", "", 5.0, 5.0) is not None
        await until(lambda: raw.call("EXISTS", KEYS.state))
    await client.release()
    statistics = (await raw.call("INFO", "commandstats")).splitlines()
    used = {line.partition(":")[0].removeprefix("cmdstat_") for line in statistics if line.startswith("cmdstat_")}
    doors = {"info", "exists", "xadd", "blpop", "config|resetstat", "auth"}
    assert {"select"} == set(COMMANDS) - used
    assert set() == used - doors - set(COMMANDS)


async def test_a_frozen_redis_holds_nobody_up(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis that freezes in the middle of a call counts as away; publishing does not wait, and all is well again."""
    monkeypatch.setattr(shard, "LEASE_RENEW", 0.2)
    monkeypatch.setattr(shard, "CALL", 0.2)
    async with running(server.url) as client:
        await until(lambda: client._known)
        server.pause()
        await until(lambda: client.away, timeout=3 * CALL)
        begun = time.monotonic()
        for number in range(1000):
            client.publish_state(StateChange("acc-1", 1, "i", f"Reason{number}", 5.0))
        assert time.monotonic() - begun < CALL
        server.resume()
        await until(lambda: not client.away, timeout=20)
        door = DoorClient(server.url, "gw")
        ((_, change),) = await door.states("0", 5.0)
        assert "Reason999" == change.reason
        await door.close()


# ---- lost data ----------------------------------------------------------------------------------------------------


async def test_a_redis_that_lost_everything_in_silence(
    server: RedisServer, door: DoorClient, raw: Wires, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data lost without a lost connection (a flush, a fail-over behind a proxy) is noticed and said again."""
    monkeypatch.setattr(shard, "LEASE_RENEW", 0.1)
    async with running(server.url) as client:
        client.publish_state(CONNECTED)
        client.publish_code(CODE)
        await until(lambda: raw.call("EXISTS", KEYS.code))
        await raw.call("FLUSHALL")
        await until(lambda: raw.call("EXISTS", KEYS.code))
        assert [CONNECTED] == [change for _, change in await door.states("0", 5.0)]
        assert "1" == await raw.call("GET", KEYS.fence)
        assert not client.away


async def test_nothing_is_said_twice_without_need(server: RedisServer, raw: Wires) -> None:
    """One state is one entry of the stream, however often the lease is renewed."""
    async with running(server.url) as client:
        for reason in ("Connecting", "Connected"):
            client.publish_state(StateChange("acc-1", 1, "i", reason, 5.0))
            await until(lambda: client._state_due is False)
    assert 2 == await raw.call("XLEN", KEYS.states)


async def test_an_ended_code_is_not_shown(server: RedisServer, door: DoorClient, raw: Wires) -> None:
    """A code whose time was over before it could be written takes the older one's place by nothing."""
    async with running(server.url, clock=lambda: 9e9 + 1) as client:
        await raw.call("SET", KEYS.code, "older")
        client.publish_code(CODE)

        async def gone() -> bool:
            return not await raw.call("EXISTS", KEYS.code)

        await until(gone)
    assert await door.live_code("acc-1") is None


# ---- commands -----------------------------------------------------------------------------------------------------


async def test_slow_commands_hold_up_neither_lease_nor_each_other(
    server: RedisServer, door: DoorClient, raw: Wires, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight commands that take long leave the lease alive; a ninth waits for its place and is done."""
    monkeypatch.setattr(shard, "LEASE_RENEW", 0.1)
    gate = asyncio.Event()
    begun: list[str] = []

    async def slow(command: Command) -> Result:
        begun.append(command.argument)
        await gate.wait()
        return Result(command.id, ok=1, value=command.argument)

    async with running(server.url, slow):
        asked = [asyncio.create_task(door.command("acc-1", "status", str(n), 20.0, 20.0)) for n in range(10)]
        await until(lambda: len(begun) == inbox.AT_ONCE)
        await raw.call("DEL", KEYS.lease)
        await until(lambda: raw.call("EXISTS", KEYS.lease))
        assert inbox.AT_ONCE == len(begun)
        gate.set()
        results = await asyncio.gather(*asked)
    assert [str(n) for n in range(10)] == sorted(result.value for result in results if result)
    assert 0 == await raw.call("XLEN", KEYS.commands)


async def test_a_command_under_way_survives_a_lost_redis(tmp_path: Path) -> None:
    """Work goes on while Redis is away; it is done once, and answered when Redis is back."""
    gate = asyncio.Event()
    done: list[str] = []

    async def slow(command: Command) -> Result:
        done.append(command.id)
        await gate.wait()
        return Result(command.id, ok=1, value="done")

    async with running_redis(tmp_path, appendonly="yes", appendfsync="always") as kept:
        raw, door = Wires(kept.url, 5), DoorClient(kept.url, "gw")
        async with running(kept.url, slow) as client:
            await door.command("acc-1", "unlink", "", 0.0, 60.0)
            await until(lambda: done)
            await kept.kill()
            await until(lambda: client.away)
            gate.set()
            await kept.start()
            await until(lambda: raw.call("EXISTS", KEYS.result(done[0])), timeout=20)
            assert "done" == Result.from_json((await raw.call("LRANGE", KEYS.result(done[0]), 0, -1))[0]).value
        assert 1 == len(done)
        await raw.close()
        await door.close()


async def test_a_crash_before_the_answer(server: RedisServer, door: DoorClient) -> None:
    """A process that dies in the middle leaves the command to the next one: at least once."""
    stuck = asyncio.Event()

    async def die(_command: Command) -> Result:
        stuck.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with running(server.url, die):
        asked = asyncio.create_task(door.command("acc-1", "unlink", "x", 20.0, 20.0))
        await asyncio.wait_for(stuck.wait(), 10)
    async with running(server.url):
        result = await asked
    assert result is not None
    assert "x" == result.value


async def test_a_broken_handler_breaks_nothing(server: RedisServer, door: DoorClient) -> None:
    """A bug in a handler is an answer in plain words; the client goes on."""

    async def broken(command: Command) -> Result:
        raise ZeroDivisionError(command.argument)

    async with running(server.url, broken):
        for _ in range(2):
            result = await door.command("acc-1", "status", "secret", 5.0, 5.0)
            assert result is not None
            assert (0, True) == (result.ok, "secret" not in result.sentence)
            assert result.sentence.startswith("Something went wrong")


async def test_a_handler_has_its_time(server: RedisServer, raw: Wires, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command is given up at its deadline, and whoever waits hears of it."""
    monkeypatch.setattr(inbox, "LEAST", 0.1)

    async def forever(_command: Command) -> Result:
        await asyncio.Event().wait()
        raise AssertionError

    seconds, _ = await raw.call("TIME")
    fields = Command("slow", "status", float(seconds) + 2).to_redis()
    async with running(server.url, forever):
        await raw.call("XADD", KEYS.commands, "*", *[part for pair in fields.items() for part in pair])
        _, text = await raw.call("BLPOP", KEYS.result("slow"), 10, seconds=15)
    assert Result("slow", ok=0, sentence=inbox.TOO_LATE) == Result.from_json(text)


@pytest.mark.parametrize("off", [-3600.0, 3600.0])
async def test_clocks_that_differ(server: RedisServer, off: float) -> None:
    """A door and a shard an hour apart still agree on a command's deadline and a code's end."""
    door = DoorClient(server.url, "gw", clock=lambda: time.time() + off)
    async with running(server.url) as client:
        result = await door.command("acc-1", "status", "x", 5.0, 5.0)
        assert result is not None
        assert (1, "x") == (result.ok, result.value)
        client.publish_code(LiveCode("qr", "2@abc", 1, 6, time.time() + 60))
        await until(lambda: door.live_code("acc-1"))
        code = await door.live_code("acc-1")
        assert code is not None
        assert 0 < code.expires - (time.time() + off) <= 60
    await door.close()


# ---- liars --------------------------------------------------------------------------------------------------------


async def test_a_shard_cannot_speak_for_another(server: RedisServer, door: DoorClient, raw: Wires) -> None:
    """An entry of the stream that names another account only makes readers look at that account's own state."""
    async with running(server.url) as client:
        client.publish_state(CONNECTED)
        ((cursor, _),) = await door.states("0", 5.0)
        lie = StateChange("acc-1", 99, "x", "LoggedOut", 0.0).to_redis()
        await raw.call("XADD", KEYS.states, "*", *[part for pair in lie.items() for part in pair])
        assert [CONNECTED] == [change for _, change in await door.states(cursor, 5.0)]


async def test_nonsense_in_the_stream_neither_stops_nor_spins(
    server: RedisServer, door: DoorClient, raw: Wires
) -> None:
    """Entries that name nobody are passed; a reader that found nothing has waited all the same."""
    for fields in (["account", "nobody"], ["account", "*"], ["x", "y"], ["account", "acc-7"]):
        await raw.call("XADD", KEYS.states, "*", *fields)
    await raw.call("HSET", Keys("gw", "acc-7").state, "epoch", "many")
    begun = time.monotonic()
    assert [] == await door.states("0", 0.5)
    assert time.monotonic() - begun >= 0.4
    async with running(server.url) as client:
        client.publish_state(CONNECTED)
        ((cursor, change),) = await door.states("0", 5.0)
    assert CONNECTED == change
    assert [] == await door.states(cursor, 0.05)


async def test_values_that_are_no_values(server: RedisServer, door: DoorClient, raw: Wires) -> None:
    """A shard that writes odd values into its own keys harms no reader."""
    await raw.call("SET", KEYS.heartbeat, "text")
    await raw.call("SET", KEYS.code, "no code", "PX", 60_000)
    assert await door.heartbeat("acc-1") is None
    assert await door.live_code("acc-1") is None
    waiting = asyncio.create_task(door.command("acc-1", "status", "", 5.0, 5.0))
    entries = await raw.call("XREAD", "BLOCK", 3000, "STREAMS", KEYS.commands, "0", seconds=5)
    command = dict(zip(entries[0][1][0][1][::2], entries[0][1][0][1][1::2], strict=True))
    await raw.call("RPUSH", KEYS.result(command["id"]), "no result")
    assert await waiting is None


# ---- users --------------------------------------------------------------------------------------------------------


async def test_a_redis_without_users(tmp_path: Path) -> None:
    """A Redis that has no users, or forbids making them, is told apart from one that is away."""
    async with running_redis(tmp_path / "a", rename_command='ACL ""') as server:
        door = DoorClient(server.url, "gw")
        assert [False] == [await door.supports_acl()]
        with pytest.raises(NoAcl):
            await door.make_user("acc-1", "secret")
        await door.close()
    async with running_redis(tmp_path / "b") as server:
        owner = DoorClient(server.url, "gw")
        assert [True] == [await owner.supports_acl()]
        name = await owner.make_user("acc-1", "secret")
        poor = DoorClient(server.url_for(name, "secret"), "gw")
        assert [False] == [await poor.supports_acl()]
        await owner.close()
        await poor.close()
        await server.kill()
        with pytest.raises(RedisAway):
            await owner.supports_acl()


async def test_a_new_epoch_has_a_new_password(server: RedisServer, door: DoorClient) -> None:
    """Making the user again takes the older password and the older rules back."""
    name = await door.make_user("acc-1", "old")
    await door.make_user("acc-1", "new")
    old, new = Wires(server.url_for(name, "old"), 1), Wires(server.url_for(name, "new"), 1)
    with pytest.raises(RedisAway) as caught:
        await old.call("TIME")
    assert "credentials" == caught.value.why
    assert await new.call("TIME")
    await new.close()
    await door.delete_user("acc-1")
    with pytest.raises(RedisAway):
        await new.call("TIME")
