"""Hostile Redis contents on the whole system: what somebody who reaches Redis, or a shard that turned, could write.

Commands, states, heartbeats and codes that make no sense: the shards and the control plane live on, the neighbour
notices nothing, and what was bent is whole again once the true writer has spoken. One town for the file.
"""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio

from ponton_bridge.coordination.client.door import DoorClient
from ponton_bridge.coordination.client.wire import Wire
from ponton_bridge.coordination.contract import LEASE_RENEW, Keys, Verb
from ponton_bridge.model.states import TABLE, Reason

# ruff: noqa: E501 - one case is one line
from tests.harness.local import GATEWAY as GATEWAY_NAME
from tests.harness.prosody import until
from tests.harness.town import GATEWAY, HOST, Town, built_town

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

PATIENCE = 4 * LEASE_RENEW  # seconds; what a shard says is said again with each renewal
ODD = "\x00\x1b[31m\u202e<x>]]>&\U0001f600"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """Everything, running."""
    async with built_town(tmp_path_factory.mktemp("town")) as built:
        yield built


@pytest_asyncio.fixture(loop_scope="module")
async def redis(town: Town) -> AsyncIterator[Wire]:
    """A connection that may do anything."""
    wire = Wire(town.stage.redis.url)
    yield wire
    await wire.close()


def keys(town: Town, name: str = "alice") -> Keys:
    """Give the keys of an owner's account."""
    return Keys(GATEWAY_NAME, town.stage.local.account(f"{name}@{HOST}"))


COMMANDS: dict[str, list[str]] = {
    "nothing known": ["x", "y"],
    "no id": ["verb", Verb.STATUS, "deadline", "9999999999"],
    "no verb": ["id", "1", "deadline", "9999999999"],
    "an unknown verb": ["id", "2", "verb", "explode", "deadline", "9999999999"],
    "a verb of Python's": ["id", "3", "verb", "__class__", "deadline", "9999999999"],
    "a deadline in words": ["id", "4", "verb", Verb.STATUS, "deadline", "tomorrow"],
    "a deadline that is none": ["id", "5", "verb", Verb.STATUS, "deadline", "nan"],
    "a deadline never": ["id", "6", "verb", Verb.STATUS, "deadline", "inf"],
    "a deadline before all": ["id", "7", "verb", Verb.STATUS, "deadline", "-inf"],
    "an id of ten thousand letters": ["id", "i" * 10_000, "verb", Verb.STATUS, "deadline", "9999999999"],
    "an id with a pattern": ["id", "*[a-z]?", "verb", Verb.STATUS, "deadline", "9999999999"],
    "an odd id": ["id", ODD, "verb", Verb.STATUS, "deadline", "9999999999"],
    "an odd argument": ["id", "8", "verb", Verb.PAIR_PHONE, "deadline", "9999999999", "argument", ODD],
    "an argument of a megabyte": ["id", "9", "verb", Verb.PASSKEY, "deadline", "9999999999", "argument", "a" * 1_000_000],
    "a code while linked": ["id", "10", "verb", Verb.NEW_CODE, "deadline", "9999999999"],
    "a passkey that nobody asked for": ["id", "11", "verb", Verb.PASSKEY, "deadline", "9999999999", "argument", "{}"],
    "twice": ["id", "2", "verb", "explode", "deadline", "9999999999"],
}  # fmt: skip


async def test_commands_that_make_no_sense_are_answered_or_taken_away(town: Town, redis: Wire) -> None:
    """Each entry leaves the stream, and a true command after them is done."""
    stream = keys(town).commands
    for fields in COMMANDS.values():
        await redis.call("XADD", stream, "*", *fields)
    door = DoorClient(town.stage.redis.url, GATEWAY_NAME)
    result = await door.command(keys(town).account, Verb.STATUS, "", 10.0, 10.0)
    assert result is not None
    assert TABLE[Reason.CONNECTED].sentence == result.sentence
    await door.close()

    async def empty() -> bool:
        return int(await redis.call("XLEN", stream)) == 0

    await until(empty, timeout=PATIENCE, what="the end of all commands")
    await town.peace()


WRONG_KINDS = [
    ["SET", "commands", "a text"],
    ["RPUSH", "lease", "a list"],
    ["SET", "heartbeat", "a text"],
    ["SET", "state", "a text"],
    ["HSET", "code", "a", "hash"],
]


async def test_keys_of_another_kind_are_survived(town: Town, redis: Wire) -> None:
    """A text where a stream should be is Redis out of reach, for that shard alone; when it is gone, all goes on."""
    ours = keys(town)
    state = await redis.call("HGETALL", ours.state)
    for verb, name, *rest in WRONG_KINDS:
        await redis.call("DEL", getattr(ours, name))
        await redis.call(verb, getattr(ours, name), *rest)
    await town.peace()
    for _, name, *_ in WRONG_KINDS:
        await redis.call("DEL", getattr(ours, name))
    await redis.call("HSET", ours.state, *state)  # said again only when it changes, or all of Redis was lost

    async def beats() -> bool:
        return bool(await redis.call("EXISTS", ours.heartbeat))

    await until(beats, timeout=PATIENCE, what="the heartbeat")
    await town.peace()


