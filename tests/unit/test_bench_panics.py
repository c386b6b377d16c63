"""How the bench of panics judges the core."""

from typing import Any

import pytest

from tests.bench.panics import judged

GOOD: dict[str, Any] = {
    "down_after_odd_stanzas": 0,
    "texts_lost_behind_them": 0,
    "connected_again_s": {"p50": 0.1, "p99": 1.0},
    "stopped_connected_again_s": {"max": 10.0},
    "lost_in": 0,
    "lost_out": 0,
    "under_two_ids_out": 0,
}
BAD: list[dict[str, Any]] = [
    {"down_after_odd_stanzas": 1},
    {"texts_lost_behind_them": 1},
    {"connected_again_s": {"p50": 0.101, "p99": 1.0}},
    {"connected_again_s": {"p50": 0.1, "p99": 1.01}},
    {"stopped_connected_again_s": {"max": 10.1}},
    {"lost_in": 1},
    {"lost_out": 1},
    {"under_two_ids_out": 1},
]


def test_all_that_is_just_reached_is_met() -> None:
    """Limits belong to what is allowed."""
    assert [] == [line for line in judged(GOOD) if not line.met]


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_each_figure_can_miss(bad: dict[str, Any]) -> None:
    """One that is not as it must be makes one line a missed one."""
    assert 1 == sum(not line.met for line in judged(GOOD | bad))
