"""The arithmetic of the benches: quantiles, pairs, and whether what was measured is what must hold.

Pure; every bench uses it. A figure is a number with its unit in its name; a `Line` is one row of the table that
`make bench` prints.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Figures = Mapping[str, Any]  # what becomes JSON


def quantile(values: Sequence[float], share: float) -> float:
    """Give the smallest value that at least `share` (0 to 1) of all values do not exceed (nearest rank).

    It is always a value that was measured. Raises ValueError when there is none.

    >>> quantile([4, 1, 3, 2], 0.5), quantile([4, 1, 3, 2], 0.99)
    (2, 4)
    """
    if not values:
        raise ValueError("nothing was measured")
    if not 0 <= share <= 1:
        raise ValueError("a share lies between 0 and 1")
    rank = math.ceil(share * len(values) - 1e-9)  # 0.95 * 20 is a little more than 19 in binary
    return sorted(values)[max(rank, 1) - 1]


def distribution(values: Sequence[float], digits: int = 2) -> dict[str, float]:
    """Give count, p50, p95, p99 and the largest value, rounded."""
    shares = {f"p{round(share * 100)}": round(quantile(values, share), digits) for share in (0.5, 0.95, 0.99)}
    return {"count": len(values), **shares, "max": round(max(values), digits)}


def spread(values: Sequence[float], digits: int = 2) -> dict[str, float]:
    """Give median, smallest and largest of the rounds, rounded."""
    given = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {"rounds": len(values), **{name: round(value, digits) for name, value in given.items()}}


def added(ours: Sequence[float], theirs: Sequence[float], share: float) -> float:
    """Give how much higher that quantile is for `ours`."""
    return quantile(ours, share) - quantile(theirs, share)


def differences(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Give ours minus theirs, round by round; ValueError when the rounds do not pair up."""
    return [mine - other for mine, other in zip(ours, theirs, strict=True)]


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Give by how many percent ours is more than theirs, round by round; ValueError when rounds do not pair up."""
    return [(mine / other - 1) * 100 for mine, other in zip(ours, theirs, strict=True)]


def growth(samples: Sequence[tuple[int, float]], after: int, last: int = 3) -> float:
    """Give by how much the end lies above the time when `after` were done: the medians of the `last` and first samples.

    A sample is (how much was done by then, what was measured). Medians, since one look may meet a heap before it is
    collected. Raises ValueError when there are too few samples for that.
    """
    late = [value for done, value in samples if done >= after]
    if len(late) < 2 * last:
        raise ValueError(f"there are {len(late)} samples after the first {after}; {2 * last} are needed")
    return statistics.median(late[-last:]) - statistics.median(late[:last])


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table."""

    figure: str
    must: str
    measured: str
    met: bool


def at_most(figure: str, limit: float, measured: float, unit: str) -> Line:
    """Judge a figure that must not exceed `limit`."""
    return Line(figure, f"<= {limit:g} {unit}", f"{_short(measured)} {unit}", measured <= limit)


def at_least(figure: str, limit: float, measured: float, unit: str) -> Line:
    """Judge a figure that must reach `limit`."""
    return Line(figure, f">= {limit:g} {unit}", f"{_short(measured)} {unit}", measured >= limit)


def holds(figure: str, must: str, wrong: int) -> Line:
    """Judge what must be true each time: `wrong` counts the times that it was not."""
    return Line(figure, must, "yes" if not wrong else f"no, {wrong} times", not wrong)


def share_within(values: Sequence[float], limit: float) -> float:
    """Give the share of values that do not exceed `limit`."""
    return sum(value <= limit for value in values) / len(values)


def in_order(arrived: Sequence[str], sent: Sequence[str]) -> bool:
    """Tell whether exactly what was sent arrived: each once, in that order."""
    return list(arrived) == list(sent)


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"  # three digits say enough


def table(lines: Sequence[Line]) -> str:
    """Write the rows under each other, with what was missed marked.

    >>> print(table([at_most("wait", 3, 2.5, "s")]))
    figure  must    measured
    wait    <= 3 s  2.5 s     met
    """
    rows = [("figure", "must", "measured", "")]
    rows += [(each.figure, each.must, each.measured, "met" if each.met else "MISSED") for each in lines]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    padded = (
        "  ".join([*(cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)), row[3]]) for row in rows
    )
    return "\n".join(line.rstrip() for line in padded)
