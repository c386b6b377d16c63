"""An account's last day as plots: lines in a small box, and the figures that say the same in words. Pure.

Called by the host's pages, whose templates draw them as SVG without style or script of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ponton_bridge.core.day import BUCKETS, Bucket

WIDTH: Final = BUCKETS  # a unit each bucket
HEIGHT: Final = 60
HEADROOM: Final = 2  # units that a line stays below the upper edge, so that it is not cut in half


@dataclass(frozen=True, slots=True)
class Plot:
    """One figure over the day; `path` is SVG's path data, '' where nothing is known, as the rest is 0 then."""

    name: str
    path: str = ""
    latest: int = 0
    highest: int = 0
    lowest: int = 0


def plots(buckets: Sequence[Bucket | None]) -> list[Plot]:
    """Draw messages, what waited and memory (MiB), from buckets as `Day.buckets` gives them."""
    return [
        _plot("messages", [bucket.messages if bucket else None for bucket in buckets]),
        _plot("waiting", [bucket.queue if bucket else None for bucket in buckets]),
        _plot("memory", [bucket.rss // 1024 if bucket else None for bucket in buckets]),
    ]


def _plot(name: str, figures: Sequence[int | None]) -> Plot:
    known = [figure for figure in figures if figure is not None]
    if not known:
        return Plot(name)
    return Plot(name, _path(figures, max(*known, 1)), known[-1], max(known), min(known))


def _path(figures: Sequence[int | None], top: int) -> str:
    """Give a line of steps, one unit each figure; it is broken where nothing is known."""
    parts, before = list[str](), None
    for place, figure in enumerate(figures):
        if figure is not None:
            height = f"{HEIGHT - (HEIGHT - HEADROOM) * figure / top:.4g}"
            if figure == before:
                parts.pop()
            else:
                parts.append(f"M{place} {height}" if before is None else f"V{height}")
            parts.append(f"H{place + 1}")
        before = figure
    return "".join(parts)
