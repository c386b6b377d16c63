"""Plots of a day: the line says what the figures say, and breaks where nothing is known."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponton_bridge.core.day import BUCKETS, Bucket
from ponton_operator.selfservice.plots import HEADROOM, HEIGHT, WIDTH, Plot, plots

FIGURES = st.lists(st.none() | st.integers(0, 0xFFFF), max_size=BUCKETS)
COMMAND = re.compile(r"([MHV])([\d.e+-]+)(?: ([\d.e+-]+))?")


def drawn(path: str) -> dict[int, float]:
    """Read a path as a browser does; gives the height of the line in each unit of its width."""
    heights, x, y = dict[int, float](), 0, 0.0
    assert path == "".join(match[0] for match in COMMAND.finditer(path))
    for command, first, second in COMMAND.findall(path):
        match command:
            case "M":
                x, y = int(first), float(second)
            case "V":
                y = float(first)
            case _:
                heights |= dict.fromkeys(range(x, int(first)), y)
                x = int(first)
    return heights


@settings(deadline=None)  # a busy machine is no fault
@given(FIGURES)
def test_the_line_says_what_the_figures_say(figures: list[int | None]) -> None:
    """It is as high as the figure in every bucket, within the box, and nowhere where nothing is known."""
    plot = plots([None if figure is None else Bucket(figure, 0, 0) for figure in figures])[0]
    known = {place: figure for place, figure in enumerate(figures) if figure is not None}
    heights, top = drawn(plot.path), max([1, *known.values()])
    assert known.keys() == heights.keys()
    for place, figure in known.items():
        assert (HEIGHT - HEADROOM) * figure / top == pytest.approx(HEIGHT - heights[place], abs=0.01)
    assert all(0 <= place < WIDTH and 0 < height <= HEIGHT for place, height in heights.items())


def test_the_words_say_latest_highest_and_lowest() -> None:
    """Of what is known; memory is in MiB."""
    day = [None, Bucket(5, 0, 70 * 1024), Bucket(9, 3, 90 * 1024), None, Bucket(1, 0, 80 * 1024), None]
    messages, waiting, memory = plots(day)
    assert ("messages", 1, 9, 1) == (messages.name, messages.latest, messages.highest, messages.lowest)
    assert ("waiting", 0, 3, 0) == (waiting.name, waiting.latest, waiting.highest, waiting.lowest)
    assert ("memory", 80, 90, 70) == (memory.name, memory.latest, memory.highest, memory.lowest)


def test_nothing_known_is_no_line() -> None:
    """An account that never ran has empty plots, no zeros that look like rest."""
    assert [Plot("messages"), Plot("waiting"), Plot("memory")] == plots([None] * BUCKETS)


def test_a_day_at_rest_is_a_line_at_the_foot() -> None:
    """Zeros are drawn, on the base line, as one stroke."""
    messages = plots([Bucket(0, 0, 1)] * 3)[0]
    assert f"M0 {HEIGHT}H3" == messages.path


def test_a_busy_day_is_a_small_picture() -> None:
    """Three plots of a day in which every bucket differs are a few kilobytes of the page."""
    busy = plots([Bucket(number * 7919 % 1000, number * 31 % 97, (60_000 + number * 64)) for number in range(BUCKETS)])
    assert sum(len(plot.path) for plot in busy) < 12_000
