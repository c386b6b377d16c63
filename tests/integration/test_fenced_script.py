"""The script through which shards write, held to the rule in `core.lease` on a real Redis."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ponton_bridge.coordination.client.scripts import EpochRefused, Pen
from ponton_bridge.coordination.client.wire import RedisRefused, Wire
from ponton_bridge.coordination.contract import Keys
from ponton_bridge.core.lease import Holder, Verdict, judge
from tests.harness.redis import running_redis

KEYS = Keys("gw", "acc-1")
STEPS = 3000


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[Wire]:
    """A connection to a Redis of our own."""
    async with running_redis(tmp_path) as server:
        made = Wire(server.url)
        yield made
        await made.close()


async def attempt(wire: Wire, epoch: int, instance: str, value: str, *, lease: float) -> bool:
    """Try to write as somebody; gives whether it was allowed."""
    try:
        await Pen(KEYS, epoch, instance).write(wire, [["SET", KEYS.code, value]], lease=lease)
    except EpochRefused:
        return False
    return True


async def test_is_the_rule(wire: Wire) -> None:
    """Over thousands of random writes of many epochs and instances, Redis judges as the rule does."""
    rng = random.Random(5)
    fence, holder, value = 0, None, None
    verdicts = {Verdict.DONE: 0, Verdict.FENCED: 0, Verdict.HELD: 0}
    for step in range(STEPS):
        if rng.random() < 0.1 and holder:  # the lease runs out
            await wire.call("DEL", KEYS.lease)
            holder = None
        epoch = max(1, fence + rng.choice((-2, -1, -1, 0, 0, 0, 0, 0, 1)))
        instance = rng.choice("abc")
        lease = rng.choice((0.0, 60.0))
        expected = judge(fence, holder, epoch, instance)
        verdicts[expected] += 1
        allowed = await attempt(wire, epoch, instance, str(step), lease=lease)
        assert (expected is Verdict.DONE) == allowed, (fence, holder, epoch, instance)
        if allowed:
            fence, value = max(fence, epoch), str(step)
            holder = Holder(epoch, instance) if lease else holder
        assert value == await wire.call("GET", KEYS.code)
    assert min(verdicts.values()) > STEPS / 20


async def test_refused_writes_leave_no_trace(wire: Wire) -> None:
    """A refused write changes neither lease nor fence nor anything it was to write."""
    await attempt(wire, 5, "a", "first", lease=60)
    before = [await wire.call("GET", KEYS.fence), await wire.call("HGETALL", KEYS.lease)]
    for epoch, instance in ((4, "a"), (5, "b")):
        assert not await attempt(wire, epoch, instance, "no", lease=60)
    assert before == [await wire.call("GET", KEYS.fence), await wire.call("HGETALL", KEYS.lease)]
    assert await wire.call("GET", KEYS.code) == "first"


async def test_large_epochs(wire: Wire) -> None:
    """Epochs of milliseconds since 1970, up to 15 digits, are told apart to the last digit."""
    top = 999_999_999_999_999
    assert await attempt(wire, top - 1, "a", "x", lease=60)
    assert await attempt(wire, top, "b", "x", lease=60)
    assert not await attempt(wire, top - 1, "a", "x", lease=60)
    assert str(top) == await wire.call("GET", KEYS.fence)


async def test_values_arrive_as_they_are(wire: Wire) -> None:
    """Quotes, line ends, digits, nothing and other alphabets survive the way through JSON and Lua."""
    for value in ('"', "\\", "\n\r\t", "", "1e3", "null", "[]", "größe", "\U0001f600", "a" * 100_000):
        await attempt(wire, 1, "a", value, lease=60)
        assert value == await wire.call("GET", KEYS.code)


async def test_tells_the_time_and_who_is_new(wire: Wire) -> None:
    """A write tells Redis' clock, and whether this epoch was new to it."""
    pen = Pen(KEYS, 7, "a")
    first, second = await pen.write(wire, []), await pen.write(wire, [])
    assert (True, False) == (first.new, second.new)
    seconds, micros = await wire.call("TIME")
    assert first.time <= second.time <= int(seconds) + int(micros) / 1e6
    assert second.time > 1_700_000_000


async def test_a_forgotten_script_is_sent_again(wire: Wire) -> None:
    """A Redis that lost its scripts gets it anew."""
    assert await attempt(wire, 1, "a", "one", lease=60)
    await wire.call("SCRIPT", "FLUSH")
    assert await attempt(wire, 1, "a", "two", lease=60)
    assert await wire.call("GET", KEYS.code) == "two"


async def test_a_command_that_cannot_be_done(wire: Wire) -> None:
    """A command that Redis refuses inside the script is our typed error."""
    with pytest.raises(RedisRefused):
        await Pen(KEYS, 1, "a").write(wire, [["HSET", KEYS.code]])
