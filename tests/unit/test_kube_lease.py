"""The Lease: one works, the others stand by; who cannot renew ends before another may take it."""

import threading
from copy import deepcopy
from typing import Any, cast

import pytest

from ponton_operator.cluster.kube_api import Client
from ponton_operator.cluster.kube_errors import Conflict, KubeError, NotFound, Unavailable
from ponton_operator.cluster.lease import DEADLINE, DURATION, EPOCH, Lease


class Books:
    """The API server's one Lease object, with optimistic concurrency; a test may break the line."""

    def __init__(self) -> None:
        self.held: dict[str, Any] | None = None
        self.version = 0
        self.fault: KubeError | None = None
        self.writes = 0
        self.lose_answer = False

    def call(self, verb: str, _kind: object, _path: str, *, body: Any = None, seconds: float = 0.0) -> dict[str, Any]:  # noqa: ANN401
        """Do what Client.call does."""
        assert seconds > 0
        if self.fault:
            raise self.fault
        if verb == "get":
            if self.held is None:
                raise NotFound
            return deepcopy(self.held)
        if (verb == "create") != (self.held is None):
            raise Conflict("AlreadyExists") if self.held else NotFound
        if self.held and body["metadata"].get("resourceVersion") != self.held["metadata"]["resourceVersion"]:
            raise Conflict("Conflict")
        self.version += 1
        self.writes += 1
        self.held = deepcopy(body)
        self.held["metadata"]["resourceVersion"] = str(self.version)
        if self.lose_answer:
            self.lose_answer = False
            raise Unavailable
        return deepcopy(self.held)


class House:
    """Two programs that want the same Lease, and the time."""

    def __init__(self) -> None:
        self.books = Books()
        self.now = 100.0
        self.wall = 1_800_000_000.0
        self.lost: list[str] = []
        self.one, self.two = self.lease("one"), self.lease("two")

    def lease(self, name: str) -> Lease:
        """Make the part of one program."""
        client = cast("Client", self.books)
        return Lease(
            client, "ponton", "op", name, lost=lambda: self.lost.append(name), clock=lambda: self.now,
            wall=lambda: self.wall,
        )  # fmt: skip

    @property
    def spec(self) -> dict[str, Any]:
        """What the record says."""
        assert self.books.held
        return cast("dict[str, Any]", self.books.held["spec"])


@pytest.fixture
def house() -> House:
    """Nobody holds it."""
    return House()


def test_the_first_takes_it_and_the_second_stands_by(house: House) -> None:
    """As long as the first renews, the second never gets it, whatever the wall clocks say."""
    assert house.one.take()
    for _ in range(30):
        house.now += 2.0
        house.wall -= 3600.0
        house.one.renew()
        assert not house.two.take()
    assert ("one", int(DURATION), 0) == (
        house.spec["holderIdentity"],
        house.spec["leaseDurationSeconds"],
        house.spec["leaseTransitions"],
    )
    assert [] == house.lost


def test_a_dead_holder_is_followed_after_the_duration(house: House) -> None:
    """Ten seconds since the record last changed, by the clock of whoever stands by."""
    house.one.take()
    assert not house.two.take()
    house.now += DURATION - 0.1
    assert not house.two.take()
    house.now += 0.1
    assert house.two.take()
    assert ("two", 1) == (house.spec["holderIdentity"], house.spec["leaseTransitions"])


def test_the_holder_ends_before_another_may_begin(house: House) -> None:
    """Without renewals it is overdue after six seconds; the other may take it after ten."""
    house.one.take()
    house.two.take()
    house.books.fault = Unavailable()
    house.now += DEADLINE + 0.1
    with pytest.raises(Unavailable):
        house.one.renew()
    assert house.one.overdue()
    house.books.fault = None
    assert not house.two.take()


def test_a_released_lease_is_taken_at_once(house: House) -> None:
    """On SIGTERM the next one need not wait."""
    house.one.take()
    assert not house.two.take()
    house.one.release()
    assert house.two.take()


def test_two_that_take_at_once_do_not_both_get_it(house: House) -> None:
    """The resourceVersion decides."""
    house.one.take()
    house.two.take()
    third = house.lease("three")
    third.take()
    house.now += DURATION
    before = house.books.call

    def meanwhile(verb: str, *rest: Any, **more: Any) -> dict[str, Any]:  # noqa: ANN401
        answer = before(verb, *rest, **more)
        if verb == "get":
            house.books.call = before  # type: ignore[method-assign]  # once
            assert third.take()
        return answer

    house.books.call = meanwhile  # type: ignore[method-assign]  # somebody is faster between read and write
    assert not house.two.take()
    assert "three" == house.spec["holderIdentity"]


def test_a_lease_that_another_took_ends_the_process(house: House) -> None:
    """Who wakes after a long stop finds another's name, and must not go on."""
    house.one.take()
    house.two.take()
    house.now += DURATION
    assert house.two.take()
    house.one.renew()
    assert ["one"] == house.lost


def test_an_answer_that_got_lost_is_no_reason_to_end(house: House) -> None:
    """The renewal was written, its answer not heard: the next one finds our own name and goes on."""
    house.one.take()
    house.books.lose_answer = True
    with pytest.raises(Unavailable):
        house.one.renew()
    house.one.renew()
    house.one.renew()
    assert [] == house.lost
    assert not house.one.overdue()


def test_a_removed_record_is_made_again(house: House) -> None:
    """Somebody deleted the object: the holder writes it anew, and still holds it."""
    house.one.take()
    house.books.held = None
    house.one.renew()
    assert "one" == house.spec["holderIdentity"]
    assert not house.two.take()


def test_the_epoch_grows_with_every_taking(house: House) -> None:
    """The front desk is fenced by it; a clock that went back does not make it smaller."""
    house.one.take()
    first = house.one.epoch
    assert int(house.wall * 1000) == first
    house.one.release()
    house.wall -= 1e6
    house.two.take()
    assert first + 1 == house.two.epoch
    assert house.books.held
    assert str(first + 1) == house.books.held["metadata"]["annotations"][EPOCH]


def test_holding_waits_until_it_is_free_or_told_to_stop(house: House) -> None:
    """Standing by ends with the Lease, or with the order to stop."""
    stop = threading.Event()
    house.books.fault = Unavailable()
    stop.set()
    assert not house.one.hold(stop)
    house.books.fault = None
    assert house.one.hold(threading.Event())


def test_the_watchdog_ends_a_holder_whose_call_hangs() -> None:
    """A thread of its own judges the deadline, so that a hung call cannot hold it up."""
    hung, ended = threading.Event(), threading.Event()

    class Hanging(Books):
        def call(self, verb: str, *rest: Any, **more: Any) -> dict[str, Any]:  # noqa: ANN401
            if self.writes:
                hung.set()
                ended.wait(10)
            return super().call(verb, *rest, **more)

    now = [0.0]
    lease = Lease(cast("Client", Hanging()), "ns", "op", "one", lost=ended.set, clock=lambda: now[0])
    assert lease.take()
    lease.keep()
    assert hung.wait(10)
    now[0] = DEADLINE + 1.0
    assert ended.wait(10)
    lease.release()
