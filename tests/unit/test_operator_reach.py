"""Namespaces that an operator may see or not: asked about again, told, and none a matter of the others."""

import asyncio
import io
from dataclasses import dataclass, field

import pytest

from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.kube_errors import Forbidden, KubeError, Unavailable
from ponton_operator.cluster.metrics import Metrics
from ponton_operator.operators.reach import ALL, Reach


@dataclass
class House:
    """An operator that takes what it is given; `no` says what happens in a namespace instead."""

    no: dict[str, type[KubeError]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    async def take(self, namespace: str) -> None:
        """Take a namespace in."""
        if namespace in self.no:
            raise self.no[namespace]
        self.calls.append(f"take {namespace}")

    async def left_out(self, namespace: str) -> None:
        """Drop it."""
        self.calls.append(f"left out {namespace}")


class World:
    """A reach with a clock that a test moves."""

    def __init__(self, *namespaces: str) -> None:
        self.now, self.out, self.metrics = 0.0, io.StringIO(), Metrics("t", "0")
        self.reach = Reach(namespaces, Log(out=self.out), self.metrics, lambda: self.now)
        self.house = House()

    def told(self, event: str) -> int:
        """Count the events of a name."""
        return self.out.getvalue().count(f'"event":"{event}"')

    def figure(self, namespace: str) -> bool:
        """Whether the metric says that a namespace is served."""
        return f'ponton_namespace_served{{name="{namespace}"}} 1.0' in self.metrics.text().decode()


async def test_one_that_is_refused_stops_no_other() -> None:
    """At the start: it is told once, and asked about until it is shown."""
    world = World("a", "b")
    world.house.no = {"a": Forbidden}
    await world.reach.begin(world.house)
    assert ["left out a", "take b"] == world.house.calls
    assert (("b",), 1, False, True) == (
        world.reach.served(), world.told("namespace_left_out"), world.figure("a"), world.figure("b"),
    )  # fmt: skip
    await world.reach.round(world.house)
    assert 2 == len(world.house.calls)  # it is not due
    world.now = 2.0
    await world.reach.round(world.house)
    assert "left out a" == world.house.calls[-1]
    assert 1 == world.told("namespace_left_out")
    world.house.no, world.now = {}, 6.0
    await world.reach.round(world.house)
    assert "take a" == world.house.calls[-1]
    assert (("a", "b"), 1, True) == (world.reach.served(), world.told("namespace_served"), world.figure("a"))


async def test_one_that_is_refused_later_is_dropped_before_it_is_asked_about() -> None:
    """And told again; what is refused twice at the same time is one refusal."""
    world = World("a", "b")
    shut: list[str] = []
    await world.reach.begin(world.house)
    world.reach.shut = shut.append
    assert 0 == world.told("namespace_served")
    world.reach.refuse("b")
    world.reach.refuse("b")
    world.reach.refuse("nobody's")
    assert (["b"], False, True) == (shut, world.reach.serves("b"), world.reach.serves("a"))
    await world.reach.round(world.house)
    assert ["take a", "take b", "left out b"] == world.house.calls
    world.now = 2.0
    await world.reach.round(world.house)
    assert ["left out b", "take b"] == world.house.calls[2:]
    assert (1, 1) == (world.told("namespace_left_out"), world.told("namespace_served"))


async def test_what_is_forbidden_within_leaves_it_out() -> None:
    """Other errors say nothing about rights."""
    world = World("a")
    await world.reach.begin(world.house)
    with pytest.raises(Unavailable), world.reach.minding("a"):
        raise Unavailable
    assert world.reach.serves("a")
    with pytest.raises(Forbidden), world.reach.minding("a"):
        raise Forbidden
    assert not world.reach.serves("a")


async def test_a_door_opens_when_everything_was_taken_in() -> None:
    """Who waits at it is let through then; where there is none nobody waits."""
    world = World("a")
    world.house.no = {"a": Forbidden}
    await world.reach.begin(world.house)
    waiting = asyncio.create_task(world.reach.opened("a"))
    await world.reach.opened("nobody's")
    await asyncio.sleep(0)
    assert not waiting.done()
    world.house.no, world.now = {}, 2.0
    await world.reach.round(world.house)
    await asyncio.wait_for(waiting, 5)


async def test_an_api_that_is_away_ends_the_start_and_nothing_else() -> None:
    """At the start the program ends and is started again; later the namespace is asked about again, uncounted."""
    world = World("a")
    world.house.no = {"a": Unavailable}
    with pytest.raises(Unavailable):
        await world.reach.begin(world.house)
    world.house.no = {"a": Forbidden}
    await world.reach.begin(world.house)
    world.house.no, world.now = {"a": Unavailable}, 2.0
    await world.reach.round(world.house)
    assert ["left out a"] == world.house.calls
    world.house.no, world.now = {}, 4.0
    await world.reach.round(world.house)
    assert "take a" == world.house.calls[-1]


async def test_it_wakes_when_something_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a sleep until then; and when a namespace is due."""
    monkeypatch.setattr("ponton_operator.plan.reach.FIRST", 0.05)
    house = House()
    reach = Reach(("a",), Log(out=io.StringIO()), Metrics("t", "0"))
    await reach.begin(house)
    keeping = asyncio.create_task(reach.keep(house))
    await asyncio.sleep(0)
    reach.refuse("a")
    async with asyncio.timeout(10):
        while house.calls != ["take a", "left out a", "take a"]:  # noqa: ASYNC110  # the loop under test tells nobody
            await asyncio.sleep(0.01)
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping


async def test_an_operator_of_all_namespaces_has_one_that_is_never_left_out() -> None:
    """Its rights are of the cluster: without them it cannot do anything, which is an error."""
    world = World()
    await world.reach.begin(world.house)
    assert (["take "], (ALL,), True) == (world.house.calls, world.reach.served(), world.reach.serves("any"))
    world.reach.refuse("any")
    assert world.reach.serves("any")
    world.house.no = {ALL: Forbidden}
    with pytest.raises(Forbidden):
        await world.reach.begin(world.house)
