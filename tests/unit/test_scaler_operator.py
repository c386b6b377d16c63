"""The scaler as an operator: it lists, watches, sweeps again and again, and ends when told to."""

import asyncio
from collections.abc import Awaitable
from typing import Any, Protocol, cast

import kopf
import pytest

from ponton_operator.cluster.kube_kinds import ACCOUNTS, GATEWAYS, PODS
from ponton_operator.operators import scaler
from ponton_operator.operators.scaler import Scaler, make
from tests.unit.fleet_kit import EPOCH, beat, served
from tests.unit.scaler_bed import PLACE, Bed, gateway_object, pod_object


class Seen(Protocol):
    """A handler of ours, as kopf calls it."""

    def __call__(self, *, event: dict[str, Any]) -> Awaitable[None]:
        """Take what was seen in."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sweeps follow each other soon."""
    monkeypatch.setattr(scaler, "SWEEP", 0.0)


def operator(bed: Bed) -> Scaler:
    """Make the operator of a cluster."""
    return Scaler(bed.context(), bed.make_beats(), bed.clock)


async def until(bed: Bed, sweeps: int) -> None:
    """Wait for so many sweeps."""
    async with asyncio.timeout(10):
        while len(bed.pages) < sweeps:  # noqa: ASYNC110  # a sweep tells nobody
            await asyncio.sleep(0.01)


async def test_it_sweeps_until_it_is_closed() -> None:
    """What is there at the start is seen without a watch; closing ends the connections, and nothing follows."""
    bed = Bed.of(served(), pods=[pod_object("acc-1")])
    here = operator(bed)
    await here.start()
    await until(bed, 1)
    for mib in (230, 231):
        bed.now += 10
        bed.beats["acc-1"] = beat(mib, bed.now)
        await until(bed, len(bed.pages) + 2)
    await here.close()
    assert "large" == bed.api.status("acc-1")["scaling"]["tier"]
    assert [True] == [door.closed for door in bed.doors]
    done = len(bed.pages)
    await asyncio.sleep(0.15)
    assert done == len(bed.pages)


async def test_one_gateways_fault_is_not_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep that fails is logged by its class and comes again."""
    bed = Bed.of(served())
    here, failed = operator(bed), asyncio.Event()
    look = here._sweep.look

    async def failing(key: tuple[str, str]) -> None:
        if not failed.is_set():
            failed.set()
            raise RuntimeError("alice@example.test")
        await look(key)

    monkeypatch.setattr(type(here._sweep), "look", lambda _, key: failing(key))
    await here.start()
    await until(bed, 1)
    await here.close()
    assert '"event":"sweep_failed"' in bed.out.getvalue()
    assert '"error":"RuntimeError"' in bed.out.getvalue()
    assert "alice" not in bed.out.getvalue()


async def test_what_no_watch_told_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Now and then the names are compared; an API server that is away then is no reason to end."""
    monkeypatch.setattr(scaler, "TIDY", 0.0)
    bed = Bed.of(served())
    here = operator(bed)
    await here.start()
    await until(bed, 1)
    del bed.api.objects[ACCOUNTS, PLACE, "acc-1"]
    async with asyncio.timeout(10):
        while here._fleet.accounts((PLACE, "wa")):  # noqa: ASYNC110  # a sweep tells nobody
            await asyncio.sleep(0.01)
    await here.close()


async def test_what_watches_tell_is_taken_in() -> None:
    """New, changed and deleted objects; a gateway that is gone has its connection closed."""
    bed = Bed.of(served(), pods=[pod_object("acc-1")])
    here = operator(bed)
    await here.start()
    await until(bed, 1)
    await here._see(PODS, pod_object("acc-1", EPOCH + 1), gone=False)
    assert EPOCH + 1 == here._fleet.pods[PLACE, "acc-1"].epoch
    await here._see(PODS, pod_object("acc-1", EPOCH + 1), gone=True)
    assert {} == here._fleet.pods
    await here._see(ACCOUNTS, bed.api.objects[ACCOUNTS, PLACE, "acc-1"], gone=True)
    assert [] == here._fleet.accounts((PLACE, "wa"))
    await here._see(GATEWAYS, gateway_object(), gone=True)
    assert {} == here._fleet.gateways
    assert [True] == [door.closed for door in bed.doors]
    await here.close()


async def test_a_namespace_that_is_left_out_is_not_looked_at() -> None:
    """Nothing of it is held, its connection is closed; what is seen later is taken in anew."""
    bed = Bed.of(served(), pods=[pod_object("acc-1")])
    here = operator(bed)
    await here.start()
    await until(bed, 1)
    here._context.reach.refuse(PLACE)
    await here.left_out(PLACE)
    assert ({}, {}, []) == (here._fleet.gateways, here._fleet.pods, here._fleet.accounts((PLACE, "wa")))
    assert [True] == [door.closed for door in bed.doors]
    await here._see(PODS, pod_object("acc-1"), gone=False)
    assert {} == here._fleet.pods
    done = len(bed.pages)
    await asyncio.sleep(0.15)
    assert done == len(bed.pages)
    await here.take(PLACE)
    assert (1, 1) == (len(here._fleet.accounts((PLACE, "wa"))), len(here._fleet.pods))
    await asyncio.sleep(0.15)
    assert done == len(bed.pages)  # it is not served before all is taken in
    await here._context.reach.begin(here)
    await until(bed, done + 1)
    await here.close()


async def test_three_kinds_are_watched_by_events_only() -> None:
    """No handler of kopf's that writes: no creation, update, deletion, timer, daemon or index."""
    bed, registry = Bed.of(), kopf.OperatorRegistry()
    here = make(bed.context())
    here.register(registry)
    watching = registry._watching.get_all_handlers()
    assert {"scaler-bridgeaccounts", "scaler-bridgegateways", "scaler-pods"} == {str(h.id) for h in watching}
    others: tuple[Any, ...] = (registry._spawning, registry._changing, registry._indexing)
    assert [] == [handler for part in others for handler in part.get_all_handlers()]
    (seen,) = [cast("Seen", handler.fn) for handler in watching if "gateways" in str(handler.id)]
    await seen(event={"type": "ADDED", "object": gateway_object()})
    assert [] == list(here._fleet.gateways)  # nothing counts before a namespace was taken in
    await here.start()
    other = gateway_object()
    other["metadata"]["name"] = "other"
    await seen(event={"type": "ADDED", "object": other})
    assert [(PLACE, "wa"), (PLACE, "other")] == list(here._fleet.gateways)
    await here.close()
