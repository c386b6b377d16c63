"""How recoveries of a chaos run are measured."""

import pytest

from tests.chaos.recovery import NEVER, Window, percentile, recovery, within


@pytest.mark.parametrize(
    ("connected", "away", "seconds"),
    [
        ([5.0, 11.0, 12.0], [], 1.0),  # the first one after the kill
        ([5.0, 10.0], [], NEVER),
        ([], [], NEVER),
        ([15.0], [(8.0, 12.0)], 3.0),  # a server was away when it happened
        ([15.0], [(11.0, 12.0), (12.5, 14.0)], 1.0),  # and then another one
        ([15.0], [(2.0, 9.0), (16.0, 20.0)], 5.0),  # before, and after: no excuse
        ([15.0], [(14.0, 16.0)], 5.0),  # it came back all the same
    ],
)
def test_counts_from_the_kill(connected: list[float], away: list[Window], seconds: float) -> None:
    """From the kill at 10 s to the next CONNECTED, without the time in which servers were away."""
    assert seconds == recovery(10.0, connected, away)


@pytest.mark.parametrize(("moment", "inside"), [(1.0, True), (2.0, True), (2.5, False), (5.0, True), (7.0, False)])
def test_within_windows(moment: float, inside: bool) -> None:  # noqa: FBT001 - a table's column
    """Both ends belong to a window."""
    assert inside == within(moment, [(1.0, 2.0), (4.0, 6.0)])


@pytest.mark.parametrize(
    ("count", "part", "value"),
    [
        (1, 0.5, 1),
        (2, 0.5, 1),
        (3, 0.5, 2),
        (40, 0.5, 20),
        (40, 0.99, 40),
        (100, 0.99, 99),
        (101, 0.99, 100),
        (40, 1, 40),
    ],
)
def test_percentiles_by_rank(count: int, part: float, value: float) -> None:
    """The nearest rank, never a value in between."""
    assert value == percentile([float(n) for n in range(count, 0, -1)], part)


def test_of_nothing_there_is_none() -> None:
    """Without values nothing holds."""
    assert NEVER == percentile([], 0.5)
