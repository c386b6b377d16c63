"""One look at a gateway on a cluster: its Secrets, the objects that are there, how its servers answer.

Called by the gateways operator, seldom (the result is good for a while); it only reads, but for the doors' users, which
are made at Redis again when they are not there.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from ponton_bridge.coordination.contract import Door
from ponton_bridge.model.errors import HostError
from ponton_operator.cluster.door_users import DoorUsers, RedisSeen, door_url
from ponton_operator.cluster.gateway_secrets import GatewaySecrets, read_secrets
from ponton_operator.cluster.kube_api import KubeApi
from ponton_operator.cluster.kube_kinds import (
    BUDGETS,
    CONFIG_MAPS,
    DEPLOYMENTS,
    LEASES,
    NETWORK_POLICIES,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    Kind,
    Obj,
)
from ponton_operator.cluster.prosody import ProsodyControl, ProsodyRefused, ProsodyUnreachable
from ponton_operator.plan.desk_epochs import read_stock, spent
from ponton_operator.plan.environment import portal_references
from ponton_operator.plan.gateway import Held, Material, ObservedGateway
from ponton_operator.plan.gateway_status import Part
from ponton_operator.plan.manifests_base import (
    COMPONENT,
    GATEWAY,
    HASH,
    MANAGED_BY,
    MANAGER,
    OURS,
    Component,
    Key,
    decoded,
)
from ponton_operator.plan.manifests_desk import EPOCHS, name_of
from ponton_operator.plan.manifests_door import door_name
from ponton_operator.plan.manifests_network import server_of
from ponton_operator.plan.manifests_prosody import Shared
from ponton_operator.resources.gateway import BridgeGateway

# The kinds that the operator makes for gateways, by the name in their objects.
KINDS: Final[Mapping[str, Kind]] = {
    "ServiceAccount": SERVICE_ACCOUNTS,
    "Role": ROLES,
    "RoleBinding": ROLE_BINDINGS,
    "Lease": LEASES,
    "Secret": SECRETS,
    "ConfigMap": CONFIG_MAPS,
    "NetworkPolicy": NETWORK_POLICIES,
    "PodDisruptionBudget": BUDGETS,
    "Deployment": DEPLOYMENTS,
    "Service": SERVICES,
}


def selector(gateway: BridgeGateway) -> str:
    """Select what this operator made for a gateway; shards have the same labels but for the component."""
    ours = ",".join(component.value for component in OURS)
    return f"{MANAGED_BY}={MANAGER},{GATEWAY}={gateway.metadata.name},{COMPONENT} in ({ours})"


@dataclass(slots=True)
class Looker:
    """Looks at one gateway; keeps the connection to its Redis."""

    api: KubeApi
    _users: DoorUsers | None = None
    _login: tuple[str, str] = field(default=("", ""), repr=False)

    async def look(self, gateway: BridgeGateway, now: float) -> ObservedGateway:
        """Observe all but counts, twins and images; `now` in seconds. Raises KubeError."""
        found = await read_secrets(self.api, gateway)
        material, problems = self._material(gateway, found)
        objects, redis, prosody = await asyncio.gather(
            self._objects(gateway), self._redis(gateway, material, now), _prosody(found)
        )
        lease = objects.get(Key("Lease", name_of(gateway)), {})
        secret = objects.get(Key("Secret", name_of(gateway)), {})
        return ObservedGateway(
            material=material,
            missing=found.missing,
            problems=problems,
            objects={key: _held(item) for key, item in objects.items()},
            epochs=tuple(read_stock(decoded(secret, EPOCHS))),
            spent=spent(lease.get("metadata", {}).get("annotations") or {}),
            desk_ready=_ready(objects, gateway, Component.FRONT_DESK),
            portal_ready=_ready(objects, gateway, Component.PORTAL),
            desk_stream=prosody[1],
            redis=redis.part,
            redis_forgets=redis.forgets,
            prosody=prosody[0],
        )

    async def leave(self) -> None:
        """Take the doors' users away from Redis, if it answers, and close: the gateway is gone."""
        if self._users is not None:
            await self._users.look((), 0.0)
        await self.close()

    async def close(self) -> None:
        """Close the connection to Redis."""
        users, self._users = self._users, None
        if users is not None:
            await users.close()

    # ---- inside --------------------------------------------------------------------------------------------

    def _material(self, gateway: BridgeGateway, found: GatewaySecrets) -> tuple[Material | None, tuple[str, ...]]:
        """Put together what objects are made of, None when something of it is wrong."""
        if found.wrong:
            return None, found.problems
        spec, url = gateway.spec, found.redis_url
        try:
            server_of("redis", url, None)
        except HostError as error:
            return None, (f"Secret {spec.redis.url_ref.name}: {error.sentence}",)
        own = spec.secrets.front_desk_ref
        shared = Shared(found.master, found.read(spec.prosody.token_ref), found.read(own) if own else "")
        ca = found.read(spec.xmpp.tls.ca_ref) if spec.xmpp.tls else ""
        name = gateway.metadata.name
        desk, pages = (door_url(url, name, found.master, door) for door in (Door.FRONT_DESK, Door.PORTAL))
        files = {file: found.read(ref) for file, ref in portal_references(gateway).items()}
        return Material(shared, url, desk, pages, ca, files), ()

    async def _objects(self, gateway: BridgeGateway) -> dict[Key, Obj]:
        labels, namespace = selector(gateway), gateway.metadata.namespace
        lists = await asyncio.gather(*(self.api.list(kind, namespace, labels) for kind in KINDS.values()))
        pairs = zip(KINDS, lists, strict=True)
        return {Key(kind, item["metadata"]["name"]): item for kind, items in pairs for item in items}

    async def _redis(self, gateway: BridgeGateway, material: Material | None, now: float) -> RedisSeen:
        if material is None:
            return RedisSeen(Part.UNKNOWN)
        login = (material.redis_url, material.shared.master)
        if self._users is None or self._login != login:
            await self.close()
            try:
                self._users, self._login = DoorUsers(login[0], gateway.metadata.name, login[1]), login
            except HostError:  # right so far, and yet none that the library takes
                return RedisSeen(Part.AWAY)
        service = gateway.spec.selfservice
        on = {Door.FRONT_DESK: service.front_desk, Door.PORTAL: service.portal is not None}
        return await self._users.look([door for door in Door if on[door]], now)


async def _prosody(found: GatewaySecrets) -> tuple[Part, bool | None]:
    """Tell how Prosody's view answers, and whether the front desk's stream is open (None: not known)."""
    control: ProsodyControl | None = None
    with suppress(HostError):
        control = found.prosody()
    if control is None:
        return Part.UNKNOWN, None
    try:
        return Part.ANSWERS, await control.front_desk_connected()
    except ProsodyUnreachable:
        return Part.AWAY, None
    except (ProsodyRefused, ValueError, OSError):  # an authority that is none fails before anything is asked
        return Part.REFUSES, None


def _ready(objects: Mapping[Key, Obj], gateway: BridgeGateway, door: Component) -> int:
    """Count the pods of a door that are ready."""
    found = objects.get(Key("Deployment", door_name(gateway, door)), {})
    return int((found.get("status") or {}).get("readyReplicas") or 0)


def _held(item: Obj) -> Held:
    metadata = item["metadata"]
    component = (metadata.get("labels") or {}).get(COMPONENT, "")
    return Held(component or Component.SHARD, (metadata.get("annotations") or {}).get(HASH, ""))