STATES: dict[str, dict[str, str]] = {
    "an unknown reason": {"reason": "Flying"},
    "an odd reason": {"reason": ODD},
    "a reason of a megabyte": {"reason": "r" * 1_000_000},
    "a time that is none": {"since": "nan", "until": "nan", "paired": "1"},
    "a time never": {"since": "inf", "until": "inf"},
    "a time before all": {"since": "-1e300"},
    "a time beyond the calendar": {"since": "1e15", "until": "1e18"},
    "an epoch of the future": {"epoch": "999999999999999"},
    "an epoch in words": {"epoch": "newest"},
    "another account": {"account": "{{carol}}", "reason": "LoggedOut"},
    "an account that is a path": {"account": "../../etc/passwd"},
    "an account that is a pattern": {"account": "*"},
}  # fmt: skip


async def test_states_that_make_no_sense_stop_nobody(town: Town, redis: Wire) -> None:
    """A shard that turned may write any state of its own and any name into the stream: the others are not touched."""
    ours = keys(town)
    true = await state_of(town, redis, "alice")
    for change in STATES.values():
        named = {k: v.replace("{{carol}}", keys(town, "carol").account) for k, v in change.items()}
        await write(redis, ours, true | named)
        await redis.call("HSET", ours.heartbeat, *[part for pair in named.items() for part in pair])
        town.users["alice"].say(GATEWAY, "status")
    await redis.call("XADD", ours.states, "*", "x", "y")
    await write(redis, ours, true)
    assert await reaches(town, redis, "carol")
    await town.peace()


async def state_of(town: Town, redis: Wire, name: str) -> dict[str, str]:
    """Give the state that an owner's shard has written."""
    flat = await redis.call("HGETALL", keys(town, name).state)
    return dict(zip(flat[::2], flat[1::2], strict=True))


async def write(redis: Wire, whose: Keys, state: dict[str, str]) -> None:
    """Write a state as a shard does."""
    flat = [part for pair in state.items() for part in pair]
    await redis.call("DEL", whose.state)
    await redis.call("HSET", whose.state, *flat)
    await redis.call("XADD", whose.states, "*", *flat)


async def reaches(town: Town, redis: Wire, name: str) -> bool:
    """Tell whether the control plane still follows: what a shard says now is in the status soon, and the truth again."""
    true = await state_of(town, redis, name)
    for seconds, reason in enumerate((Reason.CONNECTION_LOST, Reason.CONNECTED), 1):
        said = {"reason": reason.value, "since": str(float(true["since"]) + seconds)}
        await write(redis, keys(town, name), true | said)
        await until(partial(_is, town, name, reason), timeout=PATIENCE, what=f"{reason} in the status")
    return True


def _is(town: Town, name: str, reason: Reason) -> bool:
    status = (town.stage.local.status(f"{name}@{HOST}") or {})["status"]
    return bool(reason.value == status["reason"])


async def test_bytes_that_are_no_text_stop_nobody(town: Town, redis: Wire) -> None:
    """Neither in an account's commands, nor in the stream of states that every shard may add to."""
    ours = keys(town)
    noise = b"\xff\xfe\x80"
    for name in (ours.commands, ours.states):
        await raw(town, b"XADD", name.encode(), b"*", b"account", noise, noise, noise)
    await raw(town, b"HSET", ours.heartbeat.encode(), b"reason", noise)
    door = DoorClient(town.stage.redis.url, GATEWAY_NAME)
    result = await door.command(ours.account, Verb.STATUS, "", PATIENCE, PATIENCE)
    assert result is not None
    assert await reaches(town, redis, "carol")
    await door.close()
    await town.peace()


async def raw(town: Town, *words: bytes) -> None:
    """Send a command of any bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", town.stage.redis.port)
    writer.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
    assert not (await reader.readline()).startswith(b"-")
    writer.close()
    await writer.wait_closed()


async def test_door_answers_with_bent_codes_and_heartbeats(town: Town, redis: Wire) -> None:
    """What a door reads as a code may be anything: what is no code is none."""
    account = keys(town).account
    door = DoorClient(town.stage.redis.url, GATEWAY_NAME)
    for text in ("", "x", "[]", "null", '{"kind": 1}', "{" * 10_000, ODD):
        await redis.call("SET", keys(town).code, text, "PX", 60_000)
        assert None is await door.live_code(account)
    await redis.call("DEL", keys(town).code)
    await redis.call("RPUSH", keys(town).code, "a list")
    assert None is await door.live_code(account)
    await redis.call("DEL", keys(town).code)
    await door.close()
    await town.peace()


async def test_flush_of_everything_is_survived(town: Town, redis: Wire) -> None:
    """Keys and users gone at once: each shard takes its lease again, and doors reach it."""
    await redis.call("FLUSHALL")
    for user in await redis.call("ACL", "USERS"):
        if user != "default":
            await redis.call("ACL", "DELUSER", user)
    await town.peace()

    async def leased() -> bool:
        return all([await redis.call("EXISTS", keys(town, name).lease) for name in ("alice", "carol")])

    await until(leased, timeout=60, what="both leases")
    await town.peace()
