"""The trace and the statistics as the control API gives them out, without HTTP."""

import asyncio
from typing import Any

import pytest

from tests.sandbox.control import weather
from tests.sandbox.control.fields import Fields
from tests.sandbox.control.house import House
from tests.sandbox.control.people import People
from tests.sandbox.node import node
from tests.sandbox.world import TRACE_LENGTH
from tests.unit.sandbox_box import Box


@pytest.fixture
def box() -> Box:
    """A world."""
    return Box()


@pytest.fixture
def house(box: Box) -> House:
    """The world as the control API sees it."""
    return House(box.router, People(box.world, box.router, later=box.later, random=box.random.randbytes))


async def trace(house: House, **fields: object) -> Any:  # noqa: ANN401 - JSON
    """Ask for the trace."""
    return await weather.trace(house, Fields(fields, ["since", "who", "events", "limit", "wait"]))


async def test_numbers_go_on_when_the_oldest_are_forgotten(house: House, box: Box) -> None:
    """Numbers entries from the start, whatever the trace still holds."""
    for number in range(TRACE_LENGTH + 10):
        box.world.record("happened", None, node("n", id=str(number)))
    answer = await trace(house, limit=2)
    assert [(11, "10"), (12, "11")] == [(e["n"], e["stanza"]["attrs"]["id"]) for e in answer["entries"]]
    assert 12 == answer["last"]
    newest = await trace(house, since=TRACE_LENGTH + 9)
    assert [TRACE_LENGTH + 10] == [e["n"] for e in newest["entries"]]
    assert TRACE_LENGTH + 10 == newest["last"]


async def test_entries_are_chosen_by_event_and_account(house: House, box: Box) -> None:
    """Gives an account's entries with those of its devices, or one device's alone."""
    alice, bob = house.people.create("Alice"), house.people.create("Bob")
    lid = alice.line.lid
    before = house.recorded
    for who in (lid, lid.of_device(1), lid.of_device(2), bob.line.lid, None):
        for event in ("sent", "queued"):
            box.world.record(event, who)
    found = (await trace(house, since=before, who="Alice", events="sent"))["entries"]
    assert [str(lid), str(lid.of_device(1)), str(lid.of_device(2))] == [e["who"] for e in found]
    device = (await trace(house, since=before, who="Alice:2"))["entries"]
    assert [("sent", str(lid.of_device(2))), ("queued", str(lid.of_device(2)))] == [
        (e["event"], e["who"]) for e in device
    ]
    assert 10 == len((await trace(house, since=before))["entries"])


async def test_waits_for_the_next_entry(house: House, box: Box) -> None:
    """Answers as soon as anything happens, and empty when nothing does."""
    waiting = asyncio.create_task(trace(house, since=house.recorded, wait=30))
    await asyncio.sleep(0)
    box.world.record("happened")
    assert ["happened"] == [e["event"] for e in (await waiting)["entries"]]
    assert [] == (await trace(house, since=house.recorded, wait=0.01))["entries"]


async def test_statistics_count_devices_and_what_waits(house: House, box: Box) -> None:
    """Counts linked and connected devices and unacknowledged stanzas, besides all events."""
    alice = house.people.create("Alice")
    desk = box.companion(alice)
    second = box.companion(alice, 2)
    box.run()
    box.router.companions.departed(desk.linked)
    box.world.unimplemented["riddle"] += 1
    stats = await weather.stats(house, Fields({}))
    assert (1, 2, 1) == (stats["accounts"], stats["devices"], stats["connected"])
    assert len(desk.linked.outbox) + len(second.linked.outbox) == stats["waiting"] != 0
    assert {"riddle": 1} == stats["unimplemented"]
    assert box.world.counts == stats["counts"]


async def test_a_live_fault_says_how_many_it_struck(house: House, box: Box) -> None:
    """Acts on the sessions in scope at once."""
    alice = house.people.create("Alice")
    desk, second = box.companion(alice), box.companion(alice, 2)
    fields = ["name", "scope", "count", "value", "match"]
    assert {"struck": 1} == await weather.fault(house, Fields({"name": "drop", "scope": "Alice:1"}, fields))
    assert (True, False) == (desk.ended, second.ended)
    assert {"struck": 1} == await weather.fault(house, Fields({"name": "logged_out"}, fields))
    assert [0, 1] == box.router.devices(alice.line.lid)
    await weather.clear(house, Fields({}))
    assert [] == await weather.faults(house, Fields({}))
