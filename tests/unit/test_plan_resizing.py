"""What a pod says about its size."""

from typing import Any

import pytest

from ponton_operator.plan.resizing import DEFERRED_FOR, Sized, read_sized
from ponton_operator.resources.running import Tier
from tests.unit.fleet_kit import EPOCH, NOW
from tests.unit.scaler_bed import LARGE, SMALL, pod_object

AT = "2027-01-15T08:00:00Z"  # NOW, as the API server writes it


def read(**status: Any) -> Sized:  # noqa: ANN401  # any field of the status
    """Read a pod that is so."""
    found = read_sized(pod_object("acc-1", **status))
    assert found is not None
    return found


def pending(kind: str, reason: str, truth: str = "True") -> list[dict[str, str]]:
    """Make the conditions of a resize that does not get on."""
    return [{"type": kind, "status": truth, "reason": reason, "lastTransitionTime": AT}]


def test_a_pod_has_the_size_that_its_container_is_told() -> None:
    """Compared by what quantities mean, with all that the tier says; sidecars do not count."""
    pod = pod_object("acc-1", resources={"requests": {"cpu": "0.02", "memory": "96Mi"}, "limits": {"memory": "0.25Gi"}})
    pod["spec"]["containers"].insert(0, {"name": "sidecar", "resources": LARGE})
    found = read_sized(pod)
    assert found is not None
    assert found.has(Tier(name="small"))
    assert not found.has(Tier(name="other", memory_limit="512Mi"))
    assert not found.has(Tier(name="other", cpu_request="50m"))
    bare = read_sized(pod_object("acc-1", resources={"limits": {"memory": "256Mi"}}))
    assert bare is not None
    assert not bare.has(Tier(name="small"))


@pytest.mark.parametrize(
    "change",
    [
        {"labels": {}},
        {"annotations": {}},
        {"annotations": {"ponton.im/epoch": "one"}},
        {"deletionTimestamp": AT},
    ],
    ids=["not ours", "no epoch", "no number", "on its way out"],
)
def test_other_pods_are_none_of_ours(change: dict[str, Any]) -> None:
    """Nor is one that is being removed, or has no shard in it."""
    pod = pod_object("acc-1")
    assert read_sized(pod | {"metadata": pod["metadata"] | change}) is None
    assert read_sized(pod | {"spec": {"containers": [{"name": "other", "resources": SMALL}]}}) is None
    assert read_sized({}) is None


def test_a_resize_that_waits_is_refused_after_a_while() -> None:
    """No room now may change; more than the node has never does; a kubelet that fails at it gets the same while."""
    assert not read().seen(NOW + 10**6, refused=False).refused
    assert read().seen(NOW, refused=True).refused
    for kind, reason in (("PodResizePending", "Deferred"), ("PodResizeInProgress", "Error")):
        found = read(conditions=pending(kind, reason))
        late = [found.seen(NOW + after, refused=False).refused for after in (DEFERRED_FOR - 1, DEFERRED_FOR)]
        assert [False, True] == late
    assert read(conditions=pending("PodResizePending", "Infeasible")).seen(NOW, refused=False).refused


@pytest.mark.parametrize(
    "conditions",
    [
        pending("PodResizePending", "Infeasible", "False"),
        pending("PodResizeInProgress", ""),
        pending("Ready", "Error"),
    ],
    ids=["over", "goes on", "something else"],
)
def test_other_conditions_refuse_nothing(conditions: list[dict[str, str]]) -> None:
    """A resize that goes on, or is over, is none that waits."""
    assert not read(conditions=conditions).seen(NOW + 10**6, refused=False).refused


def test_the_last_kill_for_memory_is_told() -> None:
    """Of the shard's own container, whether it runs again or waits to."""

    def ended(name: str, which: str, reason: str) -> Sized:
        return read(containerStatuses=[{"name": name, which: {"terminated": {"reason": reason, "finishedAt": AT}}}])

    assert NOW == ended("shard", "lastState", "OOMKilled").seen(NOW, refused=False).oom
    assert NOW == ended("shard", "state", "OOMKilled").oom
    assert 0.0 == ended("shard", "lastState", "Error").oom
    assert 0.0 == ended("sidecar", "lastState", "OOMKilled").oom


def test_what_is_no_time_is_none() -> None:
    """Whatever stands there, the pod is read."""
    odd = [{"name": "shard", "state": {"terminated": {"reason": "OOMKilled", "finishedAt": "never"}}}]
    assert (0.0, EPOCH) == (read(containerStatuses=odd).oom, read(containerStatuses=odd).epoch)
