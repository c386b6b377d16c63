"""How many replicas a portal has: more at once, fewer after a quiet time, never beyond the host's word, no swinging."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponton_operator.plan.portal_scaling import FULL, QUIET, ROOMY, Calm, plan_replicas, within
from ponton_operator.plan.scaling import SWEEP
from ponton_operator.resources.base import moment
from ponton_operator.resources.gateway import Portal, PortalStatus

NOW = 1_800_000_000.0


def portal(least: int = 2, most: int = 5) -> Portal:
    """Make a portal with these bounds."""
    return Portal(url="https://example.org", min_replicas=least, max_replicas=most)


def spread(pages: int, replicas: int) -> dict[str, int]:
    """Give pages as they are spread over replicas."""
    return {f"pod-{n}": pages // replicas + (n < pages % replicas) for n in range(replicas)}


class Day:
    """A portal whose replicas follow the word of the scaler, look by look."""

    def __init__(self, spec: Portal, step: float = SWEEP) -> None:
        self.spec = spec
        self.step = step  # seconds between two looks
        self.status: PortalStatus | None = None
        self.calm = Calm()
        self.now = NOW
        self.moves: list[int] = []

    @property
    def replicas(self) -> int:
        """How many there are now."""
        return within(self.spec, self.status)

    def look(self, pages: int | None) -> int:
        """Look once; gives the replicas afterwards."""
        self.now += self.step
        seen = None if pages is None else spread(pages, self.replicas)
        status, self.calm = plan_replicas(self.spec, self.status, seen, self.calm, self.now)
        if status is not None:
            self.status = status
            self.moves.append(status.replicas)
        return self.replicas

    def wait(self, pages: int, seconds: float) -> int:
        """Look for so long."""
        for _ in range(int(seconds / self.step)):
            self.look(pages)
        return self.replicas


def test_nothing_is_said_of_a_portal_as_the_host_wants_it() -> None:
    """With few pages the least number is right, and no status is written."""
    day = Day(portal())
    assert 2 == day.wait(10, 2 * QUIET)
    assert (None, []) == (day.status, day.moves)


def test_more_pages_than_fit_bring_replicas_at_once() -> None:
    """As many as leave room, in one move, with the time of it."""
    day = Day(portal())
    assert 2 == day.look(2 * FULL)
    assert 4 == day.look(2 * FULL + 1)
    assert [4] == day.moves
    assert day.status
    assert moment(day.now) == day.status.since


def test_the_hosts_most_is_kept() -> None:
    """However many pages there are."""
    assert 3 == Day(portal(most=3)).look(100 * FULL)


def test_a_smaller_word_of_the_host_counts_at_once() -> None:
    """What the scaler said before is cut to it, and said anew."""
    status = PortalStatus(replicas=5, since=moment(NOW))
    assert 3 == within(portal(most=3), status)
    assert 4 == within(portal(4, 6), PortalStatus(replicas=2))
    said, _ = plan_replicas(portal(most=3), status, spread(3 * FULL, 3), Calm(), NOW)
    assert said
    assert 3 == said.replicas


def test_fewer_pages_take_replicas_one_by_one_after_a_quiet_time() -> None:
    """Each step waits for its own, and the least stays."""
    day = Day(portal())
    day.look(5 * FULL)
    assert 5 == day.wait(10, QUIET)
    assert 4 == day.wait(10, 2 * SWEEP)
    assert 2 == day.wait(10, 4 * QUIET)
    assert [5, 4, 3, 2] == day.moves


def test_a_rush_in_the_quiet_time_begins_it_anew() -> None:
    """One look with more than fewer replicas could bear."""
    day = Day(portal())
    day.look(5 * FULL)
    day.wait(10, QUIET - SWEEP)
    day.look(5 * ROOMY)
    assert 5 == day.wait(10, QUIET - SWEEP)


def test_while_nobody_can_say_all_stays() -> None:
    """Redis away is no reason for more or fewer, and quiet times begin anew after it."""
    day = Day(portal())
    day.look(5 * FULL)
    day.wait(0, QUIET)
    assert 5 == day.look(None)
    assert 5 == day.wait(0, QUIET)
    assert 4 == day.wait(0, 2 * SWEEP)


@settings(deadline=None)
@given(st.integers(0, 3000), st.integers(1, 5), st.integers(0, 15))
def test_steady_pages_make_it_settle(pages: int, least: int, more: int) -> None:
    """From any beginning it goes one way, ends, and what there is then is enough, as far as the host lets it."""
    day = Day(portal(least, least + more), step=QUIET / 2)
    day.status = PortalStatus(replicas=least + more)
    settled = day.wait(pages, (more + 2) * 2 * QUIET)
    moves = [least + more, *day.moves]
    assert sorted(moves, reverse=True) == moves
    assert settled == day.wait(pages, 3 * QUIET)
    assert pages <= FULL * settled or settled == least + more
    assert settled == least or pages > ROOMY * (settled - 1)


@pytest.mark.parametrize(("least", "most"), [(3, 2), (6, 5), (0, 5), (2, 21)])
def test_bounds_that_make_no_sense_are_refused(least: int, most: int) -> None:
    """Each by its own rule."""
    with pytest.raises(ValueError, match=r"Replicas|greater than|less than"):
        Portal.model_validate({"url": "https://example.org", "minReplicas": least, "maxReplicas": most})
