"""The cluster in a box itself: what the other tests of this folder rely on."""

import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.cluster import box_kit
from tests.cluster.box import audit, images
from tests.cluster.box.box import Box, BoxFailed
from tests.cluster.box.layout import METADATA_ADDRESS, NODE, NODE_ADDRESS, PUBLIC_ADDRESS, Folder, Options
from tests.cluster.box.leftovers import of_box
from tests.cluster.conftest import Boxes
from tests.cluster.quick import api_of
from tests.cluster.reach import Cluster, Object, until

_XMPP = 5222  # one of the two ports that WhatsApp listens on


@pytest.fixture(scope="module")
def image(node_cluster: Cluster) -> str:
    """An image with Python, present on the node."""
    if node_cluster.box is None:
        pytest.skip("these tests are about our own cluster, and KUBECONFIG names another one")
    node_cluster.box.load(images.base_archive())
    return images.base_reference()


@pytest.fixture(scope="module")
def namespace(node_cluster: Cluster) -> Iterator[str]:
    """A namespace on the cluster with a node, at the restricted level."""
    with node_cluster.namespace() as name:
        yield name


def test_the_api_server_answers_from_outside_with_the_version_that_it_was_built_from(api_cluster: Cluster) -> None:
    """The forwarder's port and the second kubeconfig work, and the build is stamped."""
    assert "v1.34.4" == json.loads(api_cluster.kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"]


def test_the_audit_log_shows_who_called_and_leaves_out_the_box_itself(api_cluster: Cluster) -> None:
    """Budgets of calls are counted from it."""
    assert api_cluster.box
    log = api_cluster.box.folder.audit_log
    before = log.stat().st_size
    with api_cluster.namespace() as name:
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "seen", "namespace": name}}
        api_cluster.apply(made)
        as_admin = audit.counted(audit.calls(log, before), "kubernetes-admin")
    assert 1 == as_admin["create", "configmaps"]
    assert {} == audit.counted(audit.calls(log), "ponton-box")


