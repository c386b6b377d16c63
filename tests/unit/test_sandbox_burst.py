"""The pace of a burst: its rate, making up for a late message, and a breath for others."""

import pytest

from tests.sandbox.control.owner import BREATH, pause


@pytest.mark.parametrize(
    ("sent", "rate", "elapsed", "expected"),
    [
        (1, 10, 0.0, 0.1),
        (5, 10, 0.45, 0.05),
        (5, 10, 0.5, None),
        (5, 10, 3.0, None),
        (1, 0, 9.0, None),
        (BREATH, 0, 0.0, 0),
        (BREATH, 10, 9.0, 0),
        (BREATH + 1, 0, 0.0, None),
    ],
)
def test_waits_until_the_next_is_due(sent: int, rate: float, elapsed: float, expected: float | None) -> None:
    """Waits for the rest of the time that so many messages take, and never below zero."""
    waited = pause(sent, rate, elapsed)
    assert expected == (waited if waited is None else pytest.approx(waited))
