"""An operator's program on a real API server, with the rights that docs/operators.md lists and no more.

Pods have no node here, so nothing runs: a test that needs a running pod says so in its status, as a kubelet would.
"""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ponton_operator.cluster.lease import EX_TEMPFAIL
from tests.cluster.box import audit
from tests.cluster.reach import Cluster, Object, until
from tests.harness.redis import free_port

ROOT = Path(__file__).parents[2]
SECONDS = 90.0
NAME = "accounts"
RBAC = "rbac.authorization.k8s.io/v1"
DOORS = "ponton-frontdesk"  # the ClusterRole of front desks
_ROW = re.compile(r"^\| (`.*?`.*?) \| ([a-z, ]+) \|", re.MULTILINE)
_GROUPS = {
    "deployments": "apps",
    "leases": "coordination.k8s.io",
    "networkpolicies": "networking.k8s.io",
    "poddisruptionbudgets": "policy",
    "roles": "rbac.authorization.k8s.io",
    "rolebindings": "rbac.authorization.k8s.io",
    "clusterroles": "rbac.authorization.k8s.io",
}


def rights(heading: str = "The accounts operator") -> tuple[list[Object], list[Object]]:
    """Give the rules of a program as its page lists them: in a namespace, and of the cluster."""
    page = (ROOT / "docs" / "operators.md").read_text()
    part = page.split(f"## {heading}")[1].split("\n## ")[0]
    inside: list[Object] = []
    outside: list[Object] = []
    for what, verbs in _ROW.findall(part):
        for name in re.findall(r"`([a-z/]+)`", what):
            group = "ponton.im" if name.startswith("bridge") else _GROUPS.get(name, "")
            rule: Object = {"apiGroups": [group], "resources": [name], "verbs": verbs.split(", ")}
            if name == "clusterroles":
                rule["resourceNames"] = [DOORS]
            (outside if "(cluster)" in what else inside).append(rule)
    return inside, outside


