"""A day of 10,000 accounts: nothing flaps, nothing dies that could have been saved, logins keep their limit."""

import random
from collections import Counter
from itertools import pairwise

import pytest

from ponton_operator.plan.fleet import logins_rate
from ponton_operator.plan.scaling import SWEEP
from ponton_operator.plan.tiers import DOWN_AFTER
from ponton_operator.plan.tiers import REST as MOVE_REST
from tests.property.scaling_day import DAY, REACTION, REST, SCALING, Day
from tests.unit.fleet_kit import NOW

LOOKED = REST + 2 * SWEEP  # seconds in which the scaler surely looks at any account
MOVES_MOST = 6  # of one account in a day


def prepared(count: int, seed: int) -> tuple[Day, dict[str, list[tuple[float, str]]]]:
    """Make a day with troubles; gives with it who has to be parked when (seconds from its beginning), and why."""
    day, chance = Day(seed, count), random.Random(seed + 1)
    names = chance.sample(sorted(day.boats), count)
    parks: dict[str, list[tuple[float, str]]] = {}

    def some(share: float) -> list[str]:
        return [names.pop() for _ in range(int(count * share))]

    for name in some(0.03):  # nobody ever comes to scan; some are woken later, in vain
        ago, woken = chance.uniform(0, 55), chance.uniform(2, 22)
        day.idle(name, ago)
        parks[name] = [(60 * (60 - ago), "NeverPaired")]
        if chance.random() < 0.5:
            day.at(woken, "wake", name)
            parks[name].append((3600 * (woken + 1), "NeverPaired"))
    for name in some(0.01):  # these link in time
        ago = chance.uniform(0, 30)
        day.idle(name, ago)
        day.at((25 - ago / 2) / 60, "pair", name)
    for name in some(0.01):
        ago = chance.uniform(100, 200)
        day.unreachable(name, ago)
        if ago > 144:  # the rest has not been away long enough when the day ends
            parks[name] = [(max(0.0, 3600 * (168 - ago)), "UnreachableTooLong")]
    for name in some(0.005):
        ago = chance.uniform(1, 30)
        day.crashing(name, ago)
        parks[name] = [(max(0.0, 3600 * (24 - ago)), "CrashingTooLong")]
    for name in some(0.2):
        day.at(12, "lost", name)
    return day, parks


def check(day: Day, parks: dict[str, list[tuple[float, str]]]) -> None:
    """Look at what the day has brought."""
    for kill in day.kills:
        spared = kill.seconds > REACTION and kill.tier != "large" and kill.since_down > MOVE_REST
        assert not spared, f"{kill} could have been avoided"
    for boat in day.boats.values():
        assert len(boat.moves) <= MOVES_MOST
        times = [at for at, _, _ in boat.moves]
        assert all(later - earlier >= MOVE_REST for earlier, later in pairwise(times))
        downs = [
            at
            for at, before, after in boat.moves
            if (before, after) in {("large", "middle"), ("middle", "small"), ("large", "small")}
        ]
        assert all(all(not 0 < down - at < DOWN_AFTER for at in times) for down in downs)
    limit = logins_rate(SCALING)
    for first, at in enumerate(day.logins):
        last = min(first + int(limit * 10), len(day.logins) - 1)
        assert last - first + 1 <= limit * (1 + day.logins[last] - at) + 1e-6
    for name, boat in day.boats.items():
        due, done = parks.get(name, []), [(at - NOW, why) for at, why in boat.parks]
        assert len([when for when, _ in due if when < DAY - LOOKED]) <= len(done) <= len(due), name
        for (when, why), (at, said) in zip(due, done, strict=False):
            assert (why, True) == (said, when <= at <= when + LOOKED), name


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_day_of_some_hundred_accounts(seed: int) -> None:
    """Other seeds, fewer accounts: the same holds."""
    day, parks = prepared(300, seed)
    day.run()
    check(day, parks)


@pytest.mark.timeout(900)
def test_a_day_of_ten_thousand_accounts() -> None:
    """As many as a gateway is made for; 45 s of processor time on a machine that had other work."""
    day, parks = prepared(10_000, 7)
    day.run()
    check(day, parks)
    moves = Counter((before, after) for boat in day.boats.values() for _, before, after in boat.moves)
    assert 2_000 == len(day.logins)
    assert moves[("small", "middle")] > 100  # the day has something to show
    assert sum(moves.values()) < 10_000
    assert len(day.kills) < 100
