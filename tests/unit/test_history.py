"""What happened to an account, told from its status before and after: nothing is told twice, nothing is left out."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from ponton_bridge.coordination.contract import Happening
from ponton_operator.plan.history import happened
from ponton_operator.resources.account import AccountStatus, RetryStatus, ShardStatus
from ponton_operator.resources.base import Condition, Truth
from tests.unit.desk_world import NOW

TIME = NOW.timestamp()
BEFORE = AccountStatus(phase="Running", reason="Connected")


def condition(kind: str, truth: Truth) -> Condition:
    """Make one."""
    return Condition(type=kind, status=truth, reason="Because", last_transition_time=NOW)


def test_nothing_new_is_nothing() -> None:
    """What a person does not ask for is no entry: generations, counters, the reason of one condition."""
    after = BEFORE.model_copy(update={"observed_generation": 7, "wake": 2, "retry": RetryStatus(failures=1)})
    assert None is happened(BEFORE, after, TIME)


def test_tells_a_new_state() -> None:
    """Phase and reason, as the table of accounts shows them."""
    after = BEFORE.model_copy(update={"phase": "Parked", "reason": "Banned"})
    assert Happening(TIME, state="Parked Banned") == happened(BEFORE, after, TIME)


def test_tells_the_conditions_that_turned() -> None:
    """One that comes as not true is no news, and one that goes is not true any more."""
    before = AccountStatus(conditions=(condition("Ready", Truth.FALSE), condition("Banned", Truth.TRUE)))
    after = AccountStatus(
        conditions=(
            condition("Ready", Truth.TRUE),
            condition("Paired", Truth.TRUE),
            condition("PhoneSeen", Truth.UNKNOWN),
        )
    )
    assert Happening(TIME, turned="Ready=True Paired=True Banned=False") == happened(before, after, TIME)
    assert None is happened(after, after, TIME)


def test_tells_starts_and_ends_once() -> None:
    """A shard's start with its epoch, its end with its exit code; the status that says so again is no news."""
    started = AccountStatus(shard=ShardStatus(epoch=7, started=NOW))
    ended = AccountStatus(shard=ShardStatus(epoch=7, started=NOW, ended=NOW, exit_code=70))
    assert Happening(TIME, started=7) == happened(AccountStatus(), started, TIME)
    assert Happening(TIME, ended="70") == happened(started, ended, TIME)
    assert None is happened(ended, ended, TIME)
    again = AccountStatus(shard=ShardStatus(epoch=8, started=NOW))
    assert Happening(TIME, started=8) == happened(ended, again, TIME)


def test_an_end_that_nobody_saw_is_told_as_that() -> None:
    """Without an exit code it says so; a start and an end in one write are both told."""
    lost = AccountStatus(shard=ShardStatus(epoch=9, started=NOW, ended=NOW + timedelta(seconds=1)))
    assert Happening(TIME, started=9, ended="unknown") == happened(AccountStatus(), lost, TIME)


STATUS = st.builds(
    AccountStatus,
    phase=st.sampled_from(["Running", "Parked"]),
    reason=st.sampled_from(["Connected", "Banned"]),
    conditions=st.dictionaries(st.sampled_from(["Ready", "Paired", "Banned"]), st.sampled_from(list(Truth))).map(
        lambda found: tuple(condition(*item) for item in found.items())
    ),
    shard=st.none()
    | st.builds(
        ShardStatus,
        epoch=st.integers(1, 3),
        started=st.just(NOW),
        ended=st.none() | st.just(NOW),
        exit_code=st.none() | st.integers(-15, 78),
    ),
)


@settings(deadline=None)  # a busy machine is no fault
@given(STATUS, STATUS)
def test_following_what_is_told_leads_to_what_is(before: AccountStatus, after: AccountStatus) -> None:
    """Who knows the true conditions before, and reads the entry, knows those after; nothing is told of no change."""
    told = happened(before, after, TIME)
    assert None is happened(after, after, TIME)
    true = {c.type for c in before.conditions if c.status == Truth.TRUE}
    for each in told.turned.split() if told else []:
        kind, _, status = each.partition("=")
        true = true | {kind} if status == "True" else true - {kind}
    assert {c.type for c in after.conditions if c.status == Truth.TRUE} == true
    assert all(told == Happening.from_redis(told.to_redis()) for _ in [0] if told)