@dataclass(slots=True)
class Bed:
    """A namespace that the operator `name` serves; in `home` are its service account and Lease."""

    cluster: Cluster
    namespace: str
    home: str
    folder: Path
    since: int
    name: str = NAME

    # ---- resources -------------------------------------------------------------------------------------------------

    def gateway(self, prosody: int, redis: int, **spec: Any) -> None:  # noqa: ANN401  # parts of a resource
        """Make or change the gateway and its Secret; the ports are where its servers are on loopback."""
        ref = {key: {"name": "gw", "key": key} for key in ("master", "token", "redis")}
        usual = {
            "domain": "wa.example.test",
            "xmpp": {"host": "127.0.0.1", "port": 5348},
            "prosody": {"url": f"http://127.0.0.1:{prosody}/shards", "tokenRef": ref["token"]},
            "redis": {"urlRef": ref["redis"]},
            "secrets": {"masterRef": ref["master"]},
        }
        data = {"master": "m" * 32, "token": "t" * 32, "redis": f"redis://127.0.0.1:{redis}/0"}
        self.cluster.apply(
            self.named("v1", "Secret", "gw", stringData=data),
            self.named("ponton.im/v1alpha1", "BridgeGateway", "wa", spec=usual | spec),
        )

    def account(self, name: str, owner: str = "", **spec: Any) -> Object:  # noqa: ANN401  # parts of a resource
        """Give an account as a door makes it."""
        made = self.named("ponton.im/v1alpha1", "BridgeAccount", name)
        made["metadata"]["finalizers"] = ["ponton.im/unlink"]
        return made | {"spec": {"owner": owner or f"{name}@example.test", "gatewayRef": {"name": "wa"}} | spec}

    def named(self, version: str, kind: str, name: str, **rest: object) -> Object:
        """Give an object of the namespace."""
        metadata = {"name": name, "namespace": self.namespace}
        return {"apiVersion": version, "kind": kind, "metadata": metadata, **rest}

    # ---- what is seen ----------------------------------------------------------------------------------------------

    def status(self, name: str) -> Object:
        """Give the status of an account, {} without one."""
        found = self.cluster.kubectl(
            "get", "ba", name, "-n", self.namespace, "--ignore-not-found", "-o", "json"
        )  # fmt: skip
        return dict(json.loads(found).get("status") or {}) if found else {}

    def reason(self, name: str) -> str:
        """Give its reason."""
        return str(self.status(name).get("reason", ""))

    def pods(self, name: str = "") -> list[Object]:
        """Give the pods of an account, or of all."""
        selector = f"ponton.im/account={name}" if name else "app.kubernetes.io/component=shard"
        return list(self.cluster.get("pods", "-n", self.namespace, "-l", selector)["items"])

    def names(self, kind: str) -> list[str]:
        """Give the names of what Ponton made of a kind."""
        found = self.cluster.get(kind, "-n", self.namespace, "-l", "app.kubernetes.io/managed-by=ponton")
        return sorted(item["metadata"]["name"] for item in found["items"])

    def runs(self, pod: Object) -> None:
        """Say in its status that a pod runs."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        states = [{"name": "shard", "ready": True, "restartCount": 0, "image": "i", "imageID": "i",
                   "state": {"running": {"startedAt": now}}}]  # fmt: skip
        scheduled = [{"type": "PodScheduled", "status": "True"}]
        self.say(pod, {"phase": "Running", "containerStatuses": states, "conditions": scheduled})

    def say(self, pod: Object, status: Object) -> None:
        """Write the status of a pod, as its kubelet would."""
        self.cluster.kubectl(
            "patch", "pod", pod["metadata"]["name"], "-n", self.namespace, "--subresource=status", "--type=merge", "-p",
            json.dumps({"status": status}),
        )  # fmt: skip

    def calls(self) -> list[audit.Call]:
        """Give the operator's calls so far, from the audit log of the server."""
        assert self.cluster.box
        return [call for call in audit.calls(self.cluster.box.folder.audit_log, self.since) if call.user == self.user]

    @property
    def user(self) -> str:
        """Who the operator is."""
        return f"system:serviceaccount:{self.home}:{self.name}"

    # ---- the operator ----------------------------------------------------------------------------------------------

    def grant(self) -> None:
        """Give the operator its rights in the namespace."""
        rules, _ = rights(f"The {self.name} operator")
        subject = [{"kind": "ServiceAccount", "name": self.name, "namespace": self.home}]
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": self.name}
        self.cluster.apply(
            self.named(RBAC, "Role", self.name, rules=rules),
            self.named(RBAC, "RoleBinding", self.name, roleRef=role, subjects=subject),
        )

    def revoke(self) -> None:
        """Take them away, and wait until the API server knows."""
        self.cluster.kubectl("delete", "rolebinding", self.name, "-n", self.namespace)
        until("the right is gone", lambda: not self.may("list", "pods"), 30)

    def may(self, *what: str) -> bool:
        """Whether the operator has a right in the namespace, as kubectl asks for it."""
        try:
            return "yes" in self.cluster.kubectl("auth", "can-i", *what, f"--as={self.user}", "-n", self.namespace)
        except subprocess.CalledProcessError:  # how kubectl says no
            return False

    def kubeconfig(self, server: str = "") -> Path:
        """Write a KUBECONFIG of the service account; `server` is another way to the API server, plain or with TLS."""
        token = self.cluster.kubectl("create", "token", self.name, "-n", self.home).strip()
        config = yaml.safe_load(self.cluster.kubeconfig.read_text())
        config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
        if server:
            trusted = config["clusters"][0]["cluster"] if server.startswith("https:") else {}
            config["clusters"][0]["cluster"] = trusted | {"server": server}
        path = self.folder / ("kubeconfig-way" if server else "kubeconfig")
        path.write_text(yaml.safe_dump(config))
        return path

    @contextmanager
    def operator(self, **environment: str) -> Iterator["Program"]:
        """Run the program; it is told to end at the end."""
        program = Program(self, environment)
        program.start()
        try:
            yield program
        finally:
            program.end()


