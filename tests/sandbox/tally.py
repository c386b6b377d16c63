"""Counting what became of a series of messages: lost, doubled, swapped, or never sent at all.

Called by tests, chaos and bench with the texts (or ids) that one side sent and the other side saw. Pure.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple


class Tally(NamedTuple):
    """How many of the sent were lost, how many sightings were too many, came late, or were of nothing sent.

    `swapped` counts those that were first seen after something that was sent later than they were.
    """

    lost: int = 0
    doubled: int = 0
    swapped: int = 0
    strange: int = 0


PERFECT = Tally()


def tally(sent: Sequence[Hashable], seen: Iterable[Hashable]) -> Tally:
    """Compare what was sent, in order, with what was seen, in order.

    >>> tally(["a", "b", "c"], ["b", "a", "a", "x"])
    Tally(lost=1, doubled=1, swapped=1, strange=1)

    A value that was sent several times may be seen as often.
    """
    counts, order = Counter(seen := list(seen)), {value: n for n, value in reversed(list(enumerate(sent)))}
    expected = Counter(sent)
    swapped, latest = 0, -1
    for value in dict.fromkeys(value for value in seen if value in order):
        swapped += order[value] < latest
        latest = max(latest, order[value])
    return Tally(
        lost=(expected - counts).total(),
        doubled=sum((counts - expected)[value] for value in expected),
        swapped=swapped,
        strange=sum(count for value, count in counts.items() if value not in expected),
    )
