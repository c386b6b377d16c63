"""Counting lost, doubled and swapped messages: the table, and what holds for any series."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sandbox.tally import PERFECT, Tally, tally

series = st.lists(st.integers(0, 50), unique=True, max_size=30)


@pytest.mark.parametrize(
    ("sent", "seen", "expected"),
    [
        ("", "", PERFECT),
        ("abc", "abc", PERFECT),
        ("abc", "", Tally(lost=3)),
        ("abc", "ac", Tally(lost=1)),
        ("abc", "abbc", Tally(doubled=1)),
        ("abc", "abcabc", Tally(doubled=3)),
        ("abc", "acb", Tally(swapped=1)),
        ("abc", "cba", Tally(swapped=2)),
        ("abcd", "dabc", Tally(swapped=3)),
        ("abc", "abcx", Tally(strange=1)),
        ("abc", "bxaax", Tally(lost=1, doubled=1, swapped=1, strange=2)),
        ("aab", "aab", PERFECT),
        ("aab", "aaab", Tally(doubled=1)),
        ("aab", "ab", Tally(lost=1)),
    ],
)
def test_counts_each_kind(sent: str, seen: str, expected: Tally) -> None:
    """Says how many were lost, doubled, swapped and strange."""
    assert expected == tally(sent, seen)


@given(sent=series)
def test_what_came_as_sent_is_perfect(sent: list[int]) -> None:
    """Finds nothing where there is nothing."""
    assert PERFECT == tally(sent, sent)


@given(sent=series, seed=st.integers(0, 2**32))
def test_a_shuffle_loses_and_doubles_nothing(sent: list[int], seed: int) -> None:
    """Counts only swaps in another order, and none exactly when the order is the same."""
    seen = list(sent)
    Random(seed).shuffle(seen)
    found = tally(sent, seen)
    assert (0, 0, 0) == (found.lost, found.doubled, found.strange)
    assert (found.swapped == 0) is (seen == sent)


@given(sent=series, data=st.data())
def test_losses_and_repeats_are_counted_exactly(sent: list[int], data: st.DataObject) -> None:
    """Counts what was taken out and what was put in twice."""
    kept = [value for value in sent if data.draw(st.booleans())]
    again = [value for value in kept if data.draw(st.booleans())]
    assert Tally(lost=len(sent) - len(kept), doubled=len(again)) == tally(sent, kept + again)
