"""Writes how far a rollout is into its gateway's status: the wave, the pairings that it cost, and its conditions.

Called by the accounts operator, which lets the rollout go on, after each look at it. A restarted operator reads there
where the last one was.
"""

from typing import Final

from ponton_operator.cluster.kube_api import KubeApi
from ponton_operator.cluster.kube_kinds import GATEWAYS, Obj
from ponton_operator.plan.rollout import OWN, Turn, rollout_findings
from ponton_operator.resources.conditions_gateway import GatewayType, put_findings
from ponton_operator.resources.gateway import BridgeGateway

_RIGHTS: Final = frozenset({GatewayType.RIGHTS_MISSING})  # goes: who lets a rollout go on is served, see `kube_leaving`


async def write_turn(api: KubeApi, gateway: BridgeGateway, turn: Turn, now: float) -> Obj | None:
    """Write what is new; gives the gateway as it is then, None when there is nothing new. Raises KubeError.

    Others write other conditions into the same list, so it is written with the version that was read: after a Conflict
    the gateway has to be read again, and the next look writes.
    """
    before = gateway.status
    findings = rollout_findings(turn, gateway.spec.rollout)
    conditions = put_findings(before.conditions, findings, OWN | _RIGHTS, now, gateway.metadata.generation)
    after = turn.status(before).model_copy(update={"conditions": conditions})
    if after == before:
        return None
    fields = {"revision", "wave", "wave_revision", "pairings_lost", "conditions"}
    body = {
        "metadata": {"resourceVersion": gateway.metadata.resource_version},
        "status": after.model_dump(mode="json", by_alias=True, include=fields),
    }
    return await api.patch(GATEWAYS, gateway.metadata.namespace, gateway.metadata.name, body, "status")
