"""What the box's own tests share: pods of the base image, probes run in them, listeners on the node's addresses."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from tests.cluster.box.box import Box
from tests.cluster.reach import Cluster, Object, until

USER = 65532
START = 60.0  # seconds for a pod whose image is present; it takes 1.5
# It ends with its standard input: who enters a namespace of processes is a parent whose end its child outlives.
_LISTEN = """
import os, socket, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
server = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("listening", flush=True)
while True:
    server.accept()[0].close()
"""
_PROBE = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 2).close()
    print("open")
except OSError:
    print("shut")
"""


def pod(namespace: str, name: str, image: str, **spec: object) -> Object:
    """A pod that the restricted level admits and that only sleeps; `spec` adds to it, `labels` and `volumes` too."""
    labels = spec.pop("labels", {})
    mounts = spec.pop("mounts", [])
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["python3", "-c", "import signal; signal.sigwait([signal.SIGTERM])"],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": mounts,
    }
    secure = {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 2,
            "securityContext": secure,
            "containers": [container],
            **spec,
        },
    }


def claim(namespace: str, name: str, mode: str) -> Object:
    """A claim of the default class."""
    spec = {"accessModes": [mode], "resources": {"requests": {"storage": "64Mi"}}}
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": spec}


def run(cluster: Cluster, *pods: Object) -> None:
    """Apply pods and wait until all are running."""
    cluster.apply(*pods)
    for made in pods:
        name, namespace = made["metadata"]["name"], made["metadata"]["namespace"]
        until(f"pod {name}", partial(is_running, cluster, namespace, name), START)


def is_running(cluster: Cluster, namespace: str, name: str) -> bool:
    """Whether the pod's phase is Running."""
    return bool("Running" == cluster.get("pod", name, "-n", namespace)["status"]["phase"])


def inside(cluster: Cluster, namespace: str, name: str, code: str, *arguments: str) -> str:
    """What a Python program prints in a pod."""
    return cluster.kubectl("exec", "-n", namespace, name, "--", "python3", "-c", code, *arguments).strip()


def reaches(cluster: Cluster, source: tuple[str, str], address: str, port: int) -> bool:
    """Whether a pod, given as (namespace, name), gets a TCP connection to an address."""
    return "open" == inside(cluster, *source, _PROBE, address, str(port))


@contextmanager
def listening(box: Box, address: str, port: int) -> Iterator[None]:
    """Somebody who accepts connections on one of the node's addresses."""
    line = box.command("python3", "-c", _LISTEN, address, str(port))
    server = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        assert "listening\n" == server.stdout.readline()
        yield
    finally:
        server.communicate()
