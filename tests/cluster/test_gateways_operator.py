"""The gateways operator's program on a real API server, with the rights of its page: what it makes, what it costs."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ponton_operator.plan.gateway import Apply, plan_gateway
from ponton_operator.resources.gateway import BridgeGateway
from tests.cluster.operator_kit import DOORS, SECONDS, Bed, Program, bed, rights
from tests.cluster.reach import Cluster, until
from tests.harness.redis import free_port
from tests.unit.gateway_world import INSTALLATION, NOW, SPEC, observed

KINDS = "deploy,service,lease,role,rolebinding,configmap,secret,networkpolicy,pdb,serviceaccount"
MADE = 13  # objects of one gateway
OF_PAGE = 8  # and of its portal
PAGE: dict[str, Any] = {"portal": {"url": "https://example.org"}}
XMPP: dict[str, Any] = {"xmpp": {"host": "192.0.2.10"}}  # a server that a pod could reach
IMAGE = "ponton-operator:test"
# What the front desk may and may not, as kubectl asks for it.
ALLOWED: list[tuple[str, ...]] = [
    ("create", "bridgeaccounts.ponton.im"),
    ("patch", "bridgeaccounts.ponton.im"),
    ("watch", "bridgeaccounts.ponton.im"),
    ("update", "lease/wa-frontdesk"),
    ("get", "lease/wa-frontdesk"),
]
FORBIDDEN: list[tuple[str, ...]] = [
    ("get", "secrets"),
    ("get", "lease/ponton-operator-gateways"),
    ("create", "leases"),
    ("create", "pods"),
    ("patch", "bridgeaccounts.ponton.im", "--subresource=status"),
    ("get", "bridgegateways.ponton.im"),
    ("patch", "deployments"),
    ("get", "configmaps"),
]
# Specs whose objects a real API server has to take; each part of a builder is in one of them.
SPECS: list[dict[str, Any]] = [
    {},
    {"selfservice": {"frontDesk": False}},
    {"shard": {"egress": {"proxy": "http://proxy.example:3128"}, "upload": {"host": "up.example"}}},
    {"shard": {"imagePullSecrets": ["pull"]}, "xmpp": {"host": "2001:db8::7"}},
    {"selfservice": {"portal": {"url": "https://example.org/wa", "minReplicas": 3}}},
    {
        "selfservice": {"portal": {"url": "https://example.org"}},
        "network": {"visitors": {"namespaceLabels": {"kubernetes.io/metadata.name": "ingress"}}},
    },
    {"network": {"blocked": ["203.0.113.0/24", "2001:67c::/32", "0.0.0.0/0"]}},
    {
        "network": {
            "xmpp": {"podLabels": {"app": "prosody"}, "namespaceLabels": {"kubernetes.io/metadata.name": "xmpp"}},
            "redis": {"podLabels": {"app": "redis"}},
            "dns": {"cidr": "169.254.20.10/32"},
            "apiServer": {"cidr": "10.96.0.1/32"},
        }
    },
]


@pytest.fixture
def place(api_cluster: Cluster, tmp_path: Path) -> Iterator[Bed]:
    """A namespace with the operator's rights, and the ClusterRole that it may bind, from the page as well."""
    rules, _ = rights("The front desk on a cluster")
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": DOORS}}
    with api_cluster.namespace() as namespace, bed(api_cluster, namespace, tmp_path, "gateways") as made:
        api_cluster.apply(role | {"rules": rules})
        yield made
        api_cluster.kubectl("delete", "clusterrole", DOORS)


@pytest.fixture
def operator(place: Bed) -> Iterator[Program]:
    """The operator, at work; Redis and Prosody are away."""
    with place.operator(PONTON_OPERATOR_IMAGE=IMAGE) as program:
        yield program


def made(place: Bed) -> list[str]:
    """Give kind and name of everything that was made for the gateway."""
    selector = "app.kubernetes.io/managed-by=ponton,ponton.im/gateway=wa"
    items = place.cluster.get(KINDS, "-n", place.namespace, "-l", selector)["items"]
    return sorted(f"{item['kind']}/{item['metadata']['name']}" for item in items)


def reason(place: Bed, kind: str) -> str:
    """Give the reason of a condition of the gateway, '' when it is not listed."""
    status = place.cluster.get("bg", "wa", "-n", place.namespace).get("status") or {}
    return next((c["reason"] for c in status.get("conditions", []) if c["type"] == kind), "")


def writes(place: Bed) -> list[str]:
    """Give what the operator wrote besides its Lease."""
    return [
        f"{call.verb} {call.resource}"
        for call in place.calls()
        if call.verb not in {"get", "list", "watch"} and call.name != "ponton-operator-gateways"
    ]


