"""The pace of a machine: what is asked for follows it, and never gets easier than it says."""

from tests.bench.pace import Pace


def test_a_machine_of_half_the_pace_owes_half_the_rate_and_twice_the_time() -> None:
    """The limit at pace 1 stays readable beside the one that counts."""
    pace = Pace(11.6)
    assert 2.0 == pace.factor
    rate = pace.at_least("burst", 150.0, 74.0, "/s")
    assert (">= 150 /s at pace 1: >= 75 /s", "74 /s", False) == (rate.must, rate.measured, rate.met)
    assert pace.at_least("burst", 150.0, 75.0, "/s").met
    time = pace.at_most("CPU", 5.0, 10.1, "ms")
    assert ("<= 5 ms at pace 1: <= 10 ms", False) == (time.must, time.met)
    assert pace.at_most("CPU", 5.0, 10.0, "ms").met


def test_a_fast_machine_owes_what_is_written() -> None:
    """No harder musts, and the plain words."""
    pace = Pace(2.0)
    assert 1.0 == pace.factor
    line = pace.at_least("burst", 150.0, 149.0, "/s")
    assert (">= 150 /s", False) == (line.must, line.met)


def test_the_pace_is_told() -> None:
    """What was measured, what it is compared with, and how many times slower."""
    line = Pace(14.12).line()
    assert ("5.8 ms = 1", "14.1 ms: 2.43 x", True) == (line.must, line.measured, line.met)
    assert 2.43 == Pace(14.12).figures()["factor"]
