"""Pauses between tries: growing, bounded, spread by chance."""

import random

import pytest

from ponton_bridge.core.backoff import FIRST, LONGEST, delay


@pytest.mark.parametrize("tries", [1, 2, 5, 20, 10_000])
def test_stays_between_half_and_whole(tries: int) -> None:
    """Chance takes away at most half of a pause, and never adds to it."""
    whole = min(LONGEST, FIRST * 2.0 ** min(tries - 1, 30))
    pauses = [delay(tries, random.Random(seed).random) for seed in range(200)]
    assert whole / 2 <= min(pauses) <= max(pauses) <= whole


def test_grows_to_the_longest() -> None:
    """Each try waits at least as long as the one before, and never longer than the longest."""
    pauses = [delay(tries, lambda: 1.0) for tries in range(1, 40)]
    assert sorted(pauses) == pauses
    assert (FIRST, LONGEST) == (pauses[0], pauses[-1])


def test_takes_its_own_bounds() -> None:
    """A caller with other needs gives its own first and longest pause."""
    assert [0.2, 0.4, 0.8, 1.0, 1.0] == [delay(tries, lambda: 1.0, 0.2, 1.0) for tries in range(1, 6)]


def test_spreads_a_crowd() -> None:
    """A thousand shards that lost the same peer do not come back in the same moment."""
    chance = random.Random(7)
    pauses = sorted(delay(6, chance.random) for _ in range(1000))
    busiest = max(len([p for p in pauses if start <= p < start + 1]) for start in pauses)
    assert busiest < 100