class Program:
    """The operator's process, which a test may kill and start again."""

    def __init__(self, bed: Bed, environment: Mapping[str, str]) -> None:
        self.name = bed.name
        self.log = bed.folder / "operator.log"
        self._environment = {
            "PATH": os.environ["PATH"],
            "KUBECONFIG": str(bed.kubeconfig()),
            "POD_NAMESPACE": bed.home,
            "PONTON_NAMESPACES": bed.namespace,
            "PONTON_METRICS_PORT": str(free_port()),
            "PONTON_SHARD_IMAGE": "ponton-bridge:test",
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it has the Lease."""
        works = self.said("operator_works")
        self.launch()
        until("the operator works", lambda: self.keep() and self.said("operator_works") > works, SECONDS)

    def launch(self) -> None:
        """Start it."""
        with self.log.open("ab") as err:
            command = [sys.executable, "-m", "ponton_bridge.cli", "operator", self.name]
            self._process = subprocess.Popen(command, env=self._environment, stderr=err)

    def keep(self) -> bool:
        """Start it again if it lost its Lease on a starved machine, as its kubelet would; gives whether it had not."""
        lost = self._process is not None and self._process.poll() == EX_TEMPFAIL
        if lost:
            self.launch()
        return not lost

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process
        return self._process.pid

    def kill(self) -> None:
        """Kill it."""
        if self._process:
            self._process.kill()
            self._process.wait(SECONDS)

    def end(self) -> None:
        """Have it ended."""
        if self._process and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(SECONDS)

    def metrics(self) -> str:
        """Give what Prometheus would read."""
        url = f"http://127.0.0.1:{self._environment['PONTON_METRICS_PORT']}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return str(answer.read().decode())

    def let_go(self) -> int:
        """Count the accounts whose finalizer was taken off, whichever way."""
        by_name = re.findall(r'"event":"namespace_let_go".*"accounts":(\d+)', self.log.read_text())
        return self.said("account_deleted") + sum(map(int, by_name))

    def said(self, event: str) -> int:
        """Count the logged events of a name."""
        if not self.log.exists():
            return 0
        return self.log.read_text().count(f'"event":"{event}"')


def define(cluster: Cluster) -> None:
    """Give the cluster our resources, and wait until it serves them."""
    for file in sorted((ROOT / "crds").glob("*.yaml")):
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(file))
    cluster.kubectl(
        "wait", "--for=condition=Established", "crd", "bridgeaccounts.ponton.im", "bridgegateways.ponton.im"
    )


def standing(name: str, home: str, wide: str, rules: list[Object]) -> list[Object]:
    """Give an operator's service account and Lease in `home`, and rules for the whole cluster under the name `wide`."""
    lease = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]}
    subject = [{"kind": "ServiceAccount", "name": name, "namespace": home}]
    role = {"apiGroup": "rbac.authorization.k8s.io", "name": name}
    own = {"metadata": {"name": name, "namespace": home}}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", **own},
        {"apiVersion": RBAC, "kind": "Role", **own, "rules": [lease]},
        {"apiVersion": RBAC, "kind": "RoleBinding", **own, "roleRef": role | {"kind": "Role"}, "subjects": subject},
        {"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": wide}, "rules": rules},
        {
            "apiVersion": RBAC,
            "kind": "ClusterRoleBinding",
            "metadata": {"name": wide},
            "roleRef": role | {"kind": "ClusterRole", "name": wide},
            "subjects": subject,
        },
    ]


@contextmanager
def bed(cluster: Cluster, namespace: str, folder: Path, name: str = NAME) -> Iterator[Bed]:
    """Give a namespace what the operator needs: the definitions, a service account (elsewhere), its rights."""
    with cluster.namespace() as home:
        made = _furnish(cluster, namespace, home, folder, name)
        try:
            yield made
        finally:
            cluster.kubectl("delete", "clusterrole,clusterrolebinding", f"{namespace}-{name}")


def _furnish(cluster: Cluster, namespace: str, home: str, folder: Path, name: str) -> Bed:
    assert cluster.box
    define(cluster)
    made = Bed(cluster, namespace, home, folder, cluster.box.folder.audit_log.stat().st_size, name)
    _, outside = rights(f"The {name} operator")
    cluster.apply(*standing(name, home, f"{namespace}-{name}", outside))
    made.grant()
    return made
