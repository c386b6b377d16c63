"""The chart on a real API server: all objects are taken, the notes can be followed, rights are what the programs need.

Nothing runs here: the server has no node. What the pods do is tried where there is one.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ponton_operator.resources.account import FINALIZER
from tests.cluster.chart_kit import CHART, EVERYTHING, RELEASE, Object, Refused, definitions, helm
from tests.cluster.reach import Cluster

# What the server knows: without the Prometheus operator's kinds.
VALUES: dict[str, Any] = {**EVERYTHING, "namespaces": [], "metrics": {"dashboard": {"create": True}}}
FULL = f"{RELEASE}-ponton"


class Installed:
    """One release in a namespace of its own."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace
        self.notes = ""
        self.values = VALUES

    def helm(self, *line: str, values: dict[str, Any] | None = None) -> str:
        """Run Helm against the cluster."""
        return helm(*line, f"--kubeconfig={self.cluster.kubeconfig}", "--namespace", self.namespace, values=values)

    def may(self, who: str, verb: str, what: str, namespace: str) -> bool:
        """Whether a service account of the release may do something; `what` may be resource/subresource."""
        resource, _, part = what.partition("/")
        account = f"--as=system:serviceaccount:{self.namespace}:{FULL}-{who}"
        line = [verb, resource, *([f"--subresource={part}"] if part else []), account, "-n", namespace]
        try:
            return "yes" in self.cluster.kubectl("auth", "can-i", *line)
        except subprocess.CalledProcessError as error:
            if "no" not in error.output:
                raise
            return False  # kubectl ends with 1 for no


@pytest.fixture(scope="module")
def installed(api_cluster: Cluster) -> Iterator[Installed]:
    """The chart with all that the server knows."""
    with api_cluster.namespace() as namespace:
        made = Installed(api_cluster, namespace)
        # The Job that makes the sandbox's gateway needs a node: here its program is run without one.
        made.values = VALUES | definitions(api_cluster)
        made.notes = made.helm("install", RELEASE, str(CHART), "--no-hooks", values=made.values)
        yield made
        made.helm("uninstall", RELEASE, "--no-hooks")


def notes_of(installed: Installed, values: dict[str, Any]) -> str:
    """Give what a host would be told."""
    return installed.helm(
        "install", "other", str(CHART), "--dry-run=server", "--set", "crds.install=false", values=values
    )


def yaml_of(notes: str) -> Object:
    """Give the resource that the notes tell the host to apply."""
    found: Object = yaml.safe_load(notes.rpartition("<<'YAML'\n")[2].partition("\n  YAML")[0])
    return found


def test_the_server_takes_everything(installed: Installed) -> None:
    """Objects of every kind that it has."""
    assert "deployed" in installed.helm("status", RELEASE)


def test_the_restricted_level_refuses_no_pod(installed: Installed) -> None:
    """The namespace enforces it: no workload has an event that a pod was forbidden."""
    events = installed.cluster.get("events", "-n", installed.namespace)["items"]
    assert not [one["message"] for one in events if "forbidden" in one.get("message", "")]


def test_the_program_of_the_job_makes_the_gateway_and_changes_it(installed: Installed, tmp_path: Path) -> None:
    """As often as the chart is installed or upgraded; the gateway stays the same object."""
    file = tmp_path / "gateway.json"
    seen: list[tuple[str, int]] = []
    for most in (100, 100, 50):
        found = installed.cluster.get("configmap", f"{FULL}-sandbox-gateway", "-n", installed.namespace)
        gateway = json.loads(found["data"]["gateway.json"])
        gateway["spec"]["accounts"]["max"] = most
        file.write_text(json.dumps(gateway))
        subprocess.run(
            [sys.executable, "-m", "ponton_bridge.cli", "crds", "--wait=60", f"--apply={file}"],
            env={"PATH": os.environ["PATH"], "KUBECONFIG": str(installed.cluster.kubeconfig)},
            check=True,
        )
        (made,) = installed.cluster.get("bridgegateways", "-n", installed.namespace)["items"]
        assert most == made["spec"]["accounts"]["max"]
        seen.append((made["metadata"]["uid"], made["metadata"]["generation"]))
    assert [(seen[0][0], 1), (seen[0][0], 1), (seen[0][0], 2)] == seen


def test_an_upgrade_keeps_the_secrets(installed: Installed) -> None:
    """They are random, and made once."""

    def secret() -> Object:
        found: Object = installed.cluster.get("secret", f"{FULL}-redis", "-n", installed.namespace)["data"]
        return found

    before = secret()
    installed.helm("upgrade", RELEASE, str(CHART), "--no-hooks", values=installed.values)
    assert before == secret()


