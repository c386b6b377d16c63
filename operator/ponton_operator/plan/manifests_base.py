"""What all Kubernetes objects of a gateway share: labels, owner, a hash to compare by, the restricted pod.

Pure. Called by the neighbouring builders of manifests and by `plan.gateway`. An object is a plain dict, as JSON has it.
"""

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from ponton_operator.resources.base import API_VERSION
from ponton_operator.resources.gateway import KIND, BridgeGateway

Manifest = dict[str, Any]

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
COMPONENT: Final = "app.kubernetes.io/component"
GATEWAY: Final = "ponton.im/gateway"
HASH: Final = (
    "ponton.im/hash"  # annotation: the fingerprint of the object as it was made, so that at rest none is written
)
MANAGER: Final = "ponton"
USER: Final = 65532  # uid and gid in our images: nobody's, by the convention of distroless images
_HASH_CHARS: Final = 32  # hex digits, 128 bits: two versions of an object never look the same


class Component(StrEnum):
    """What an object belongs to; the gateways operator makes, changes and removes those of OURS only."""

    SHARD = "shard"
    FRONT_DESK = "frontdesk"
    PORTAL = "portal"
    NETWORK = "network"
    PROSODY = "prosody-config"


OURS: Final = (Component.FRONT_DESK, Component.PORTAL, Component.NETWORK, Component.PROSODY)


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Kind and name of an object in the gateway's namespace."""

    kind: str
    name: str


def key_of(manifest: Manifest) -> Key:
    """Give the key of an object."""
    return Key(manifest["kind"], manifest["metadata"]["name"])


def labels(gateway: BridgeGateway, component: Component) -> dict[str, str]:
    """Give the labels of an object of the gateway."""
    return {MANAGED_BY: MANAGER, COMPONENT: component.value, GATEWAY: gateway.metadata.name}


def selector(gateway: BridgeGateway, component: Component) -> dict[str, Any]:
    """Select the pods of a component of the gateway."""
    return {"matchLabels": {COMPONENT: component.value, GATEWAY: gateway.metadata.name}}


def build(
    gateway: BridgeGateway, kind: str, api_version: str, name: str, component: Component, rest: Mapping[str, Any]
) -> Manifest:
    """Make an object of the gateway: it goes with the gateway, and carries the hash of all that it is made of."""
    metadata = {
        "name": name,
        "namespace": gateway.metadata.namespace,
        "labels": labels(gateway, component),
        "ownerReferences": [owner(gateway)],
    }
    manifest = {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}
    return manifest | {"metadata": metadata | {"annotations": {HASH: fingerprint(manifest)}}}


def secret(gateway: BridgeGateway, name: str, component: Component, texts: Mapping[str, str]) -> Manifest:
    """Make a Secret that holds these texts by key."""
    data = {key: b64encode(text.encode()).decode() for key, text in texts.items()}
    return build(gateway, "Secret", "v1", name, component, {"type": "Opaque", "data": data})


def decoded(secret: Manifest, key: str) -> str:
    """Read a text of a Secret, '' when it is not there or is no text."""
    try:
        return b64decode((secret.get("data") or {}).get(key) or "", validate=True).decode()
    except ValueError:
        return ""


def owner(gateway: BridgeGateway) -> dict[str, Any]:
    """Give the reference by which the cluster removes an object with its gateway, without holding up the gateway."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": gateway.metadata.name,
        "uid": gateway.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def fingerprint(value: object) -> str:
    """Give the hash of anything that JSON can say.

    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_CHARS]


def restricted_pod() -> dict[str, Any]:
    """Give the security context of a pod under the Pod Security level restricted."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def restricted_container() -> dict[str, Any]:
    """Give the security context of a container: no rights, and nothing to write to but its volumes."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
