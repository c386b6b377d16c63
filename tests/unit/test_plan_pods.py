"""What a pod says about its process: each way of being stuck, of ending, of being lost."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponton_operator.plan.pods import OVERDUE, PLACING, Pod, read_pod, version_of
from ponton_operator.plan.values import Process
from ponton_operator.resources.base import moment

NOW = 1_800_000_000.0
EPOCH = 1_799_999_000_000


def at(seconds: float) -> str:
    """Write a time as the API does."""
    return moment(NOW + seconds).isoformat().replace("+00:00", "Z")


def pod(
    phase: str = "Running",
    *,
    deleted: float | None = None,
    node: str = "n1",
    status: dict[str, Any] | None = None,
    **container: Any,  # noqa: ANN401  # a containerStatus
) -> dict[str, Any]:
    """Make a pod of ours; `deleted`: seconds from now at which its grace is over."""
    metadata: dict[str, Any] = {
        "namespace": "ns",
        "name": f"acc-x-{EPOCH}",
        "uid": "u-1",
        "resourceVersion": "42",
        "labels": {"ponton.im/account": "acc-x", "ponton.im/gateway": "wa"},
        "annotations": {"ponton.im/epoch": str(EPOCH), "ponton.im/revision": "r1", "ponton.im/tier": "small"},
    }
    if deleted is not None:
        metadata["deletionTimestamp"] = at(deleted)
    statuses = [{"name": "other"}, {"name": "shard", **container}] if container else []
    return {
        "metadata": metadata,
        "spec": {"nodeName": node} if node else {},
        "status": {"phase": phase, "containerStatuses": statuses, **(status or {})},
    }


def seen(made: dict[str, Any], lost: frozenset[str] = frozenset()) -> Pod:
    """Read it."""
    found = read_pod(made, NOW, lost)
    assert found
    return found


def process(made: dict[str, Any], lost: frozenset[str] = frozenset()) -> Process:
    """Read its process."""
    return seen(made, lost).process


def test_a_running_pod_is_a_process() -> None:
    """Epoch, revision and tier come from annotations, account and gateway from labels."""
    found = seen(pod(state={"running": {"startedAt": at(-10)}}))
    assert Process(EPOCH) == found.process
    assert ("ns", "u-1", "acc-x", "wa", "n1", "r1", "small", 42) == (
        found.namespace, found.uid, found.account, found.gateway, found.node, found.revision, found.tier, found.version,
    )  # fmt: skip
    assert (None, None, False) == (found.look, found.last, found.gone)


def test_a_strange_pod_is_none_of_ours() -> None:
    """No account's label, or no epoch: somebody else's."""
    made = pod()
    made["metadata"]["annotations"] = {"ponton.im/epoch": "7x"}
    assert read_pod(made, NOW) is None
    made = pod()
    made["metadata"]["labels"] = {}
    assert read_pod(made, NOW) is None
    assert read_pod({}, NOW) is None


def unschedulable(message: str, since: float = -PLACING) -> dict[str, Any]:
    """Give the condition of a pod that found no place."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return {"conditions": [condition | {"lastTransitionTime": at(since)}]}


def test_a_pod_without_a_place_is_given_a_moment() -> None:
    """The scheduler often tries before it has seen the claim; then it is looked at again."""
    found = seen(pod("Pending", status=unschedulable('persistentvolumeclaim "acc-x" not found', 1 - PLACING)))
    assert ("", NOW + 1) == (found.process.trouble, found.look)


@pytest.mark.parametrize(
    ("made", "trouble"),
    [
        (pod("Pending", status=unschedulable("0/3 nodes are available: 3 Insufficient memory.")), "Unschedulable"),
        (
            pod("Pending", status=unschedulable("pod has unbound immediate PersistentVolumeClaims.")),
            "VolumePending",
        ),
        (pod("Running", status=unschedulable("said before"), state={"running": {"startedAt": at(-1)}}), ""),
        (pod("Pending", state={"waiting": {"reason": "ContainerCreating"}}), ""),
        (pod("Pending", state={"waiting": {"reason": "ErrImagePull"}}), "ImageUnavailable"),
        (pod("Pending", state={"waiting": {"reason": "ImagePullBackOff"}}), "ImageUnavailable"),
        (pod("Pending", state={"waiting": {"reason": "ErrImageNeverPull"}}), "ImageUnavailable"),
        (pod("Pending", state={"waiting": {"reason": "InvalidImageName"}}), "ImageUnavailable"),
        (pod("Pending", state={"waiting": {"reason": "CreateContainerConfigError"}}), "ContainerRefused"),
        (pod(state={"waiting": {"reason": "CrashLoopBackOff"}}, restartCount=5), "CrashLoop"),
        (
            pod(
                state={"waiting": {"reason": "CrashLoopBackOff"}},
                lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
            ),
            "OutOfMemory",
        ),
        (pod(state={"terminated": {"exitCode": 70}}, restartCount=1), ""),
    ],
)
def test_each_way_of_being_stuck_has_its_reason(made: dict[str, Any], trouble: str) -> None:
    """The process counts as alive, since the kubelet or the scheduler goes on trying."""
    assert Process(EPOCH, trouble=trouble) == process(made)


