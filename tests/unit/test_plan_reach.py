"""When a namespace that may not be seen is asked about again."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponton_operator.plan.reach import (
    CALM,
    FIRST,
    MOST,
    Place,
    away,
    is_going,
    is_held_up,
    let_in,
    refused,
    wait,
)

SAYS = "Some content in the namespace has finalizers remaining: ponton.im/unlink in 2 resource instances"


def test_the_wait_doubles_up_to_a_minute() -> None:
    """So that rights that come a moment later count soon, and those that never come cost a call in a minute."""
    place, waits = Place(), []
    for _ in range(8):
        place = refused(place, 100.0)
        waits.append(place.due - 100.0)
    assert [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0] == waits


def test_rights_that_come_and_go_are_not_asked_for_ever_faster() -> None:
    """Only a namespace that was served for a while begins with the first wait again."""
    place = let_in(refused(refused(Place(), 0.0), 2.0), 6.0)
    assert 8.0 == refused(place, 6.0 + CALM - 1.0).due - (6.0 + CALM - 1.0)
    assert FIRST == refused(place, 6.0 + CALM).due - (6.0 + CALM)


def test_no_answer_is_no_refusal() -> None:
    """It is asked again soon, and nothing is counted."""
    before = refused(refused(Place(), 0.0), 2.0)
    assert (before.tries, 10.0 + FIRST, False) == (away(before, 10.0).tries, away(before, 10.0).due, before.served)


def test_nothing_is_waited_for_when_all_are_served() -> None:
    """Else for the one that is due first, no less than not at all."""
    first, later = refused(Place(), 0.0), refused(Place(), 5.0)
    assert wait([], 0.0) is None
    assert wait([let_in(first, 1.0)], 1.0) is None
    assert 1.5 == wait([later, first, let_in(first, 1.0)], 0.5)
    assert 0.0 == wait([first], 100.0)


@given(st.lists(st.tuples(st.sampled_from(["refused", "let in", "away"]), st.floats(0.0, 1000.0)), max_size=50))
def test_it_is_always_asked_again_in_a_bounded_time(steps: list[tuple[str, float]]) -> None:
    """Whatever happens in whatever order: a place is served, or due within a minute."""
    place, now = Place(), 0.0
    for what, seconds in steps:
        now += seconds
        place = {"refused": refused, "let in": let_in, "away": away}[what](place, now)
        assert place.served or what == "away" or now < place.due <= now + MOST
        assert place.served == (what == "let in" or (what == "away" and place.served))


@pytest.mark.parametrize(
    ("namespace", "going"),
    [
        (None, False),
        ({"metadata": {"name": "a"}}, False),
        ({"metadata": {"name": "a", "deletionTimestamp": "2026-11-29T00:00:00Z"}}, True),
    ],
)
def test_a_namespace_with_a_deletion_timestamp_is_going(namespace: dict[str, Any] | None, going: bool) -> None:  # noqa: FBT001  # a case
    """One that is not there is gone, which is something else."""
    assert going == is_going(namespace)


@pytest.mark.parametrize(
    ("condition", "held"),
    [
        ({"type": "NamespaceFinalizersRemaining", "status": "True", "message": SAYS}, True),
        ({"type": "NamespaceFinalizersRemaining", "status": "False", "message": SAYS}, False),
        ({"type": "NamespaceFinalizersRemaining", "status": "True", "message": "other/one in 1 instances"}, False),
        ({"type": "NamespaceContentRemaining", "status": "True", "message": SAYS}, False),
    ],
)
def test_kubernetes_says_what_holds_a_namespace_up(condition: dict[str, str], held: bool) -> None:  # noqa: FBT001  # a case
    """Only our finalizer is our matter."""
    assert held == is_held_up({"status": {"conditions": [condition]}})
    assert not is_held_up({})
