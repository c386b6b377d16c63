"""Quantities, and which tier a shard should have from what its heartbeats tell."""

from dataclasses import replace
from decimal import Decimal

import pytest

from ponton_operator.plan.quantity import as_number, same
from ponton_operator.plan.tiers import DOWN_AFTER, QUIET_AFTER, REST, Size, Use, choose, follow, size_of, sizes
from ponton_operator.resources.running import Tier
from tests.unit.fleet_kit import EPOCH, MIB, NOW, beat

SMALL, MIDDLE, LARGE = Size("small", 256 * MIB), Size("middle", 512 * MIB), Size("large", 1024 * MIB)
ALL = (SMALL, MIDDLE, LARGE)


def follow_all(limit: int, *mibs: float, since: float = NOW, step: float = 10.0) -> Use:
    """Take in one heartbeat after the other."""
    use = Use()
    for number, mib in enumerate(mibs):
        use = follow(use, beat(mib, since + number * step), limit)
    return use


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("20m", Decimal("0.02")),
        ("1.5", Decimal("1.5")),
        ("256Mi", 256 * MIB),
        ("1G", 10**9),
        ("2Ti", 2**41),
        ("3k", 3000),
    ],
)
def test_a_quantity_is_a_number(text: str, number: Decimal) -> None:
    """In the base unit, whatever the unit."""
    assert number == as_number(text)


@pytest.mark.parametrize("text", ["", "Mi", "1.2.3", "1X", "-1", "1mM"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    """And equals nothing, not even itself."""
    with pytest.raises(ValueError, match="quantity"):
        as_number(text)
    assert not same(text, text)


def test_one_size_may_be_written_in_two_ways() -> None:
    """What the API server has made of a quantity is still the same."""
    assert same("0.5Gi", "512Mi")
    assert same("20m", "0.02")
    assert not same("512Mi", "512M")


def test_tiers_are_read_in_their_order() -> None:
    """The first is where shards begin; a tier that is not there (any more) counts as the first."""
    read = sizes((Tier(name="small"), Tier(name="large", memory_limit="1Gi")))
    assert (SMALL, LARGE) == read
    assert [LARGE, SMALL, SMALL] == [size_of(read, name) for name in ("large", "", "gone")]


def test_up_after_two_beats_above_the_mark() -> None:
    """One alone moves nobody, the second does; between them one below begins the count anew."""
    assert SMALL is choose(ALL, SMALL, follow_all(SMALL.limit, 220), 0, 0, NOW)
    assert MIDDLE is choose(ALL, SMALL, follow_all(SMALL.limit, 220, 221), 0, 0, NOW)
    assert SMALL is choose(ALL, SMALL, follow_all(SMALL.limit, 220, 100, 221), 0, 0, NOW)


def test_a_move_goes_where_there_is_room() -> None:
    """A tier that would be nearly full at once is skipped; beyond the largest there is none."""
    near = Size("near", 280 * MIB)
    assert MIDDLE is choose((SMALL, near, MIDDLE), SMALL, follow_all(SMALL.limit, 220, 220), 0, 0, NOW)
    assert near is choose((SMALL, near), SMALL, follow_all(SMALL.limit, 220, 220), 0, 0, NOW)
    assert LARGE is choose(ALL, LARGE, follow_all(LARGE.limit, 1000, 1000), 0, 0, NOW)


def test_memory_that_grows_gets_room_until_the_next_move() -> None:
    """At half a MiB a second ten minutes need 300 MiB more; a step that stays where it is needs no more than it is."""
    assert LARGE is choose(ALL, SMALL, follow_all(SMALL.limit, 220, 225), 0, 0, NOW)
    assert MIDDLE is choose(ALL, SMALL, follow_all(SMALL.limit, 60, 225, 225), 0, 0, NOW)


def test_killed_for_memory_it_gets_more() -> None:
    """A kill counts like the mark, at once, and once: one before the last move is answered already."""
    assert MIDDLE is choose(ALL, SMALL, Use(memory=90 * MIB), 0, NOW - 5, NOW)
    assert MIDDLE is choose(ALL, MIDDLE, Use(memory=90 * MIB), NOW - 2 * REST, NOW - 3 * REST, NOW)


def test_no_second_move_within_ten_minutes() -> None:
    """Neither up nor down."""
    high = follow_all(MIDDLE.limit, 500, 500)
    assert MIDDLE is choose(ALL, MIDDLE, high, NOW - REST + 1, 0, NOW)
    assert LARGE is choose(ALL, MIDDLE, high, NOW - REST, 0, NOW)


def test_down_after_hours_of_little_use() -> None:
    """Below half of the limit for four hours, and small enough for the lower tier to be no tight fit."""
    low = follow_all(MIDDLE.limit, 100, 120, 100)
    assert MIDDLE is choose(ALL, MIDDLE, low, 0, 0, NOW + DOWN_AFTER - 1)
    assert SMALL is choose(ALL, MIDDLE, low, 0, 0, NOW + DOWN_AFTER)
    assert MIDDLE is choose(ALL, MIDDLE, low, NOW + 60, 0, NOW + DOWN_AFTER)
    assert MIDDLE is choose(ALL, MIDDLE, follow_all(MIDDLE.limit, 200, 100), 0, 0, NOW + DOWN_AFTER)
    assert SMALL is choose(ALL, SMALL, follow_all(SMALL.limit, 20), 0, 0, NOW + DOWN_AFTER)
    assert MIDDLE is choose(ALL, LARGE, follow_all(LARGE.limit, 300), 0, 0, NOW + DOWN_AFTER)


def test_the_hours_begin_anew_after_a_peak() -> None:
    """Once above the mark, the time of little use is over, and its peak is forgotten."""
    use = follow_all(MIDDLE.limit, 200, 300, 100)
    assert (NOW + 20, 100 * MIB) == (use.low_since, use.peak)


def test_a_beat_counts_once() -> None:
    """The same heartbeat read twice, or one of an older shard, changes nothing; a newer shard begins anew."""
    once = follow_all(SMALL.limit, 220)
    assert once == follow(once, beat(220, NOW), SMALL.limit)
    assert once == follow(once, beat(10, NOW + 5, epoch=EPOCH - 1), SMALL.limit)
    assert 1 == follow(once, beat(220, NOW + 5, epoch=EPOCH + 1), SMALL.limit).high


def test_quiet_is_a_time_without_messages() -> None:
    """Nothing sent, nothing received, nothing waiting, for ten minutes."""
    use = follow(Use(), beat(50, NOW, sent=3), SMALL.limit)
    use = follow(use, beat(50, NOW + 300, sent=3), SMALL.limit)
    assert [False, True] == [use.quiet(NOW + QUIET_AFTER - 1), use.quiet(NOW + QUIET_AFTER)]
    assert not Use().quiet(NOW)
    for news in ({"sent": 4}, {"received": 1, "sent": 3}, {"sent": 3, "queue_out": 1}, {"sent": 3, "queue_in": 1}):
        assert NOW + 400 == follow(use, beat(50, NOW + 400, **news), SMALL.limit).quiet_since
    assert replace(use, beat=NOW + 400) == follow(use, beat(50, NOW + 400, sent=3), SMALL.limit)
