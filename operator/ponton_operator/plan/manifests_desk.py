"""The front desk of a gateway on a cluster: two pods, of which one is active by a Lease, and what they may and know.

Pure. Called by `plan.gateway`. Besides the accounts of their namespace they may use their own Lease.
"""

from collections.abc import Mapping
from typing import Any, Final

from ponton_operator.plan.environment import Places, front_desk_environment
from ponton_operator.plan.manifests_base import Component, Manifest, build, fingerprint, secret, selector
from ponton_operator.plan.manifests_door import (
    CONFIG,
    GATEWAY_FILE,
    HEALTH_PORT,
    RBAC,
    SECRETS,
    DoorPods,
    Settings,
    bind,
    deployment,
    door_name,
    gateway_file,
    probe,
    standing,
    variables,
)
from ponton_operator.resources.gateway import BridgeGateway, Portal

REPLICAS: Final = 2
EPOCHS: Final = "epochs"  # file of the stock, see plan.desk_epochs
_DESK: Final = Component.FRONT_DESK


def name_of(gateway: BridgeGateway) -> str:
    """Give the name that all objects of the front desk have, its Lease too."""
    return door_name(gateway, _DESK)


def front_desk(gateway: BridgeGateway, settings: Settings, told: Mapping[str, str]) -> list[Manifest]:
    """Make all objects of the front desk; `told` gives the secret files by name, the stock of epochs among them."""
    name = name_of(gateway)
    config = {GATEWAY_FILE: _file(gateway)}
    lasting = {key: text for key, text in told.items() if key != EPOCHS}
    lease = {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "resourceNames": [name],
        "verbs": ["get", "update"],
    }
    apart = {
        "weight": 100,
        "podAffinityTerm": {"labelSelector": selector(gateway, _DESK), "topologyKey": "kubernetes.io/hostname"},
    }
    spread = {"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [apart]}}}
    pods = DoorPods(_DESK, REPLICAS, _container(gateway, told), spread, fingerprint([config, lasting]))
    return [
        *standing(gateway, _DESK, settings),
        build(gateway, "Lease", "coordination.k8s.io/v1", name, _DESK, {}),
        build(gateway, "Role", f"{RBAC}/v1", name, _DESK, {"rules": [lease]}),
        bind(gateway, _DESK, name, "Role", name),
        build(gateway, "ConfigMap", "v1", name, _DESK, {"data": config}),
        secret(gateway, name, _DESK, told),
        deployment(gateway, settings, pods),
    ]


# ---- inside ------------------------------------------------------------------------------------------------------


def _file(gateway: BridgeGateway) -> str:
    """Write the gateway; of the portal the front desk needs to know only where browsers find it."""
    service = gateway.spec.selfservice
    portal = Portal(url=service.portal.url) if service.portal else None
    return gateway_file(gateway, service.model_copy(update={"portal": portal}))


def _container(gateway: BridgeGateway, told: Mapping[str, str]) -> dict[str, Any]:
    places = Places("", SECRETS, f"{SECRETS}/xmpp-ca.pem" if "xmpp-ca.pem" in told else "")
    local = {
        "PONTON_CLUSTER": "1",
        "PONTON_GATEWAY_FILE": f"{CONFIG}/{GATEWAY_FILE}",
        "PONTON_LEASE": name_of(gateway),
    }
    fields = {
        "PONTON_NAMESPACE": "metadata.namespace",
        "PONTON_POD": "metadata.name",
        "PONTON_INSTANCE": "metadata.uid",
    }
    return {
        "name": "frontdesk",
        "args": ["frontdesk"],
        "env": variables(front_desk_environment(gateway, 0, "", places, local), fields),
        "ports": [{"name": "health", "containerPort": HEALTH_PORT}],
        "livenessProbe": probe("health", "/healthz", 10, 3),
        "readinessProbe": probe("health", "/readyz", 5, 2),
        "resources": {"requests": {"cpu": "20m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}},
    }
