"""The objects of one shard on a cluster: its pod, its Secret, the claim for its store. Pure; plain dicts of the API.

Called by `cluster.kube_shards` at each start. No name, label or annotation holds an address: all come from the
account's opaque name. A pod's name holds its epoch, so that making it twice is making it once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ponton_bridge.store.opening import LOCK
from ponton_operator.plan.environment import Places, shard_environment
from ponton_operator.resources.account import KIND, BridgeAccount
from ponton_operator.resources.base import API_VERSION
from ponton_operator.resources.gateway import BridgeGateway
from ponton_operator.resources.running import Tier

Obj = dict[str, Any]

GATEWAY: Final = "ponton.im/gateway"  # labels
ACCOUNT: Final = "ponton.im/account"
EPOCH: Final = "ponton.im/epoch"  # annotations of a pod
REVISION: Final = "ponton.im/revision"
TIER: Final = "ponton.im/tier"
SELECTOR: Final = "app.kubernetes.io/managed-by=ponton,app.kubernetes.io/component=shard"
CONTAINER: Final = "shard"
USER: Final = 65532  # of the images; nobody in particular
GRACE: Final = 30  # seconds between TERM and KILL; a shard drains in 20
AWAY: Final = 30  # seconds that a pod stays bound to a node that does not answer
TMP: Final = "32Mi"
STORE: Final = "/var/lib/ponton/store"
SECRETS: Final = "/run/ponton"
PULSE: Final = 30  # seconds without a pulse (there is one in 3) that count as a failure, and between two looks
STARTS: Final = 60  # seconds in which nobody asks for a pulse; the store is open after 2 on an idle node
XMPP_CA: Final = "xmpp-ca.pem"
UPLOAD_CA: Final = "upload-ca.pem"


@dataclass(frozen=True, slots=True)
class Launch:
    """One start: the account with the status that was written for this epoch, and what is run."""

    gateway: BridgeGateway
    account: BridgeAccount
    epoch: int
    revision: str
    image: str  # for gateways that name none


def shard_name(account: str, epoch: int) -> str:
    """Give the name of an epoch's pod and of its Secret.

    >>> shard_name("acc-25ydacuye4en3swg", 1764426000000)
    'acc-25ydacuye4en3swg-1764426000000'
    """
    return f"{account}-{epoch}"


def tier_of(gateway: BridgeGateway, account: BridgeAccount) -> Tier:
    """Give the size of an account's shard: what the scaler decided, else the first tier, else the template's."""
    tiers, scaling = gateway.spec.scaling.tiers, account.status.scaling
    if tiers:
        return next((tier for tier in tiers if scaling and tier.name == scaling.tier), tiers[0])
    size = gateway.spec.shard.resources
    return Tier(
        name="template",
        cpu_request=size.cpu_request,
        memory_request=size.memory_request,
        memory_limit=size.memory_limit,
    )


def resources_of(tier: Tier) -> Obj:
    """Give requests and limits of a tier. No limit for the CPU: it would only make a burst of messages late."""
    requests = {"cpu": tier.cpu_request, "memory": tier.memory_request}
    return {"requests": requests, "limits": {"memory": tier.memory_limit}}


def shard_pod(launch: Launch) -> Obj:
    """Give the pod of an epoch.

    Whether it serves is told by its heartbeat and its state, so it needs no readiness; that it hangs is seen by the
    time of its lock file, which a shell can tell: an exec of Python would cost more than the shard itself.
    """
    template, account = launch.gateway.spec.shard, launch.account
    name, tier = shard_name(account.metadata.name, launch.epoch), tier_of(launch.gateway, account)
    metadata = _metadata(launch, name, controller=True)
    metadata["annotations"] = {EPOCH: str(launch.epoch), REVISION: launch.revision, TIER: tier.name}
    optional = {
        "runtimeClassName": template.runtime_class_name,
        "priorityClassName": template.priority_class_name,
        "nodeSelector": dict(template.node_selector),
        "imagePullSecrets": [{"name": secret} for secret in template.image_pull_secrets],
    }
    spec = {
        "restartPolicy": "OnFailure",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "tolerations": [
            {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": AWAY}
            for key in ("not-ready", "unreachable")
        ],
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": _labels(launch, account=False)},
            }
        ],
        "containers": [_container(launch, tier)],
        "volumes": [
            {"name": "store", "persistentVolumeClaim": {"claimName": account.metadata.name}},
            {"name": "secrets", "secret": {"secretName": name, "defaultMode": 0o440}},
            {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": TMP}},
        ],
    }
    told = {key: value for key, value in optional.items() if value}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec | told}


def shard_secret(launch: Launch, files: Mapping[str, str]) -> Obj:
    """Give the Secret of an epoch: the files below /run/ponton, by name."""
    metadata = _metadata(launch, shard_name(launch.account.metadata.name, launch.epoch))
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "immutable": True,
        "stringData": dict(files),
    }


def shard_claim(launch: Launch) -> Obj:
    """Give the claim for the account's store; it outlives its pods."""
    storage = launch.gateway.spec.shard.storage
    spec: Obj = {"accessModes": [storage.access_mode], "resources": {"requests": {"storage": storage.size}}}
    if storage.storage_class_name:
        spec["storageClassName"] = storage.storage_class_name
    metadata = _metadata(launch, launch.account.metadata.name)
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


# ---- inside ----------------------------------------------------------------------------------------------------


def _container(launch: Launch, tier: Tier) -> Obj:
    template = launch.gateway.spec.shard
    tls, upload = launch.gateway.spec.xmpp.tls, template.upload
    places = Places(
        STORE,
        SECRETS,
        f"{SECRETS}/{XMPP_CA}" if tls else "",
        f"{SECRETS}/{UPLOAD_CA}" if upload and upload.ca_ref else "",
    )
    told = shard_environment(launch.gateway, launch.account, launch.epoch, "", places)
    uid = {"name": "PONTON_INSTANCE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}
    return {
        "name": CONTAINER,
        "image": template.image or launch.image,
        "imagePullPolicy": template.image_pull_policy,
        "args": ["shard"],
        "env": [*({"name": name, "value": value} for name, value in told.items()), uid],
        "livenessProbe": {
            "exec": {"command": ["sh", "-c", f'test -n "$(find {STORE}/{LOCK} -newermt "{PULSE} seconds ago")"']},
            "initialDelaySeconds": STARTS,
            "periodSeconds": PULSE,
            "timeoutSeconds": 10,
            "failureThreshold": 3,  # a node that is overloaded gets no better by restarts
        },
        "resources": resources_of(tier),
        "resizePolicy": [{"resourceName": what, "restartPolicy": "NotRequired"} for what in ("cpu", "memory")],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "store", "mountPath": STORE},
            {"name": "secrets", "mountPath": SECRETS, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  # the pod's own, in memory
        ],
    }


def _labels(launch: Launch, *, account: bool = True) -> dict[str, str]:
    labels = {
        "app.kubernetes.io/managed-by": "ponton",
        "app.kubernetes.io/component": "shard",
        GATEWAY: launch.gateway.metadata.name,
    }
    return labels | ({ACCOUNT: launch.account.metadata.name} if account else {})


def _metadata(launch: Launch, name: str, *, controller: bool = False) -> Obj:
    owner = launch.account.metadata
    reference = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": owner.name,
        "uid": owner.uid,
        "controller": controller,
        "blockOwnerDeletion": False,
    }
    return {"name": name, "namespace": owner.namespace, "labels": _labels(launch), "ownerReferences": [reference]}
