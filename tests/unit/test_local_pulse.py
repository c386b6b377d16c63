"""Who hangs: stamps that stand still, seen by a clock of our own."""

from pathlib import Path

from ponton_operator.cluster.local_pulse import HUNG, LOOK, Pulses, stamp, still

A, B = ("a", 1), ("b", 1)


def hours(pulses: Pulses, stamps: dict[tuple[str, int], int], begin: float, count: int) -> list[list[tuple[str, int]]]:
    """Look every LOOK seconds, `count` times."""
    return [pulses.look(stamps, begin + n * LOOK) for n in range(count)]


def test_a_shard_that_stands_still_hangs_and_its_neighbour_does_not() -> None:
    """Counted from its last pulse; the other one goes on."""
    pulses = Pulses()
    pulses.look({A: 1, B: 1}, 0.0)
    pulses.look({A: 2, B: 2}, 1.0)
    found = [pulses.look({A: 2, B: 3 + n}, 2.0 + n) for n in range(int(HUNG / LOOK))]
    assert [[]] * (len(found) - 1) == found[:-1]
    assert [A] == found[-1]


def test_a_starting_shard_has_time() -> None:
    """Before its first pulse nobody knows how long the machine needs."""
    assert [[]] * 100 == hours(Pulses(), {A: 0}, 0.0, 100)


def test_a_shard_that_hangs_after_its_first_pulse_is_found() -> None:
    """Also when that came before the first look: somebody who took over has not seen it change."""
    found = hours(Pulses(), {A: 7}, 0.0, int(HUNG / LOOK) + 1)
    assert [A] == found[-1]
    assert [[]] * (len(found) - 1) == found[:-1]


def test_a_pulse_begins_the_count_anew() -> None:
    """A shard that was slow for a while is not condemned later."""
    pulses = Pulses()
    pulses.look({A: 1}, 0.0)
    pulses.look({A: 2}, 1.0)
    almost = int(HUNG / LOOK) - 1
    assert [[]] * almost == hours(pulses, {A: 2}, 2.0, almost)
    assert [] == pulses.look({A: 3}, 2.0 + almost)
    assert [[]] * almost == hours(pulses, {A: 3}, 3.0 + almost, almost)


def test_a_runtime_that_was_away_itself_condemns_nobody() -> None:
    """After an hour in which nobody looked, one look counts for two seconds and no more."""
    pulses = Pulses()
    pulses.look({A: 1}, 0.0)
    pulses.look({A: 2}, 1.0)
    assert [] == pulses.look({A: 2}, 3600.0)
    assert [] == pulses.look({A: 2}, 7200.0)


def test_a_successor_is_another_one() -> None:
    """The count belongs to one epoch, and an account that is gone is forgotten."""
    pulses = Pulses()
    pulses.look({A: 1}, 0.0)
    pulses.look({A: 2}, 1.0)
    hours(pulses, {A: 2}, 2.0, 10)
    assert [] == pulses.look({}, 12.0)
    assert [[]] * 30 == hours(pulses, {("a", 2): 0}, 13.0, 30)


def test_the_stamp_of_no_file_is_zero(tmp_path: Path) -> None:
    """And another one after each touch; a start takes the last one away."""
    lock = tmp_path / "lock"
    still(lock)
    assert 0 == stamp(lock)
    lock.touch()
    assert 0 < stamp(lock)
    still(lock)
    assert 0 == stamp(lock)