def test_a_loop_of_crashes_is_one_trouble() -> None:
    """Between two crashes nothing has got better; after two minutes of life it has."""
    crashed: dict[str, Any] = {"lastState": {"terminated": {"exitCode": 70}}, "restartCount": 4}
    young = seen(pod(state={"running": {"startedAt": at(-30)}}, **crashed))
    assert ("CrashLoop", NOW + 90) == (young.process.trouble, young.look)
    old = seen(pod(state={"running": {"startedAt": at(-121)}}, **crashed))
    assert ("", None) == (old.process.trouble, old.look)


@pytest.mark.parametrize(
    ("made", "code", "trouble"),
    [
        (pod("Succeeded", state={"terminated": {"exitCode": 0}}), 0, ""),
        (pod("Failed", state={"terminated": {"exitCode": 137}}), 137, ""),
        (pod("Failed", status={"reason": "Evicted"}), None, "Evicted"),
        (pod("Failed", status={"reason": "UnexpectedAdmissionError"}), None, ""),
    ],
)
def test_a_pod_that_is_over_has_ended(made: dict[str, Any], code: int | None, trouble: str) -> None:
    """With the exit code of its container, if there was one."""
    assert Process(EPOCH, ended=True, exit_code=code, trouble=trouble) == process(made)


def test_a_deleted_pod_was_told_and_may_get_lost() -> None:
    """Until its grace is over it drains; when it is still there long after, nobody knows whether it runs."""
    draining = seen(pod(deleted=20, state={"running": {"startedAt": at(-500)}}))
    assert Process(EPOCH, told=True) == draining.process
    assert NOW + 20 + OVERDUE == draining.look
    assert Process(EPOCH, told=True, lost=True, trouble="NodeLost") == process(pod(deleted=-OVERDUE))
    over = pod("Succeeded", deleted=-100, state={"terminated": {"exitCode": 0}})
    assert Process(EPOCH, ended=True, exit_code=0, told=True) == process(over)


def test_a_pod_that_never_had_a_node_cannot_be_lost() -> None:
    """The server removes it by itself."""
    assert Process(EPOCH, told=True) == process(pod("Pending", node="", deleted=-100))


def test_a_pod_on_a_lost_node_is_lost() -> None:
    """And not on another one; an end that was told before still counts."""
    assert Process(EPOCH, lost=True, trouble="NodeLost") == process(pod(), frozenset({"n1"}))
    assert Process(EPOCH) == process(pod(), frozenset({"n2"}))
    assert process(pod("Succeeded", state={"terminated": {"exitCode": 0}}), frozenset({"n1"})).ended


def test_an_object_that_is_gone_is_an_end() -> None:
    """Whatever was known about how it ended stays known."""
    gone = seen(pod(deleted=-OVERDUE)).left()
    assert (True, True) == (gone.gone, gone.process.ended)
    assert (None, True, False) == (gone.process.exit_code, gone.process.told, gone.process.lost)
    assert 0 == seen(pod("Succeeded", state={"terminated": {"exitCode": 0}})).left().process.exit_code


def test_the_last_words_are_believed_of_itself_only() -> None:
    """A shard leaves its last state in the termination message; that of another epoch or instance is none."""
    words = {"epoch": EPOCH, "instance": "u-1", "reason": "LoggedOut", "since": 5.0, "until": 6.0, "paired": 1}

    def last(message: str) -> object:
        return seen(pod("Succeeded", state={"terminated": {"exitCode": 0, "message": message}})).last

    found = seen(pod("Succeeded", state={"terminated": {"exitCode": 0, "message": json.dumps(words)}})).last
    assert found
    assert ("acc-x", EPOCH, "LoggedOut", 5.0, 6.0, 1) == (
        found.account, found.epoch, found.reason, found.since, found.until, found.paired,
    )  # fmt: skip
    for wrong in ({"instance": "u-2"}, {"epoch": 1}, {"since": "x"}):
        assert last(json.dumps(words | wrong)) is None
    assert last("Segmentation fault") is None
    assert last("[1]") is None


def test_versions_are_numbers_or_nothing() -> None:
    """A version that is no number is older than any."""
    assert [42, 0, 0] == [version_of({"resourceVersion": v}) for v in ("42", "x1", None)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(["Pending", "Running", "Succeeded", "Failed", "Unknown", ""]), st.booleans(), st.booleans())
def test_alive_ended_and_lost_exclude_each_other(phase: str, deleted: bool, lost: bool) -> None:  # noqa: FBT001
    """An ended process is not lost, and a lost one has not ended."""
    found = process(pod(phase, deleted=-100 if deleted else None), frozenset({"n1"}) if lost else frozenset())
    assert not (found.ended and found.lost)
    assert found.ended == (phase in {"Succeeded", "Failed"})


@given(JSON)
def test_a_message_of_whatever_shape_is_no_crash(message: object) -> None:
    """The container writes it, so it is anything."""
    made = pod("Succeeded", state={"terminated": {"exitCode": 0, "message": json.dumps(message)}})
    assert seen(made).last is None
