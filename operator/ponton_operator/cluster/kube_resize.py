"""Gives running pods another size where they run, and remembers which ones the cluster does not do that for.

Called by the scaler's sweep. A cluster before in-place resize, or a limit that may not shrink: each is a refusal of the
API server, after which the pod is made anew when it is quiet (`plan.scaling`). A full quota is no reason for that: a
new pod would find no room either.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.events import OperatorEvent
from ponton_operator.cluster.kube_api import KubeApi
from ponton_operator.cluster.kube_errors import Forbidden, Invalid, KubeError, NotFound
from ponton_operator.plan.manifests_shard import CONTAINER, resources_of
from ponton_operator.plan.resizing import Sized, read_sized
from ponton_operator.resources.running import Tier

REFUSED_FOR: Final = 3600.0  # seconds; a cluster may have been upgraded meanwhile
FULL_FOR: Final = 300.0  # seconds until a full quota is tried again


@dataclass(frozen=True, slots=True)
class _Refusal:
    """For which tier, until when (seconds since 1970), and whether a new pod would help."""

    tier: str
    until: float
    anew: bool


@dataclass(slots=True)
class Resizer:
    """`clock` gives seconds since 1970."""

    api: KubeApi
    log: Log
    clock: Callable[[], float]
    _refused: dict[tuple[str, str], _Refusal] = field(default_factory=dict)  # by pod

    def waits(self, pod: Sized, tier: Tier) -> bool:
        """Whether this pod was refused this size, not long ago."""
        return self._refusal(pod, tier) is not None

    def cannot(self, pod: Sized, tier: Tier) -> bool:
        """Whether only a new pod can have this size."""
        refusal = self._refusal(pod, tier)
        return refusal is not None and refusal.anew

    async def resize(self, pod: Sized, tier: Tier) -> Sized | None:
        """Give a pod the size of a tier; gives the pod as it is then, None if it is as it was. Raises no KubeError."""
        try:
            answer = await self.api.resize(pod.namespace, pod.name, CONTAINER, resources_of(tier))
        except (Invalid, NotFound, Forbidden) as error:  # not found: the pod has gone, or there is no such subresource
            anew = not isinstance(error, Forbidden)
            until = self.clock() + (REFUSED_FOR if anew else FULL_FOR)
            self._refused[pod.namespace, pod.name] = _Refusal(tier.name, until, anew)
            self.log(OperatorEvent.RESIZE_REFUSED, "warning", account=pod.account, tier=tier.name, why=error.reason)
            return None
        except KubeError:
            return None  # the next sweep tries again
        return read_sized(answer)

    def forget(self, namespace: str, name: str) -> None:
        """The pod is gone."""
        self._refused.pop((namespace, name), None)

    def _refusal(self, pod: Sized, tier: Tier) -> _Refusal | None:
        refusal = self._refused.get((pod.namespace, pod.name))
        return refusal if refusal and refusal.tier == tier.name and self.clock() < refusal.until else None
