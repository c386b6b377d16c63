"""Carries out what the plan of a gateway asks for on the Kubernetes API. Called by the gateways operator.

What the cluster refuses becomes a sentence for the gateway's status, and the rest is done all the same. An object of
the same name that is not ours is never touched.
"""

from dataclasses import dataclass, field
from typing import Final

from ponton_bridge.model.errors import HostError
from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.events import OperatorEvent
from ponton_operator.cluster.gateway_look import KINDS
from ponton_operator.cluster.kube_api import KubeApi
from ponton_operator.cluster.kube_errors import Conflict, KubeError, Unavailable
from ponton_operator.cluster.kube_kinds import GATEWAYS
from ponton_operator.plan.gateway import Apply, Delete, WriteGatewayStatus
from ponton_operator.plan.manifests_base import GATEWAY, MANAGED_BY, MANAGER, Key, Manifest, key_of
from ponton_operator.plan.merge import status_patch
from ponton_operator.resources.gateway import BridgeGateway

FIELD_MANAGER: Final = "ponton-gateways"
# Parts of the status that the accounts operator writes, and the scaler.
FOREIGN: Final = frozenset({"revision", "wave", "waveRevision", "pairingsLost", "portal"})


class NotOurs(HostError):
    """There is an object of the name that we need, made by somebody else."""


@dataclass(slots=True)
class Hands:
    """Does things for one gateway; `refused` holds a sentence for each object that could not be made."""

    api: KubeApi
    log: Log
    refused: dict[Key, str] = field(default_factory=dict)

    def remember(self, wanted: set[Key]) -> None:
        """Forget what was refused of objects that are not to be made any more."""
        for key in self.refused.keys() - wanted:
            del self.refused[key]

    async def apply(self, gateway: BridgeGateway, action: Apply, *, new: bool) -> bool:
        """Make or change an object; `new`: none of ours was there. Gives whether it was taken. Raises Unavailable."""
        key = key_of(action.manifest)
        try:
            if new:
                await self._check(gateway, key)
            await self.api.apply(KINDS[key.kind], gateway.metadata.namespace, key.name, action.manifest, FIELD_MANAGER)
        except Unavailable:
            raise
        except (KubeError, NotOurs) as error:
            why = error.sentence if isinstance(error, NotOurs) else f"{key.kind} {key.name}: {error.sentence}"
            self.refused[key] = why
            self.log(OperatorEvent.OBJECT_REFUSED, "error", kind=key.kind, error=type(error).__name__)
            return False
        self.refused.pop(key, None)
        self.log(OperatorEvent.OBJECT_APPLIED, kind=key.kind)
        return True

    async def delete(self, gateway: BridgeGateway, action: Delete) -> None:
        """Remove an object. Raises KubeError."""
        self.refused.pop(action.key, None)
        await self.api.delete(KINDS[action.key.kind], gateway.metadata.namespace, action.key.name)
        self.log(OperatorEvent.OBJECT_DELETED, kind=action.key.kind)

    async def write(self, gateway: BridgeGateway, action: WriteGatewayStatus) -> bool:
        """Write the status as far as it is ours; False when the gateway is not as it was. Raises KubeError."""
        patch = status_patch(gateway.status, action.status, FOREIGN)
        if not patch:
            return True
        metadata = gateway.metadata
        body = {"metadata": {"resourceVersion": metadata.resource_version}, "status": patch}
        try:
            await self.api.patch(GATEWAYS, metadata.namespace, metadata.name, body, "status")
        except Conflict:
            return False
        return True

    async def _check(self, gateway: BridgeGateway, key: Key) -> None:
        """Raise NotOurs when somebody else's object has the name."""
        found = await self.api.find(KINDS[key.kind], gateway.metadata.namespace, key.name)
        labels = _labels(found) if found else {}
        if found and (labels.get(MANAGED_BY), labels.get(GATEWAY)) != (MANAGER, gateway.metadata.name):
            raise NotOurs(f"{key.kind} {key.name} exists and is not Ponton's: give it another name.")


def _labels(found: Manifest) -> dict[str, str]:
    return (found.get("metadata") or {}).get("labels") or {}
