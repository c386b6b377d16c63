"""How long an account was without its bridge after a kill. Pure; times in seconds since 1970."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

Window = tuple[float, float]  # begin and end of a time in which everybody was without something

NEVER: Final = float("inf")


def recovery(kill: float, connected: Sequence[float], away: Sequence[Window]) -> float:
    """Give the seconds from a kill to the next CONNECTED; NEVER when there was none.

    `connected` in order. While the servers themselves are away nobody can be bridged: the time counts from the end of
    the last such window that lies between the two.

    >>> recovery(10.0, [3.0, 12.5], []), recovery(10.0, [20.0], [(9.0, 18.0)])
    (2.5, 2.0)
    """
    after = bisect_right(connected, kill)
    if after == len(connected):
        return NEVER
    back = connected[after]
    return back - max([kill, *(end for begin, end in away if begin < back and kill < end <= back)])


def within(moment: float, windows: Sequence[Window]) -> bool:
    """Tell whether a moment lies in one of the windows."""
    return any(begin <= moment <= end for begin, end in windows)


def percentile(values: Sequence[float], part: float) -> float:
    """Give the value that `part` of all are at or below; NEVER for none.

    >>> percentile([3.0, 1.0, 2.0, 4.0], 0.5), percentile([1.0], 0.99)
    (2.0, 1.0)
    """
    ordered = sorted(values)
    rank = max(0, -int(-len(ordered) * part // 1) - 1)
    return ordered[rank] if ordered else NEVER