def test_the_notes_can_be_followed(installed: Installed) -> None:
    """What they tell a host to apply is taken: an account with the sandbox, a gateway without."""
    account = yaml_of(installed.notes)
    gateway = yaml_of(notes_of(installed, {"redis": {"enabled": True}, "prosody": {"enabled": True}}))
    assert ("BridgeAccount", "BridgeGateway") == (account["kind"], gateway["kind"])
    for made in (account, gateway):
        line = ("apply", "--dry-run=server", "-n", installed.namespace, "-f", "-")
        assert "created" in installed.cluster.kubectl(*line, text=json.dumps(made))
    assert "docs/kubernetes.md" in notes_of(installed, {})
    assert "No network policies" in notes_of(installed, {"networkPolicies": {"create": False}})


@pytest.mark.parametrize(
    ("who", "verb", "what"),
    [
        ("accounts", "create", "pods"),
        ("accounts", "create", "secrets"),
        ("accounts", "watch", "bridgeaccounts.ponton.im"),
        ("accounts", "patch", "bridgeaccounts.ponton.im/status"),
        ("gateways", "patch", "networkpolicies.networking.k8s.io"),
        ("gateways", "create", "rolebindings.rbac.authorization.k8s.io"),
        ("scaler", "patch", "pods/resize"),
        ("scaler", "patch", "bridgeaccounts.ponton.im/status"),
    ],
)
def test_an_operator_may_do_its_work(installed: Installed, who: str, verb: str, what: str) -> None:
    """In its namespace, and in no other one."""
    assert installed.may(who, verb, what, installed.namespace)
    assert not installed.may(who, verb, what, "kube-system")


@pytest.mark.parametrize(
    ("who", "verb", "what"),
    [
        ("accounts", "list", "secrets"),
        ("accounts", "delete", "bridgeaccounts.ponton.im"),
        ("accounts", "create", "pods/exec"),
        ("gateways", "create", "pods"),
        ("gateways", "patch", "bridgeaccounts.ponton.im"),
        ("scaler", "delete", "pods"),
        ("scaler", "list", "secrets"),
        ("scaler", "patch", "bridgeaccounts.ponton.im"),
    ],
)
def test_an_operator_may_not_do_the_work_of_others(installed: Installed, who: str, verb: str, what: str) -> None:
    """Rights are cut for each program."""
    assert not installed.may(who, verb, what, installed.namespace)


def test_the_gateways_operator_binds_the_one_role_of_front_desks(installed: Installed) -> None:
    """And cannot give anybody more, itself included."""
    account = f"system:serviceaccount:{installed.namespace}:{FULL}-gateways"

    def bind(role: str) -> str:
        who = {"kind": "ServiceAccount", "name": "default", "namespace": installed.namespace}
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "probe", "namespace": installed.namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [who],
        }
        line = ("create", "--dry-run=server", f"--as={account}", "-f", "-")
        return installed.cluster.kubectl(*line, text=json.dumps(binding))

    assert "created" in bind(f"{installed.namespace}-{FULL}-frontdesk")
    with pytest.raises(subprocess.CalledProcessError, match="forbidden"):
        bind("cluster-admin")


def test_a_wrong_value_is_refused_before_anything_is_made(installed: Installed) -> None:
    """By the schema, in the host's own terms."""
    with pytest.raises(Refused, match="additional properties 'enable' not allowed"):
        installed.helm("upgrade", RELEASE, str(CHART), values={"redis": {"enable": True}})


def test_a_namespace_whose_operators_are_gone_can_be_removed(installed: Installed) -> None:
    """By what the host's guide says: accounts wait for somebody to unlink them until their finalizers are off."""
    patch = '{"metadata":{"finalizers":null}}'
    assert f"--type=merge -p '{patch}'" in (CHART.parents[1] / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    cluster = installed.cluster
    with cluster.namespace() as name:
        account = yaml_of(installed.notes)
        account["metadata"] |= {"namespace": name, "finalizers": [FINALIZER]}
        cluster.apply(account)
        cluster.kubectl("delete", "namespace", name, "--wait=false")
        for found in cluster.kubectl("get", "bridgeaccounts", "-n", name, "-o", "name").split():
            cluster.kubectl("patch", "-n", name, found, "--type=merge", "-p", patch)
        cluster.kubectl("wait", "--for=delete", f"namespace/{name}", "--timeout=60s")
