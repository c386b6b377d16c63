"""The few Kubernetes objects that a box brings with it; pure, called by `first`."""

from tests.cluster.box.api import Object
from tests.cluster.box.layout import DNS_SERVICE, DOMAIN, NODE

STORAGE_CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
NODES = "/api/v1/nodes"
CLAIMS = "/api/v1/persistentvolumeclaims"
VOLUMES = "/api/v1/persistentvolumes"
DNS_DEPLOYMENT = "/apis/apps/v1/namespaces/kube-system/deployments/coredns"
PROVISIONER = "ponton.im/box"
DNS_IMAGE = "localhost/coredns:1"
_SYSTEM = "/api/v1/namespaces/kube-system"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_COREFILE = f""".:53 {{
    errors
    health :8080
    ready :8181
    kubernetes {DOMAIN} in-addr.arpa {{
        pods insecure
        ttl 5
    }}
    cache 5
}}
"""


def storage_class() -> Object:
    """The default class: a folder of this machine, made when a pod that uses it has a node (see `volumes`)."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "box", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def volume(claim: Object) -> Object:
    """A volume of a claim's own; where it is remains to be said (see `volumes` and `claims`)."""
    meta, spec = claim["metadata"], claim["spec"]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"pvc-{meta['uid']}"},
        "spec": {
            "accessModes": spec["accessModes"],
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": meta["namespace"],
                "name": meta["name"],
                "uid": meta["uid"],
            },
            "storageClassName": spec.get("storageClassName", ""),
        },
    }


def fake_node(number: int, *, shunned: bool) -> Object:
    """A node that kwok plays: always ready, room for a thousand pods, which run as far as the API can see.

    Beside a real node it is `shunned`: only pods that tolerate the taint kwok.x-k8s.io/node=fake go there.
    """
    taint = {"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}
    name = f"kwok-{number:03d}"
    room = {"cpu": "1000", "memory": "4Ti", "pods": "1000"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "type": "kwok"},
        },
        "spec": {"taints": [taint]} if shunned else {},
        "status": {"allocatable": room, "capacity": room},
    }


def dns() -> list[tuple[str, Object]]:
    """CoreDNS as an ordinary pod, so that network policies find it by its labels; pairs of collection and object."""
    labels = {"k8s-app": "kube-dns"}
    meta = {"name": "coredns", "namespace": "kube-system"}
    readable = [
        {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    subject = {"kind": "ServiceAccount", "name": "coredns", "namespace": "kube-system"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "box:coredns"}
    ports = [
        {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
    ]
    container = {
        "name": "coredns",
        "image": DNS_IMAGE,
        "imagePullPolicy": "Never",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns"}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
    }
    pod = {
        "serviceAccountName": "coredns",
        "dnsPolicy": "Default",
        "nodeSelector": {"kubernetes.io/hostname": NODE},
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
    }
    deployment = {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    service = {"selector": labels, "clusterIP": DNS_SERVICE, "ports": ports}
    return [
        (f"{_SYSTEM}/serviceaccounts", {"metadata": meta}),
        (f"{_RBAC}/clusterroles", {"metadata": {"name": "box:coredns"}, "rules": readable}),
        (
            f"{_RBAC}/clusterrolebindings",
            {"metadata": {"name": "box:coredns"}, "subjects": [subject], "roleRef": role},
        ),
        (f"{_SYSTEM}/configmaps", {"metadata": meta, "data": {"Corefile": _COREFILE}}),
        (f"{_SYSTEM}/services", {"metadata": {**meta, "name": "kube-dns", "labels": labels}, "spec": service}),
        ("/apis/apps/v1/namespaces/kube-system/deployments", {"metadata": meta, "spec": deployment}),
    ]


def node_is_ready(node: Object) -> bool:
    """Whether a node takes pods."""
    conditions = node.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def is_available(deployment: Object) -> bool:
    """Whether a deployment has a ready pod."""
    return bool(deployment.get("status", {}).get("availableReplicas"))
