"""The stock of the front desk's epochs: enough ahead, never one twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponton_operator.plan.desk_epochs import SPARE, SPENT, read_stock, spend, spent, stock, write_stock
from ponton_operator.plan.secrets import front_desk_secret

EPOCHS = st.integers(1, 10**15 - 100)


@given(st.lists(EPOCHS, max_size=20), EPOCHS, st.floats(0, 4e9))
def test_a_stock_is_full_rising_and_unspent(before: list[int], last: int, now: float) -> None:
    """Whatever was there, there are SPARE epochs above the last spent one, rising; kept ones come first."""
    made = stock(before, last, now)
    assert SPARE == len(made)
    assert list(made) == sorted(set(made))
    assert made[0] > last
    assert set(made) >= set(sorted(epoch for epoch in set(before) if epoch > last)[:SPARE])


@given(st.lists(EPOCHS, max_size=20), EPOCHS, st.floats(0, 4e9), st.floats(0, 4e9))
def test_a_full_stock_stays(before: list[int], last: int, now: float, later: float) -> None:
    """At rest nothing changes, however late it is."""
    made = stock(before, last, now)
    assert made == stock(made, last, later)


def test_a_first_stock_begins_at_the_time() -> None:
    """The first epochs are the time in milliseconds, so they follow all that any earlier gateway had."""
    assert tuple(range(7_000, 7_000 + SPARE)) == stock((), 0, 7.0)


def test_what_is_written_is_read() -> None:
    """Each epoch comes with the secret that Prosody derives for it."""
    text = write_stock("m", "wa.test", (3, 4))
    assert {3: front_desk_secret("m", "wa.test", 3), 4: front_desk_secret("m", "wa.test", 4)} == read_stock(text)


@pytest.mark.parametrize(
    "text", ["", "[", "[]", "7", '{"x": "s"}', '{"-1": "s"}', '{"1": ""}', '{"1": 2}', '{"1234567890123456": "s"}']
)
def test_what_is_no_stock_is_empty(text: str) -> None:
    """Half-written or strange files give nothing to spend."""
    assert {} == read_stock(text)


def test_spending_takes_the_next() -> None:
    """The smallest above the last one is taken; when there is none, none is."""
    assert 5 == spend({9: "i", 5: "e", 3: "c"}, 3)
    assert None is spend({3: "c"}, 3)


@pytest.mark.parametrize(
    ("annotations", "expected"), [({}, 0), ({SPENT: "7"}, 7), ({SPENT: "x"}, 0), ({SPENT: "٣"}, 0)]
)
def test_the_lease_says_what_was_spent(annotations: dict[str, str], expected: int) -> None:
    """An annotation that is no epoch counts as none."""
    assert expected == spent(annotations)
