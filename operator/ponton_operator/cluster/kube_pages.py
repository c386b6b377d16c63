"""One look at a gateway's portal: how many pages are open, and how many replicas that wants (`plan.portal_scaling`).

Called by the scaler after each look at the gateway's accounts; it writes `status.portal`, and the gateways operator
makes the Deployment after it. While Redis cannot say all stays as it is.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.events import OperatorEvent
from ponton_operator.cluster.kube_api import KubeApi
from ponton_operator.cluster.kube_beats import Beats
from ponton_operator.cluster.kube_errors import KubeError
from ponton_operator.cluster.kube_fleet import Fleet, Key
from ponton_operator.cluster.kube_kinds import GATEWAYS
from ponton_operator.cluster.metrics import Metrics
from ponton_operator.plan.portal_scaling import Calm, plan_replicas
from ponton_operator.resources.base import is_paused


@dataclass(slots=True)
class Portals:
    """The portals of all gateways; `clock` gives seconds since 1970."""

    api: KubeApi
    fleet: Fleet
    beats: Beats
    metrics: Metrics
    log: Log
    clock: Callable[[], float]
    _calm: dict[Key, Calm] = field(default_factory=dict)

    async def look(self, key: Key) -> None:
        """Look at a gateway's portal once. What cannot be written is decided again in the next look."""
        gateway = self.fleet.gateways.get(key)
        portal = gateway.spec.selfservice.portal if gateway else None
        if gateway is None or portal is None:
            self._calm.pop(key, None)
            return
        if is_paused(gateway.metadata):
            return
        pages = await self.beats.open_pages(gateway)
        total = sum((pages or {}).values())
        self.metrics.state("open pages", "/".join(key), total)
        calm = self._calm.get(key, Calm())
        status, self._calm[key] = plan_replicas(portal, gateway.status.portal, pages, calm, self.clock())
        if status is None:
            return
        body = {"status": {"portal": status.model_dump(mode="json", by_alias=True)}}
        try:
            answer = await self.api.patch(GATEWAYS, *key, body, "status")
        except KubeError:
            return
        self.fleet.take(GATEWAYS, answer, gone=False)
        self.log(OperatorEvent.PORTAL_SCALED, gateway=key[1], replicas=status.replicas, pages=total)
