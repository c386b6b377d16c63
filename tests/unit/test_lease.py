"""The rule of fence and lease: a table of every case."""

import pytest

from ponton_bridge.core.lease import Holder, Verdict, judge

A, B = Holder(7, "a"), Holder(7, "b")
OLD = Holder(6, "old")


@pytest.mark.parametrize(
    ("fence", "holder", "epoch", "instance", "expected"),
    [
        (0, None, 1, "a", Verdict.DONE),  # the first ever
        (7, A, 8, "b", Verdict.DONE),  # a higher epoch takes at once, from a living holder
        (7, A, 7, "a", Verdict.DONE),  # a renewal, or the same container again
        (7, None, 7, "b", Verdict.DONE),  # the lease has run out
        (7, OLD, 7, "b", Verdict.DONE),  # a holder of an older epoch holds nothing
        (7, A, 6, "a", Verdict.FENCED),
        (7, None, 6, "a", Verdict.FENCED),  # the fence does not run out
        (7, OLD, 6, "old", Verdict.FENCED),  # nor does a living lease help
        (7, A, 7, "b", Verdict.HELD),
        (7, B, 7, "a", Verdict.HELD),
    ],
)
def test_who_may_write(fence: int, holder: Holder | None, epoch: int, instance: str, expected: Verdict) -> None:
    """Each case of the rule."""
    assert expected is judge(fence, holder, epoch, instance)
