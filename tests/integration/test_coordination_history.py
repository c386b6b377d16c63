"""What happened to accounts, in a real Redis: bounded, in order, out of a shard's reach, and gone with the account."""

import io

import pytest

from ponton_bridge.coordination.client.door import DoorClient, door_user_name
from ponton_bridge.coordination.client.wire import RedisAway, Wire, Wires
from ponton_bridge.coordination.contract import HISTORY_MAX, HISTORY_TTL, Door, Happening, Keys
from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.coordination import Coordination
from tests.harness.prosody import until
from tests.harness.redis import RedisServer
from tests.integration.test_control_coordination import Ears

KEYS = Keys("wa", "acc-1")
MOST = 16384  # bytes that fifty of the longest may cost in Redis


def happening(number: int) -> Happening:
    """Make one that is long, as they come."""
    return Happening(
        1_795_996_800.0 + number,
        state="Degraded ConnectionLost",
        turned="Ready=False XMPPConnected=True WhatsAppConnected=False PhoneSeen=Unknown",
        started=1_795_996_800_000 + number,
        ended="70",
    )


async def test_keeps_the_newest(door: DoorClient, raw: Wires) -> None:
    """Newest first, fifty at most, for thirty days after the last, within a few kilobytes."""
    await door.record([("acc-1", happening(number)) for number in range(HISTORY_MAX + 20)])
    expected = [happening(number) for number in reversed(range(20, HISTORY_MAX + 20))]
    assert expected == await door.history("acc-1")
    assert 0 <= HISTORY_TTL - await raw.call("TTL", KEYS.history) < 100
    usage = await raw.call("MEMORY", "USAGE", KEYS.history)
    print(f"{usage} bytes of Redis for the longest history")  # noqa: T201  # a figure
    assert usage <= MOST


async def test_accounts_have_their_own(door: DoorClient) -> None:
    """Many at once are one round trip, each in its place."""
    await door.record([(f"acc-{number}", happening(number)) for number in range(700)])
    assert [happening(699)] == await door.history("acc-699")
    assert [] == await door.history("acc-none")


async def test_what_is_told_twice_is_read_once(door: DoorClient, raw: Wires) -> None:
    """A lost answer has the control plane tell it again; what nobody can read is left out."""
    await door.record([("acc-1", happening(1)), ("acc-1", happening(1)), ("acc-1", happening(2))])
    await raw.call("XADD", KEYS.history, "*", "time", "soon")
    assert [happening(2), happening(1)] == await door.history("acc-1")


async def test_a_shard_has_no_part_in_it(server: RedisServer, door: DoorClient) -> None:
    """An account's own user can neither read nor change it; the doors read it, and the page adds what the host did."""
    await door.record([("acc-1", happening(1))])
    name = await door.make_user("acc-1", "secret")
    for each in Door:
        await door.make_door_user(each, "secret")
    words = (
        ("DEL", KEYS.history),
        ("SET", KEYS.history, ""),
        ("XADD", KEYS.history, "*", "time", "1.0"),
        ("XREVRANGE", KEYS.history, "+", "-"),
    )
    desk, portal = (door_user_name("wa", each) for each in (Door.FRONT_DESK, Door.PORTAL))
    for user, refused in ((name, words), (desk, words[:3]), (portal, words[:2])):
        wire = Wire(server.url_for(user, "secret"))
        for command in refused:
            with pytest.raises(RedisAway) as problem:
                await wire.call(*command)
            assert "rights" == problem.value.why
        await wire.close()
    page = DoorClient(server.url_for(portal, "secret"), "wa")
    await page.record([("acc-1", happening(2))])
    await page.close()
    reading = DoorClient(server.url_for(desk, "secret"), "wa")
    assert [happening(2), happening(1)] == await reading.history("acc-1")
    await reading.close()


async def test_with_redis_away_there_is_none() -> None:
    """A page without it is better than none."""
    nowhere = DoorClient("redis://127.0.0.1:1/0", "wa")
    assert [] == await nowhere.history("acc-1")
    with pytest.raises(RedisAway):
        await nowhere.record([("acc-1", happening(1))])
    await nowhere.close()


async def test_the_control_plane_tells_when_redis_is_back(server: RedisServer, door: DoorClient) -> None:
    """What happens while Redis is away waits, in its order."""
    ears = Ears(server.url)
    async with ears.open() as coordination:
        coordination.record("acc-1", happening(1))
        await until(lambda: door.history("acc-1"))
        await server.stop()
        coordination.record("acc-1", happening(2))
        coordination.record("acc-1", happening(3))
        await server.start()

        async def told() -> bool:
            return [happening(3), happening(2)] == (await door.history("acc-1"))[:2]

        await until(told, timeout=20)


async def test_a_forgotten_account_leaves_none(server: RedisServer, door: DoorClient, raw: Wires) -> None:
    """What waited to be told goes, too, so that nothing is written after it was removed."""
    coordination = Coordination(server.url, "wa", "m", lambda _: None, Log(out=io.StringIO()))
    await door.record([("acc-1", happening(1)), ("acc-2", happening(1))])
    coordination.record("acc-1", happening(2))
    coordination.record("acc-2", happening(2))
    await coordination.forget("acc-1")
    assert [("acc-2", happening(2))] == coordination._happened
    assert [Keys("wa", "acc-2").history] == [key for key in await raw.call("KEYS", "*") if ":h:" in key]
    await coordination.close()


async def test_the_last_things_are_told_at_the_end(server: RedisServer, door: DoorClient) -> None:
    """A control plane that ends in order leaves nothing untold; with Redis away it does not wait for long."""
    coordination = Coordination(server.url, "wa", "m", lambda _: None, Log(out=io.StringIO()))
    coordination.record("acc-1", happening(1))
    await coordination.close()
    assert [happening(1)] == await door.history("acc-1")


async def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """With Redis away for long, what comes later is not kept."""
    monkeypatch.setattr("ponton_operator.cluster.coordination.HAPPENED", 3)
    coordination = Coordination("redis://127.0.0.1:1/0", "wa", "m", lambda _: None, Log(out=io.StringIO()))
    for number in range(5):
        coordination.record("acc-1", happening(number))
    assert [happening(0), happening(1), happening(2)] == [each for _, each in coordination._happened]
    await coordination.close()