def test_the_client_of_a_box_keeps_its_connection_and_takes_a_new_one_when_it_was_closed(
    api_cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new one costs more than most calls, and the server may close it at any time."""
    opened: list[http.client.HTTPSConnection] = []
    connect = http.client.HTTPSConnection.connect

    def connected(it: http.client.HTTPSConnection) -> None:
        opened.append(it)
        connect(it)

    monkeypatch.setattr(http.client.HTTPSConnection, "connect", connected)
    api = api_of(api_cluster, keep=True)
    api.get("/version")
    api.get("/version")
    assert 1 == len(opened)
    opened[0].sock.shutdown(socket.SHUT_RDWR)
    assert api.get("/version")["gitVersion"]
    assert 2 == len(opened)
    api.close()


def test_a_second_box_of_the_same_name_is_refused(api_cluster: Cluster) -> None:
    """The first one goes on."""
    assert api_cluster.box
    with pytest.raises(BoxFailed, match="is up already"):
        Box.up(Options(api_cluster.box.folder.name))


def test_a_restricted_pod_writes_to_its_claim_as_its_user_and_nowhere_else(
    node_cluster: Cluster, namespace: str, image: str
) -> None:
    """The shape of a shard's pod: fsGroup opens the volume, ReadWriteOncePod keeps a second pod waiting."""
    volumes = [{"name": "store", "persistentVolumeClaim": {"claimName": "store"}}]
    mounts = [{"name": "store", "mountPath": "/store"}]
    writer = box_kit.pod(namespace, "writer", image, volumes=volumes, mounts=mounts)
    node_cluster.apply(box_kit.claim(namespace, "store", "ReadWriteOncePod"))
    box_kit.run(node_cluster, writer)
    code = "import os; open('/store/kept', 'w').write('yes'); print(os.getuid(), os.stat('/store').st_gid)"
    assert "65532 65532" == box_kit.inside(node_cluster, namespace, "writer", code)
    with pytest.raises(subprocess.CalledProcessError, match="Read-only file system"):
        box_kit.inside(node_cluster, namespace, "writer", "open('/elsewhere', 'w')")
    # A second pod with the same claim waits, and finds the data when the first one is gone.
    node_cluster.apply(box_kit.pod(namespace, "reader", image, volumes=volumes, mounts=mounts))
    until("the refusal", lambda: _refused_for(node_cluster, namespace, "reader", "ReadWriteOncePod"), box_kit.START)
    node_cluster.kubectl("delete", "pod", "-n", namespace, "writer")
    until("the reader", lambda: box_kit.is_running(node_cluster, namespace, "reader"), box_kit.START)
    assert "yes" == box_kit.inside(node_cluster, namespace, "reader", "print(open('/store/kept').read())")


def test_a_volume_goes_with_its_claim(node_cluster: Cluster, image: str) -> None:
    """The folder too, not only the object."""
    assert node_cluster.box
    folder = node_cluster.box.folder.volumes
    with node_cluster.namespace() as name:
        before = set(folder.iterdir())
        node_cluster.apply(box_kit.claim(name, "gone", "ReadWriteOnce"))
        volumes = [{"name": "store", "persistentVolumeClaim": {"claimName": "gone"}}]
        box_kit.run(node_cluster, box_kit.pod(name, "user", image, volumes=volumes))
        assert 1 == len(set(folder.iterdir()) - before)
        node_cluster.kubectl("delete", "pod,pvc", "-n", name, "--all")
        until("the end of the folder", lambda: set(folder.iterdir()) <= before, box_kit.START)


def test_names_of_services_resolve_in_a_pod(node_cluster: Cluster, namespace: str, image: str) -> None:
    """By the search path of the pod's namespace."""
    box_kit.run(node_cluster, box_kit.pod(namespace, "asking", image))
    code = "import socket; print(socket.gethostbyname('kubernetes.default.svc'))"
    assert "10.96.0.1" == box_kit.inside(node_cluster, namespace, "asking", code)


def test_network_policies_drop_and_let_through(node_cluster: Cluster, namespace: str, image: str) -> None:
    """Egress to a public address by port, ingress by label, both off again; the API server counts as private."""
    assert node_cluster.box
    serve = ["python3", "-m", "http.server", "8000"]
    server = box_kit.pod(namespace, "server", image, labels={"role": "server"})
    server["spec"]["containers"][0] |= {"command": serve, "readinessProbe": {"tcpSocket": {"port": 8000}}}
    free, bound = (box_kit.pod(namespace, name, image, labels={"role": name}) for name in ("free", "bound"))
    with (
        box_kit.listening(node_cluster.box, PUBLIC_ADDRESS, _XMPP),
        box_kit.listening(node_cluster.box, METADATA_ADDRESS, 80),
    ):
        box_kit.run(node_cluster, server, free, bound)
        node_cluster.kubectl("wait", "-n", namespace, "--for=condition=Ready", "--timeout=60s", "pod/server")
        address = node_cluster.get("pod", "server", "-n", namespace)["status"]["podIP"]
        targets = [(PUBLIC_ADDRESS, _XMPP), (METADATA_ADDRESS, 80), (address, 8000), (NODE_ADDRESS, 6443)]

        def seen(source: str) -> list[bool]:
            return [box_kit.reaches(node_cluster, (namespace, source), *target) for target in targets]

        assert [True, True, True, True] == seen("bound")
        node_cluster.apply(_only_public(namespace, "bound"))
        until("the policy", lambda: [True, False, False, False] == seen("bound"), box_kit.START)
        assert [True, True, True, True] == seen("free")
        node_cluster.apply(_only_from(namespace, "server", "bound"))
        until("the second policy", lambda: [True, True, False, True] == seen("free"), box_kit.START)
        node_cluster.kubectl("delete", "networkpolicy", "-n", namespace, "--all")
        until("freedom", lambda: [True, True, True, True] == seen("bound"), box_kit.START)


def test_a_running_pod_gets_more_memory_in_place(node_cluster: Cluster, namespace: str, image: str) -> None:
    """The kubelet reports the new limit, and the container was not restarted."""
    box_kit.run(node_cluster, box_kit.pod(namespace, "growing", image))
    more = {"spec": {"containers": [{"name": "main", "resources": {"limits": {"memory": "128Mi"}}}]}}
    node_cluster.kubectl("patch", "pod", "growing", "-n", namespace, "--subresource=resize", "-p", json.dumps(more))

    def limit() -> str:
        status = node_cluster.get("pod", "growing", "-n", namespace)["status"]["containerStatuses"][0]
        assert 0 == status["restartCount"]
        return str(status["resources"]["limits"]["memory"])

    until("the new limit", lambda: "128Mi" == limit(), box_kit.START)


def test_a_hundred_pods_run_on_fake_nodes(fake_cluster: Cluster) -> None:
    """What tests of scale stand on."""
    container = {"name": "main", "image": "nothing"}
    template = {"metadata": {"labels": {"app": "many"}}, "spec": {"containers": [container]}}
    spec = {"replicas": 100, "selector": {"matchLabels": {"app": "many"}}, "template": template}
    with fake_cluster.namespace("privileged") as name:
        meta = {"name": "many", "namespace": name}
        fake_cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec})
        fake_cluster.kubectl("rollout", "status", "-n", name, "deployment/many", "--timeout=60s")
        nodes = {p["spec"]["nodeName"] for p in fake_cluster.get("pods", "-n", name)["items"]}
    assert all(node.startswith("kwok-") for node in nodes)


