"""What a shard's pod says about its size: what it has, whether that can be changed, whether memory killed it. Pure.

Called by the scaler's view for every pod that is listed or told, and by its sweep.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ponton_operator.plan.manifests_shard import ACCOUNT, CONTAINER, EPOCH, resources_of
from ponton_operator.plan.quantity import same
from ponton_operator.plan.scaling import PodSeen
from ponton_operator.resources.running import Tier

# A node that has no room for the larger size may get some; after so long the pod is better off on another node.
DEFERRED_FOR: Final = 300.0  # seconds


@dataclass(frozen=True, slots=True)
class Sized:
    """What is kept of a pod. `resources` is what its container is told to have, by "requests.cpu" and so on.

    `stuck` is since when a change of size waits or fails on its node (seconds since 1970, 0 = it does not),
    `never`: the node can never do it. `version` is the resourceVersion, as a number.
    """

    namespace: str
    name: str
    account: str
    epoch: int
    running: bool
    resources: Mapping[str, str]
    stuck: float = 0.0
    never: bool = False
    oom: float = 0.0
    version: int = 0

    def seen(self, now: float, *, refused: bool) -> PodSeen:
        """Give it as the plan sees it; `refused`: the API server did not take a change of its size."""
        late = 0 < self.stuck <= now - DEFERRED_FOR
        return PodSeen(self.epoch, refused=refused or self.never or late, oom=self.oom)

    def has(self, tier: Tier) -> bool:
        """Whether it is told to have the size of a tier."""
        wanted = _flat(resources_of(tier))
        return all(same(self.resources.get(key, ""), value) for key, value in wanted.items())


def read_sized(pod: Mapping[str, Any]) -> Sized | None:
    """Read a pod of a shard; None for any other, and for one that is on its way out."""
    metadata, spec, status = (pod.get(part) or {} for part in ("metadata", "spec", "status"))
    account = (metadata.get("labels") or {}).get(ACCOUNT)
    epoch = str((metadata.get("annotations") or {}).get(EPOCH) or "")
    container = next((c for c in spec.get("containers") or () if c.get("name") == CONTAINER), None)
    if not account or not epoch.isdecimal() or container is None or metadata.get("deletionTimestamp"):
        return None
    version = str(metadata.get("resourceVersion") or "")
    stuck, never = _stuck(status)
    return Sized(
        namespace=str(metadata.get("namespace") or ""),
        name=str(metadata.get("name") or ""),
        account=str(account),
        epoch=int(epoch),
        running=status.get("phase") == "Running",
        resources=_flat(container.get("resources") or {}),
        stuck=stuck,
        never=never,
        oom=_oom(status),
        version=int(version) if version.isdecimal() else 0,
    )


def _flat(resources: Mapping[str, Any]) -> dict[str, str]:
    return {
        f"{part}.{kind}": str(quantity)
        for part in ("requests", "limits")
        for kind, quantity in (resources.get(part) or {}).items()
    }


def _stuck(status: Mapping[str, Any]) -> tuple[float, bool]:
    """Read the conditions of a resize: it waits for room, is more than the node has, or the kubelet fails at it."""
    for condition in status.get("conditions") or ():
        kind, reason = condition.get("type"), condition.get("reason")
        if condition.get("status") != "True":
            continue
        if kind == "PodResizePending":
            return _seconds(condition.get("lastTransitionTime")), reason == "Infeasible"
        if kind == "PodResizeInProgress" and reason == "Error":
            return _seconds(condition.get("lastTransitionTime")), False
    return 0.0, False


def _oom(status: Mapping[str, Any]) -> float:
    """Give when the container was killed for its memory last, as far as the pod remembers."""
    containers = [c for c in status.get("containerStatuses") or () if c.get("name") == CONTAINER]
    ends = [(c.get(which) or {}).get("terminated") or {} for c in containers for which in ("state", "lastState")]
    return max((_seconds(end.get("finishedAt")) for end in ends if end.get("reason") == "OOMKilled"), default=0.0)


def _seconds(text: object) -> float:
    try:
        return datetime.fromisoformat(str(text)).timestamp() if text else 0.0
    except ValueError:
        return 0.0
