"""How ends are read and when the next start may come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponton_bridge.model.states import TABLE, Next, Reason
from ponton_operator.plan.ends import BACKOFF_MAX, PARKS, UNPAIRED, End, backoff, read_end


@pytest.mark.parametrize(
    ("expected", "code", "reason", "told"),
    [
        (End.PARK, 0, Reason.LOGGED_OUT, False),
        (End.PARK, 0, Reason.BANNED, True),
        (End.TOLD, 0, Reason.CONNECTED, True),
        (End.TOLD, -9, Reason.CONNECTED, True),
        (End.RETRY, 0, Reason.CONNECTED, False),
        (End.PARK, 1, Reason.LOGGED_OUT, False),
        (End.PARK, -9, Reason.CODES_USED_UP, False),
        (End.CONFIG, 78, Reason.LOGGED_OUT, False),
        (End.RETRY, 75, "", False),
        (End.RETRY, None, "", False),
        (End.RETRY, -11, Reason.CONNECTED, False),
        (End.CONFIG, 78, "", False),
    ],
)
def test_reads_an_end(expected: End, code: int | None, reason: str, told: bool) -> None:  # noqa: FBT001  # a column
    """Exit code, reason and who asked decide what an end means."""
    assert expected is read_end(code, reason, told=told)


def test_every_reason_has_its_place() -> None:
    """Reasons after which the bridge goes on by itself never park; those that ask for a new code always do."""
    own = {Reason.PARKED, Reason.STOPPED, Reason.CRASHING}  # written by the operator, told by no shard
    own.add(Reason.UNREACHABLE)  # the host should look, but the shard goes on trying
    goes_on = {Next.NOTHING, Next.WAIT, Next.SCAN, Next.PASSKEY, Next.OPEN_PHONE}
    for reason, row in TABLE.items():
        assert (row.next not in goes_on) == (reason in PARKS or reason in own), reason
    assert UNPAIRED <= PARKS


@given(st.integers(0, 10**6))
def test_backoff_grows_to_its_bound(failures: int) -> None:
    """The wait never shrinks with the count, at most doubles, and stays within the bound."""
    now, then = backoff(failures), backoff(failures + 1)
    assert now <= then <= max(2 * now, 1.0)
    assert then <= BACKOFF_MAX