def test_a_gateway_from_the_first_to_the_last(place: Bed, operator: Program) -> None:
    """All objects are taken by the server, at rest nothing is written, and everything goes with the gateway."""
    place.gateway(free_port(), free_port(), **XMPP)
    until("all objects", lambda: len(made(place)) == MADE, SECONDS)
    until("a condition", lambda: reason(place, "Ready") == "PartsAway", SECONDS)
    assert 0 == operator.said("object_refused")
    before = writes(place)
    looks = [call for call in place.calls() if (call.verb, call.resource) == ("list", "networkpolicies")]

    def looked() -> bool:
        found = [call for call in place.calls() if (call.verb, call.resource) == ("list", "networkpolicies")]
        return len(found) >= len(looks) + 3

    until("three more looks", looked, SECONDS)
    assert before == writes(place)
    place.cluster.kubectl("delete", "bg", "wa", "-n", place.namespace)
    until("nothing left", lambda: not made(place), SECONDS)


def test_a_change_reaches_the_policies(place: Bed, operator: Program) -> None:
    """What the host blocks is left out on the server, and what is not wanted any more is removed."""
    place.gateway(free_port(), free_port(), **XMPP)
    until("all objects", lambda: len(made(place)) == MADE, SECONDS)
    place.gateway(free_port(), free_port(), **XMPP, network={"blocked": ["203.0.113.0/24"]})

    def blocked() -> bool:
        found = place.cluster.get("networkpolicy", "wa-shards", "-n", place.namespace)
        return "203.0.113.0/24" in json.dumps(found["spec"])

    until("the range in the policy", blocked, SECONDS)
    place.gateway(free_port(), free_port(), **XMPP, network={"policies": False}, selfservice={"frontDesk": False})
    left = ["ConfigMap/wa-prosody-module", "Secret/wa-prosody"]
    until("only Prosody's half", lambda: made(place) == left, SECONDS)
    assert 0 == operator.said("object_refused")


def may(place: Bed, door: str, *what: str) -> bool:
    """Whether a door may do something, as kubectl asks for it."""
    user = f"--as=system:serviceaccount:{place.namespace}:wa-{door}"
    try:
        return "yes" in place.cluster.kubectl("auth", "can-i", *what, user, "-n", place.namespace)
    except subprocess.CalledProcessError:  # how kubectl says no
        return False


def test_the_doors_may_what_they_need(place: Bed, operator: Program) -> None:
    """Their accounts, and the front desk its own Lease; no Secret, no other Lease, nothing that runs."""
    place.gateway(free_port(), free_port(), **XMPP, selfservice=PAGE)
    until("all objects", lambda: len(made(place)) == MADE + OF_PAGE, SECONDS)
    assert [] == [what for what in ALLOWED if not may(place, "frontdesk", *what)]
    assert [] == [what for what in FORBIDDEN if may(place, "frontdesk", *what)]
    lease = [what for what in ALLOWED if "lease" in what[1]]
    assert [] == [what for what in ALLOWED if what not in lease and not may(place, "portal", *what)]
    assert [] == [what for what in FORBIDDEN + lease if may(place, "portal", *what)]
    assert 0 == operator.said("object_refused")


def test_a_portal_that_is_switched_off_goes(place: Bed, operator: Program) -> None:
    """With all that was made for it, and what it was is said until then; the rest stays."""
    place.gateway(free_port(), free_port(), **XMPP, selfservice=PAGE)
    until("all objects", lambda: len(made(place)) == MADE + OF_PAGE, SECONDS)
    until("the condition", lambda: reason(place, "PortalRunning") == "NotRunning", SECONDS)
    place.gateway(free_port(), free_port(), **XMPP)
    until("nothing of the portal", lambda: len(made(place)) == MADE, SECONDS)
    assert [] == [name for name in made(place) if "portal" in name]
    until("the condition", lambda: reason(place, "PortalRunning") == "SwitchedOff", SECONDS)
    assert 0 == operator.said("object_refused")


@pytest.mark.parametrize("spec", SPECS)
def test_a_server_takes_all_that_is_planned(place: Bed, spec: dict[str, Any]) -> None:
    """Each object of each kind of gateway passes the server's own checks, Pod Security among them."""
    metadata = {"name": "wa", "namespace": place.namespace, "uid": "11111111-1111-1111-1111-111111111111"}
    gateway = BridgeGateway.model_validate({"metadata": metadata, "spec": SPEC | spec})
    actions = plan_gateway(gateway, observed(), INSTALLATION, NOW)
    manifests = [action.manifest for action in actions if isinstance(action, Apply)]
    assert manifests
    whole = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
    said = place.cluster.kubectl("apply", "--dry-run=server", "--server-side", "-f", "-", text=whole)
    assert len(manifests) == len(said.splitlines())
    assert "Warning" not in said
