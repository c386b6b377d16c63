"""What is sent so that one status becomes another: applied as the API server does, it gives just that."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ponton_operator.plan.merge import merge_patch, status_patch
from ponton_operator.resources.account import AccountStatus, RetryStatus, ScalingStatus, ShardStatus
from ponton_operator.resources.base import Condition, Truth, moment
from tests.harness.kube_fake import merged

LEAVES = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3) | st.lists(st.integers(0, 3), max_size=2)
OBJECTS = st.recursive(
    st.dictionaries(st.sampled_from("abc"), LEAVES, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), LEAVES | inner, max_size=3),
    max_leaves=6,
)


def without_null(value: Any) -> Any:  # noqa: ANN401  # JSON
    """Leave out what is null: a merge patch cannot say it, and a status never needs it."""
    if isinstance(value, dict):
        return {key: without_null(inner) for key, inner in value.items() if inner is not None}
    return value


@given(OBJECTS, OBJECTS)
def test_a_patch_makes_the_one_of_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Whatever the two are."""
    assert without_null(after) == without_null(merged(without_null(before), merge_patch(before, after)))


@given(OBJECTS)
def test_no_change_is_no_patch(same: dict[str, Any]) -> None:
    """Nothing is sent for nothing."""
    assert {} == merge_patch(same, same)


def test_a_status_is_patched_where_it_changed() -> None:
    """Names as on the wire, times as text, what went as null; lists whole."""
    began = ShardStatus(epoch=7, revision="r", started=moment(1.5))
    ready = Condition(type="Ready", status=Truth.TRUE, reason="Connected", last_transition_time=moment(2.0))
    before = AccountStatus(epoch=7, shard=began, retry=RetryStatus(failures=2, not_before=moment(3.0)))
    after = before.model_copy(
        update={
            "phase": "Running",
            "shard": began.model_copy(update={"ended": moment(4.0), "exit_code": 0}),
            "retry": RetryStatus(),
            "conditions": (ready,),
        }
    )
    patch = status_patch(before, after)
    assert {"phase", "shard", "retry", "conditions"} == set(patch)
    assert {"ended": "1970-01-01T00:00:04Z", "exitCode": 0} == patch["shard"]
    assert {"failures": 0, "notBefore": None} == patch["retry"]
    assert ["Ready"] == [condition["type"] for condition in patch["conditions"]]


def test_another_programs_part_is_never_sent() -> None:
    """Not even when what we believe of it is old."""
    before = AccountStatus(scaling=ScalingStatus(tier="big"))
    assert {} == status_patch(before, before.model_copy(update={"scaling": None}))
