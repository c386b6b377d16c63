"""The front desk of a gateway on a cluster: two pods, of which one is active by a Lease, and what they may and know.

Pure. Called by `plan.gateway`. They get the gateway and their secrets as mounted files, so that they need no right to
read Secrets; their rights are the accounts of their namespace, and their own Lease.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ponton_operator.plan.environment import Places, front_desk_environment
from ponton_operator.plan.manifests_base import (
    Component,
    Manifest,
    build,
    fingerprint,
    labels,
    restricted_container,
    restricted_pod,
    secret,
    selector,
)
from ponton_operator.resources.base import Metadata
from ponton_operator.resources.gateway import BridgeGateway, ShardTemplate
from ponton_operator.resources.network import Network
from ponton_operator.resources.running import Rollout, Scaling
from ponton_operator.resources.yamlfile import dump

REPLICAS: Final = 2
EPOCHS: Final = "epochs"  # file of the stock, see plan.desk_epochs
SECRETS: Final = "/run/ponton"  # a folder
CONFIG: Final = "/etc/ponton"
GATEWAY_FILE: Final = "gateway.yaml"
HEALTH_PORT: Final = 9090
REVISION: Final = "ponton.im/revision"  # annotation of the pods: they start anew when it changes
_GRACE: Final = 30  # seconds to answer what came in
_RBAC: Final = "rbac.authorization.k8s.io"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator's installation says: image of the control plane, how it is pulled, ClusterRole of the doors."""

    image: str
    role: str = "ponton-frontdesk"
    pull_policy: str = "IfNotPresent"
    priority_class: str = ""


def name_of(gateway: BridgeGateway) -> str:
    """Give the name that all objects of the front desk have, its Lease too.

    A gateway `wa` has the front desk `wa-frontdesk`.
    """
    return f"{gateway.metadata.name}-frontdesk"


def front_desk(gateway: BridgeGateway, settings: Settings, told: Mapping[str, str]) -> list[Manifest]:
    """Make all objects of the front desk; `told` gives the secret files by name, the stock of epochs among them."""
    name, component = name_of(gateway), Component.FRONT_DESK
    config = {GATEWAY_FILE: gateway_file(gateway)}
    lasting = {key: text for key, text in told.items() if key != EPOCHS}
    revision = fingerprint([config, lasting])
    return [
        build(gateway, "ServiceAccount", "v1", name, component, {"automountServiceAccountToken": False}),
        build(gateway, "Lease", "coordination.k8s.io/v1", name, component, {}),
        *_rights(gateway, settings),
        build(gateway, "ConfigMap", "v1", name, component, {"data": config}),
        secret(gateway, name, component, told),
        build(gateway, "PodDisruptionBudget", "policy/v1", name, component, {"spec": _budget(gateway)}),
        build(
            gateway, "Deployment", "apps/v1", name, component, {"spec": _deployment(gateway, settings, told, revision)}
        ),
    ]


def gateway_file(gateway: BridgeGateway) -> str:
    """Write the gateway as the doors need it: what concerns shards alone is left out, and starts no door anew."""
    shards: dict[str, Any] = {
        "shard": ShardTemplate(log_level=gateway.spec.shard.log_level),
        "scaling": Scaling(),
        "rollout": Rollout(),
        "network": Network(),
    }
    metadata = Metadata(name=gateway.metadata.name, namespace=gateway.metadata.namespace)
    return dump(BridgeGateway(metadata=metadata, spec=gateway.spec.model_copy(update=shards)))


# ---- inside ------------------------------------------------------------------------------------------------------


def _rights(gateway: BridgeGateway, settings: Settings) -> list[Manifest]:
    name, component = name_of(gateway), Component.FRONT_DESK
    lease = {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "resourceNames": [name],
        "verbs": ["get", "update"],
    }
    return [
        build(gateway, "Role", f"{_RBAC}/v1", name, component, {"rules": [lease]}),
        build(gateway, "RoleBinding", f"{_RBAC}/v1", name, component, _binding(gateway, "Role", name)),
        build(
            gateway,
            "RoleBinding",
            f"{_RBAC}/v1",
            f"{name}-accounts",
            component,
            _binding(gateway, "ClusterRole", settings.role),
        ),
    ]


def _binding(gateway: BridgeGateway, kind: str, role: str) -> dict[str, Any]:
    subject = {"kind": "ServiceAccount", "name": name_of(gateway), "namespace": gateway.metadata.namespace}
    return {"roleRef": {"apiGroup": _RBAC, "kind": kind, "name": role}, "subjects": [subject]}


def _budget(gateway: BridgeGateway) -> dict[str, Any]:
    return {"maxUnavailable": 1, "selector": selector(gateway, Component.FRONT_DESK)}


def _deployment(gateway: BridgeGateway, settings: Settings, told: Mapping[str, str], revision: str) -> dict[str, Any]:
    template = {
        "metadata": {
            "labels": labels(gateway, Component.FRONT_DESK),
            "annotations": {REVISION: revision},
        },
        "spec": _pod(gateway, settings, told),
    }
    return {
        "replicas": REPLICAS,
        "revisionHistoryLimit": 2,
        "selector": selector(gateway, Component.FRONT_DESK),
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": template,
    }


def _pod(gateway: BridgeGateway, settings: Settings, told: Mapping[str, str]) -> dict[str, Any]:
    name = name_of(gateway)
    apart = {
        "weight": 100,
        "podAffinityTerm": {
            "labelSelector": selector(gateway, Component.FRONT_DESK),
            "topologyKey": "kubernetes.io/hostname",
        },
    }
    pod: dict[str, Any] = {
        "serviceAccountName": name,
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _GRACE,
        "securityContext": restricted_pod(),
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [apart]}},
        "containers": [_container(gateway, settings, told)],
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


def _container(gateway: BridgeGateway, settings: Settings, told: Mapping[str, str]) -> dict[str, Any]:
    places = Places("", SECRETS, f"{SECRETS}/xmpp-ca.pem" if "xmpp-ca.pem" in told else "")
    local = {
        "PONTON_CLUSTER": "1",
        "PONTON_GATEWAY_FILE": f"{CONFIG}/{GATEWAY_FILE}",
        "PONTON_LEASE": name_of(gateway),
    }
    said = front_desk_environment(gateway, 0, "", places, local)
    fields = {
        "PONTON_NAMESPACE": "metadata.namespace",
        "PONTON_POD": "metadata.name",
        "PONTON_INSTANCE": "metadata.uid",
    }
    plain = [{"name": key, "value": value} for key, value in sorted(said.items()) if key != "PONTON_EPOCH"]
    return {
        "name": "frontdesk",
        "image": settings.image,
        "imagePullPolicy": settings.pull_policy,
        "args": ["frontdesk"],
        "env": plain + [{"name": key, "valueFrom": {"fieldRef": {"fieldPath": path}}} for key, path in fields.items()],
        "ports": [{"name": "health", "containerPort": HEALTH_PORT}],
        "livenessProbe": _probe("/healthz", 10, 3),
        "readinessProbe": _probe("/readyz", 5, 2),
        "resources": {"requests": {"cpu": "20m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": restricted_container(),
        "volumeMounts": [
            {"name": "secrets", "mountPath": SECRETS, "readOnly": True},
            {"name": "config", "mountPath": CONFIG, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  # an emptyDir of the pod's own
        ],
    }


def _probe(path: str, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "health"},
        "periodSeconds": period,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
    }
