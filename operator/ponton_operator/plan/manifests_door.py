"""What front desk and portal have in common on a cluster: what they mount and may, and how their pods are kept.

Pure. Called by `manifests_desk` and `manifests_portal`. Doors get the gateway and their secrets as mounted files, so
that they need no right to read Secrets; their rights are the accounts of their namespace.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ponton_operator.plan.manifests_base import (
    Component,
    Manifest,
    build,
    labels,
    restricted_container,
    restricted_pod,
    selector,
)
from ponton_operator.resources.base import Metadata
from ponton_operator.resources.gateway import BridgeGateway, SelfService, ShardTemplate
from ponton_operator.resources.network import Network
from ponton_operator.resources.running import Rollout, Scaling
from ponton_operator.resources.yamlfile import dump

SECRETS: Final = "/run/ponton"  # a folder
CONFIG: Final = "/etc/ponton"
GATEWAY_FILE: Final = "gateway.yaml"
HEALTH_PORT: Final = 9090
REVISION: Final = "ponton.im/revision"  # annotation of the pods: they start anew when it changes
RBAC: Final = "rbac.authorization.k8s.io"
_GRACE: Final = 30  # seconds to answer what came in


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator's installation says: image of the control plane, how it is pulled, ClusterRole of the doors."""

    image: str
    role: str = "ponton-frontdesk"
    pull_policy: str = "IfNotPresent"
    priority_class: str = ""


@dataclass(frozen=True, slots=True)
class DoorPods:
    """Of one door: how many pods, what its container is besides `shell`, how pods are spread, and their revision."""

    component: Component
    replicas: int
    container: Mapping[str, Any]
    spread: Mapping[str, Any]
    revision: str


def door_name(gateway: BridgeGateway, component: Component) -> str:
    """Give the name that all objects of a door have. A gateway `wa` has the front desk `wa-frontdesk`."""
    return f"{gateway.metadata.name}-{component}"


def gateway_file(gateway: BridgeGateway, selfservice: SelfService) -> str:
    """Write the gateway as a door needs it: what concerns others alone is left out, and starts no door anew."""
    rest: dict[str, Any] = {
        "shard": ShardTemplate(log_level=gateway.spec.shard.log_level),
        "selfservice": selfservice,
        "scaling": Scaling(),
        "rollout": Rollout(),
        "network": Network(),
    }
    metadata = Metadata(name=gateway.metadata.name, namespace=gateway.metadata.namespace)
    return dump(BridgeGateway(metadata=metadata, spec=gateway.spec.model_copy(update=rest)))


def standing(gateway: BridgeGateway, component: Component, settings: Settings) -> list[Manifest]:
    """Make who a door is, what it may do with accounts, and how many of its pods a drain may take at once."""
    name = door_name(gateway, component)
    budget = {"maxUnavailable": 1, "selector": selector(gateway, component)}
    return [
        build(gateway, "ServiceAccount", "v1", name, component, {"automountServiceAccountToken": False}),
        bind(gateway, component, f"{name}-accounts", "ClusterRole", settings.role),
        build(gateway, "PodDisruptionBudget", "policy/v1", name, component, {"spec": budget}),
    ]


def bind(gateway: BridgeGateway, component: Component, name: str, kind: str, role: str) -> Manifest:
    """Give a door a role."""
    subject = {
        "kind": "ServiceAccount",
        "name": door_name(gateway, component),
        "namespace": gateway.metadata.namespace,
    }
    said = {"roleRef": {"apiGroup": RBAC, "kind": kind, "name": role}, "subjects": [subject]}
    return build(gateway, "RoleBinding", f"{RBAC}/v1", name, component, said)


def deployment(gateway: BridgeGateway, settings: Settings, pods: DoorPods) -> Manifest:
    """Make the Deployment of a door."""
    chosen = selector(gateway, pods.component)
    meta = {"labels": labels(gateway, pods.component), "annotations": {REVISION: pods.revision}}
    spec = {
        "replicas": pods.replicas,
        "revisionHistoryLimit": 2,
        "selector": chosen,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {"metadata": meta, "spec": _pod(gateway, settings, pods)},
    }
    name = door_name(gateway, pods.component)
    return build(gateway, "Deployment", "apps/v1", name, pods.component, {"spec": spec})


def variables(said: Mapping[str, str], fields: Mapping[str, str]) -> list[dict[str, Any]]:
    """Give the environment of a container: what is said, and fields of the pod by their path. A pod has no epoch."""
    plain = [{"name": key, "value": value} for key, value in sorted(said.items()) if key != "PONTON_EPOCH"]
    return plain + [{"name": key, "valueFrom": {"fieldRef": {"fieldPath": path}}} for key, path in fields.items()]


def probe(port: str, path: str, period: int, failures: int) -> dict[str, Any]:
    """Give a probe of the program's health view."""
    return {
        "httpGet": {"path": path, "port": port},
        "periodSeconds": period,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
    }


# ---- inside ------------------------------------------------------------------------------------------------------


def _pod(gateway: BridgeGateway, settings: Settings, pods: DoorPods) -> dict[str, Any]:
    name = door_name(gateway, pods.component)
    shell = {
        "image": settings.image,
        "imagePullPolicy": settings.pull_policy,
        "securityContext": restricted_container(),
        "volumeMounts": [
            {"name": "secrets", "mountPath": SECRETS, "readOnly": True},
            {"name": "config", "mountPath": CONFIG, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  # an emptyDir of the pod's own
        ],
    }
    pod: dict[str, Any] = {
        "serviceAccountName": name,
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _GRACE,
        "securityContext": restricted_pod(),
        **pods.spread,
        "containers": [{**pods.container, **shell}],
        "volumes": [
            {"name": "secrets", "secret": {"secretName": name, "defaultMode": 0o440}},
            {"name": "config", "configMap": {"name": name}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}},
        ],
    }
    if pulls := gateway.spec.shard.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": pull} for pull in pulls]
    if settings.priority_class:
        pod["priorityClassName"] = settings.priority_class
    return pod
