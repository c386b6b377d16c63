"""The command lines of every program in a box; pure, called by `first`. Each flag that surprises says why."""

from collections.abc import Iterable
from typing import Final

from tests.cluster.box.layout import (
    API_PORT,
    API_SERVICE,
    DOMAIN,
    NODE,
    NODE_ADDRESS,
    SERVICES,
    Folder,
)

_ETCD = "http://127.0.0.1:2379"
_RATE = ("--kube-api-qps=300", "--kube-api-burst=600")  # the defaults (20 and 30 a second) make tests of scale wait


def certs(folder: Folder) -> list[str]:
    """Arguments of our own `certs`: whom the API server and the kubelet answer as."""
    service = "kubernetes.default.svc"
    names = ("127.0.0.1", "localhost", "kubernetes", "kubernetes.default", service, f"{service}.{DOMAIN}")
    return [
        f"-out={folder.pki}",
        f"-node={NODE}",
        f"-names={','.join((*names, API_SERVICE, NODE_ADDRESS))}",
        f"-node-names={NODE},{NODE_ADDRESS}",
        f"-server=https://127.0.0.1:{API_PORT}",
    ]


def etcd(folder: Folder) -> list[str]:
    """Arguments of our own `etcd`."""
    return [f"-data={folder.root / 'etcd'}", f"-client={_ETCD}"]


def api_server(folder: Folder, *, audit: bool, few_events: bool = False) -> list[str]:
    """Arguments of kube-apiserver; with `few_events` nobody makes more of them than a person could read."""
    pki = folder.pki
    lines = [
        f"--etcd-servers={_ETCD}",
        f"--secure-port={API_PORT}",
        f"--advertise-address={NODE_ADDRESS}",
        f"--service-cluster-ip-range={SERVICES}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--kubelet-preferred-address-types=InternalIP",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--client-ca-file={pki}/ca.crt",
        f"--kubelet-certificate-authority={pki}/ca.crt",
        f"--kubelet-client-certificate={pki}/apiserver-kubelet-client.crt",
        f"--kubelet-client-key={pki}/apiserver-kubelet-client.key",
        f"--service-account-issuer=https://{_service()}",
        f"--service-account-key-file={pki}/service-account.pub",
        f"--service-account-signing-key-file={pki}/service-account.key",
        f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki}/front-proxy-client.crt",
        f"--proxy-client-key-file={pki}/front-proxy-client.key",
    ]
    if audit:
        lines += [f"--audit-policy-file={folder.root / 'audit-policy.json'}", f"--audit-log-path={folder.audit_log}"]
        lines += ["--audit-log-maxsize=2000"]  # MiB: one file for the longest test
    if few_events:
        lines += [
            "--enable-admission-plugins=EventRateLimit",
            f"--admission-control-config-file={folder.root / 'admission.json'}",
        ]
    return lines


def few_events() -> dict[str, object]:
    """An event a second of each user: of thousands of claims and pods there would be ten, a fifth of all calls."""
    limit = {"type": "User", "qps": 1, "burst": 50}
    kind = {"apiVersion": "eventratelimit.admission.k8s.io/v1alpha1", "kind": "Configuration", "limits": [limit]}
    plugin = {"name": "EventRateLimit", "configuration": kind}
    return {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration", "plugins": [plugin]}


def audit_policy() -> dict[str, object]:
    """Every call once, with who and what and no bodies, but for the box's own loops, which are no part of any test.

    Of theirs the removal of a pod counts: fake nodes say by it that nothing of the pod runs any more.
    """
    pods = [{"group": "", "resources": ["pods"]}]
    ends = {"level": "Metadata", "users": ["ponton-box"], "verbs": ["delete"], "resources": pods}
    own = {"level": "None", "users": ["ponton-box"]}
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [ends, own, {"level": "Metadata"}],
    }


# Controllers that have nothing to do where nodes are fake, and yet look at every pod or volume (`claims` binds them).
_IDLE: Final = (
    "cronjob-controller",
    "daemonset-controller",
    "ephemeral-volume-controller",
    "horizontal-pod-autoscaler-controller",
    "job-controller",
    "persistentvolume-attach-detach-controller",
    "persistentvolume-binder-controller",
    "persistentvolume-expander-controller",
    "replicationcontroller-controller",
    "resourceclaim-controller",
    "statefulset-controller",
    "ttl-after-finished-controller",
)


def controller_manager(folder: Folder, *, fake_nodes: bool = False) -> list[str]:
    """Arguments of kube-controller-manager."""
    pki = folder.pki
    idle = [f"--controllers=*,{','.join(f'-{name}' for name in _IDLE)}"] if fake_nodes else []
    return [
        *idle,
        f"--kubeconfig={pki}/controller-manager.kubeconfig",
        "--leader-elect=false",
        *_RATE,
        "--use-service-account-credentials=true",
        f"--root-ca-file={pki}/ca.crt",
        f"--service-account-private-key-file={pki}/service-account.key",
        f"--cluster-signing-cert-file={pki}/ca.crt",
        f"--cluster-signing-key-file={pki}/ca.key",
        "--concurrent-statefulset-syncs=20",
        "--node-monitor-grace-period=40s",
    ]


def scheduler(folder: Folder) -> list[str]:
    """Arguments of kube-scheduler."""
    return [f"--kubeconfig={folder.pki}/scheduler.kubeconfig", "--leader-elect=false", *_RATE]


def kwok(folder: Folder, stages: str) -> list[str]:
    """Arguments of kwok: it plays the kubelet for every node with its annotation."""
    return [
        f"--kubeconfig={folder.pki}/box.kubeconfig",
        f"--config={stages}",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        "--node-lease-duration-seconds=40",
        "--cidr=10.0.0.0/14",
    ]


def kubelet(folder: Folder) -> list[str]:
    """Arguments of the kubelet; the rest is in its configuration file."""
    return [
        f"--kubeconfig={folder.pki}/kubelet-client.kubeconfig",
        f"--config={folder.root}/kubelet.json",
        f"--root-dir={folder.root}/kubelet",
        f"--hostname-override={NODE}",
        f"--node-ip={NODE_ADDRESS}",
    ]


def kube_proxy(folder: Folder) -> list[str]:
    """Arguments of kube-proxy; the rest is in its configuration file."""
    return [f"--config={folder.root}/kube-proxy.json"]


def containerd(folder: Folder) -> list[str]:
    """Arguments of Debian's containerd."""
    return [f"--config={folder.root}/containerd.toml"]


def network() -> Iterable[list[str]]:
    """Commands for the empty network namespace: addresses, and a route by which the node's own calls to services leave.

    Without that route a process on the node gets "unreachable" before the service's address could be rewritten.
    """
    yield ["ip", "link", "set", "lo", "up"]
    yield ["ip", "address", "add", f"{NODE_ADDRESS}/32", "dev", "lo"]
    yield ["ip", "route", "add", SERVICES, "dev", "lo", "src", NODE_ADDRESS]


def _service() -> str:
    return f"kubernetes.default.svc.{DOMAIN}"
