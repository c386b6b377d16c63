"""The portal of a gateway on a cluster: as many pods as the scaler wants, a Service before them, and what they know.

Pure. Called by `plan.gateway`. All pods serve at the same time: what they keep is in Redis, and each sees the accounts
of the namespace by itself.
"""

from collections.abc import Mapping
from typing import Any, Final

from ponton_bridge.model.errors import HostError
from ponton_operator.plan.environment import Places, portal_environment
from ponton_operator.plan.manifests_base import Component, Manifest, build, fingerprint, secret, selector
from ponton_operator.plan.manifests_door import (
    CONFIG,
    GATEWAY_FILE,
    HEALTH_PORT,
    SECRETS,
    DoorPods,
    Settings,
    deployment,
    door_name,
    gateway_file,
    probe,
    standing,
    variables,
)
from ponton_operator.plan.portal_scaling import within
from ponton_operator.resources.gateway import BridgeGateway, Portal

SERVICE_PORT: Final = 80  # TLS is the business of who is before it
PORT_TAKEN: Final = f"spec.selfservice.portal.port is {HEALTH_PORT}, where the metrics are: choose another one."
_PORTAL: Final = Component.PORTAL


class PortTaken(HostError):
    """The port of the pages is that of the health view."""


def portal(gateway: BridgeGateway, settings: Settings, told: Mapping[str, str]) -> list[Manifest]:
    """Make all objects of the portal, none without one; `told` gives the secret files by name. Raises PortTaken."""
    spec = gateway.spec.selfservice.portal
    if spec is None:
        return []
    if spec.port == HEALTH_PORT:
        raise PortTaken(PORT_TAKEN)
    name = door_name(gateway, _PORTAL)
    # How many there are starts none of them anew.
    lasting = spec.model_copy(update={"min_replicas": 1, "max_replicas": 1})
    config = {GATEWAY_FILE: gateway_file(gateway, gateway.spec.selfservice.model_copy(update={"portal": lasting}))}
    spread = {
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": selector(gateway, _PORTAL),
            }
        ]
    }
    pods = DoorPods(
        _PORTAL, within(spec, gateway.status.portal), _container(gateway, spec), spread, fingerprint([config, told])
    )
    ports = [{"name": "http", "port": SERVICE_PORT, "targetPort": "http"}]
    service = {"selector": selector(gateway, _PORTAL)["matchLabels"], "ports": ports}
    return [
        *standing(gateway, _PORTAL, settings),
        build(gateway, "ConfigMap", "v1", name, _PORTAL, {"data": config}),
        secret(gateway, name, _PORTAL, told),
        build(gateway, "Service", "v1", name, _PORTAL, {"spec": service}),
        deployment(gateway, settings, pods),
    ]


def _container(gateway: BridgeGateway, spec: Portal) -> dict[str, Any]:
    local = {
        "PONTON_CLUSTER": "1",
        "PONTON_GATEWAY_FILE": f"{CONFIG}/{GATEWAY_FILE}",
        "PONTON_LISTEN": "0.0.0.0",  # noqa: S104  # of its pod, which the network policy guards
        "PONTON_METRICS_PORT": str(HEALTH_PORT),
    }
    told = portal_environment(gateway, 0, "", Places("", SECRETS), local)
    return {
        "name": "portal",
        "args": ["portal"],
        "env": variables(told, {"PONTON_INSTANCE": "metadata.uid"}),
        "ports": [{"name": "http", "containerPort": spec.port}, {"name": "metrics", "containerPort": HEALTH_PORT}],
        "livenessProbe": probe("metrics", "/healthz", 10, 3),
        "readinessProbe": probe("metrics", "/readyz", 2, 2),
        # 48 MiB, and 50 KiB for each of the pages that may stay open.
        "resources": {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}},
    }