def test_a_box_leaves_nothing_behind_and_says_so() -> None:
    """The command line from up to down, with a node."""
    tool = [sys.executable, "-m", "tests.cluster.box"]
    name = f"--name=gone-{os.getpid()}"
    subprocess.run([*tool, "up", "--node", name], check=True)
    nodes = subprocess.run(
        [*tool, "exec", name, "--", "kubectl", "get", "nodes"], capture_output=True, text=True, check=True
    )
    assert f"{NODE} " in nodes.stdout
    down = subprocess.run([*tool, "down", name], capture_output=True, text=True, check=False)
    assert "left behind: nothing" in down.stderr
    assert 0 == down.returncode


def test_a_box_ends_with_its_owner(boxes: Boxes) -> None:
    """A test run that is killed leaves no cluster behind."""
    owner = subprocess.Popen(["sleep", "600"])
    box = boxes(Options(f"owned-{os.getpid()}", owner=owner.pid))
    owner.kill()
    owner.wait()
    until("its end", lambda: [] == of_box(Folder.of(box.folder.name)), box_kit.START)


def _refused_for(cluster: Cluster, namespace: str, name: str, reason: str) -> bool:
    conditions = cluster.get("pod", name, "-n", namespace)["status"].get("conditions", [])
    return any(c["type"] == "PodScheduled" and reason in c.get("message", "") for c in conditions)


def _only_public(namespace: str, role: str) -> Object:
    """Egress of pods with that role: to public addresses on one port, and nothing else."""
    private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"]
    rule = {
        "to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": private}}],
        "ports": [{"protocol": "TCP", "port": _XMPP}],
    }
    spec = {"podSelector": {"matchLabels": {"role": role}}, "policyTypes": ["Egress"], "egress": [rule]}
    return _policy(namespace, "only-public", spec)


def _only_from(namespace: str, role: str, other: str) -> Object:
    """Ingress of pods with that role: from pods with the other one."""
    rule = {"from": [{"podSelector": {"matchLabels": {"role": other}}}]}
    spec = {"podSelector": {"matchLabels": {"role": role}}, "policyTypes": ["Ingress"], "ingress": [rule]}
    return _policy(namespace, "only-from", spec)


def _policy(namespace: str, name: str, spec: Object) -> Object:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta, "spec": spec}
