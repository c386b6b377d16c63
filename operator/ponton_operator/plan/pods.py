"""What a shard's pod says about its process: does it run, has it ended and how, why does it not get on. Pure.

Called by `cluster.kube_registry` for every pod that is listed or told. The rules: a process has ended when its pod
object is gone or says that its containers ended; a pod that should be gone for long, or whose node does not answer, is
lost: it may run or not, nobody knows.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from ponton_bridge.coordination.contract import StateChange
from ponton_operator.plan.ends import CRASHING_FROM, HEALTHY_AFTER
from ponton_operator.plan.manifests_shard import ACCOUNT, CONTAINER, EPOCH, GATEWAY, REVISION, TIER
from ponton_operator.plan.values import Process
from ponton_operator.resources.conditions import Own

# Seconds after its grace that a pod told to end may still be there: the kubelet kills, unmounts and reports.
OVERDUE: Final = 20.0
# Seconds without a place that are nobody's trouble: the scheduler may not have seen the new claim yet, and tries again.
PLACING: Final = 10.0
_IMAGE: Final = frozenset({
    "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable",
    "ImageInspectError", "SignatureValidationFailed",
})  # fmt: skip
_REFUSED: Final = frozenset({
    "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PreCreateHookError",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pod:
    """What is kept of a pod; the object itself is let go. `version` is its resourceVersion, 0 if that is no number.

    `look`: when to look again at the latest (seconds since 1970), since time alone will change what it means.
    `last`: the state that the shard left behind when it ended, for the case that Redis was away.
    """

    namespace: str
    name: str
    uid: str
    account: str
    gateway: str
    node: str
    revision: str
    tier: str
    version: int
    process: Process
    look: float | None = None
    last: StateChange | None = None
    gone: bool = False  # there is no object any more, only its end is to be recorded

    def left(self) -> "Pod":
        """Give it as it counts once its object is gone; how it ended stays known if it was."""
        ended = replace(self.process, ended=True, lost=False)
        return replace(self, process=ended, gone=True, look=None)


def version_of(metadata: Mapping[str, Any]) -> int:
    """Give a resourceVersion as a number, by which newer is told from older.

    >>> version_of({"resourceVersion": "42"})
    42
    """
    text = str(metadata.get("resourceVersion") or "")
    return int(text) if text.isascii() and text.isdigit() else 0


def read_pod(pod: Mapping[str, Any], now: float, lost_nodes: frozenset[str] = frozenset()) -> Pod | None:
    """Read a pod of ours, None if it is none; `lost_nodes` are those that do not answer."""
    metadata, spec, status = (pod.get(part) or {} for part in ("metadata", "spec", "status"))
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    epoch = str(annotations.get(EPOCH) or "")
    if not labels.get(ACCOUNT) or not (epoch.isascii() and epoch.isdigit()):
        return None
    container = _container(status)
    process, look = _process(int(epoch), metadata, spec, status, container, now, lost_nodes)
    return Pod(
        namespace=str(metadata.get("namespace") or ""),
        name=str(metadata.get("name") or ""),
        uid=str(metadata.get("uid") or ""),
        account=str(labels[ACCOUNT]),
        gateway=str(labels.get(GATEWAY) or ""),
        node=str(spec.get("nodeName") or ""),
        revision=str(annotations.get(REVISION) or ""),
        tier=str(annotations.get(TIER) or ""),
        version=version_of(metadata),
        process=process,
        look=look,
        last=_last(labels[ACCOUNT], int(epoch), str(metadata.get("uid") or ""), container),
    )


# ---- inside ----------------------------------------------------------------------------------------------------


def _process(
    epoch: int,
    metadata: Mapping[str, Any],
    spec: Mapping[str, Any],
    status: Mapping[str, Any],
    container: Mapping[str, Any],
    now: float,
    lost_nodes: frozenset[str],
) -> tuple[Process, float | None]:
    told = _seconds(metadata.get("deletionTimestamp"))  # the server has added the grace to it
    if status.get("phase") in {"Succeeded", "Failed"}:
        code = (_state(container, "terminated") or {}).get("exitCode")
        trouble = Own.EVICTED if status.get("reason") == "Evicted" else ""
        exit_code = int(code) if isinstance(code, int) else None
        return Process(epoch, ended=True, exit_code=exit_code, told=told is not None, trouble=trouble), None
    if told is not None and not spec.get("nodeName"):
        return Process(epoch, told=True), None  # never ran; the server removes it by itself
    overdue = told is not None and now >= told + OVERDUE
    if overdue or spec.get("nodeName") in lost_nodes:
        return Process(epoch, told=told is not None, lost=True, trouble=Own.NODE_LOST), None
    trouble, look = _trouble(status, container, now)
    if told is not None:
        look = told + OVERDUE
    return Process(epoch, told=told is not None, trouble="" if told is not None else trouble), look


def _trouble(status: Mapping[str, Any], container: Mapping[str, Any], now: float) -> tuple[str, float | None]:
    """Say why a pod does not get on, and when that may have changed by time alone."""
    placed = status.get("phase") == "Running"  # whatever the scheduler said last
    for condition in () if placed else status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return _unplaced(condition, now)
    reason = str((_state(container, "waiting") or {}).get("reason") or "")
    if reason in _IMAGE:
        return Own.IMAGE_UNAVAILABLE, None
    if reason in _REFUSED:
        return Own.CONTAINER_REFUSED, None
    before = (container.get("lastState") or {}).get("terminated") or {}
    why = Own.OUT_OF_MEMORY if before.get("reason") == "OOMKilled" else Own.CRASH_LOOP
    if reason == "CrashLoopBackOff":
        return why, None
    started = _seconds((_state(container, "running") or {}).get("startedAt"))
    if started is not None and int(container.get("restartCount") or 0) >= CRASHING_FROM:
        well = started + HEALTHY_AFTER  # between two crashes of a loop nothing has got better
        return (why, well) if now < well else ("", None)
    return "", None


def _unplaced(condition: Mapping[str, Any], now: float) -> tuple[str, float | None]:
    """Say why a pod has no place, once it has had none for a while."""
    since = _seconds(condition.get("lastTransitionTime"))
    if since is not None and now < since + PLACING:
        return "", since + PLACING
    message = str(condition.get("message") or "").lower()
    volume = "persistentvolumeclaim" in message or "volume" in message
    return (Own.VOLUME_PENDING if volume else Own.UNSCHEDULABLE), None


def _container(status: Mapping[str, Any]) -> Mapping[str, Any]:
    found = (c for c in status.get("containerStatuses") or () if c.get("name") == CONTAINER)
    return next(found, {})


def _state(container: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    state = (container.get("state") or {}).get(kind)
    return state if isinstance(state, Mapping) else None


def _last(account: str, epoch: int, uid: str, container: Mapping[str, Any]) -> StateChange | None:
    """Read what the shard left in its termination message; believed if it speaks of itself."""
    try:
        found = json.loads((_state(container, "terminated") or {}).get("message") or "null")
        if (int(found["epoch"]), found["instance"]) != (epoch, uid):
            return None
        return StateChange(
            account=account,
            epoch=epoch,
            instance=uid,
            reason=str(found["reason"]),
            since=float(found["since"]),
            until=float(found.get("until", 0.0)),
            paired=int(found.get("paired", 0)),
        )
    except (KeyError, ValueError, TypeError):
        return None


def _seconds(text: object) -> float | None:
    try:
        return datetime.fromisoformat(str(text)).timestamp() if text else None
    except ValueError:
        return None
