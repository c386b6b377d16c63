"""The configuration files of the real node: containerd, CNI, kubelet, kube-proxy; pure, called by `first`."""

import json
from pathlib import Path

from tests.cluster.box.layout import DNS_SERVICE, DOMAIN, NODE, NODE_ADDRESS, PODS, Folder

PAUSE_IMAGE = "localhost/pause:1"
_PLUGINS = "/usr/lib/cni"  # where Debian puts the CNI plugins
# Without them containerd warns at every start of file systems and tracing that nobody here has.
_UNUSED = (
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.internal.v1.tracing",
    "io.containerd.tracing.processor.v1.otlp",
)


def containerd(folder: Folder) -> str:
    """containerd.toml. A machine without CAP_SYS_RESOURCE may not lower oom_score_adj, hence the restriction."""
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return f"""version = 2
root = "{folder.root}/containerd"
state = "/run/containerd"
disabled_plugins = {json.dumps(_UNUSED)}
[grpc]
address = "{folder.containerd}"
[{cri}]
sandbox_image = "{PAUSE_IMAGE}"
restrict_oom_score_adj = true
disable_apparmor = true
[{cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[{cri}.containerd.runtimes.runc.options]
SystemdCgroup = false
[{cri}.cni]
bin_dir = "{_PLUGINS}"
conf_dir = "{folder.root}/cni"
"""


def load(folder: Folder, archive: Path) -> list[str]:
    """The command, for inside, that gives an OCI archive to containerd."""
    return ["ctr", f"--address={folder.containerd}", "--namespace=k8s.io", "images", "import", str(archive)]


def tag(folder: Folder, image: str, other: str) -> list[str]:
    """The command, for inside, that gives an image of containerd a second name."""
    return ["ctr", f"--address={folder.containerd}", "--namespace=k8s.io", "images", "tag", "--force", image, other]


def cni(folder: Folder) -> dict[str, object]:
    """The pods' network: one bridge, addresses from one range, no masquerading (policies shall see true addresses)."""
    addresses = {"type": "host-local", "dataDir": f"{folder.root}/addresses", "ranges": [[{"subnet": PODS}]]}
    bridge = {"type": "bridge", "bridge": "cni0", "isDefaultGateway": True, "hairpinMode": True, "ipam": addresses}
    return {"cniVersion": "1.0.0", "name": "box", "plugins": [bridge]}


def kubelet(folder: Folder) -> dict[str, object]:
    """KubeletConfiguration: no eviction and no clean-up of images, as the disk is the machine's and not the node's."""
    pki = folder.pki
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": False}, "x509": {"clientCAFile": f"{pki}/ca.crt"}},
        "tlsCertFile": f"{pki}/kubelet.crt",
        "tlsPrivateKeyFile": f"{pki}/kubelet.key",
        "containerRuntimeEndpoint": f"unix://{folder.containerd}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{folder.cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "clusterDNS": [DNS_SERVICE],
        "clusterDomain": DOMAIN,
        "resolvConf": f"{folder.root}/resolv.conf",
        "makeIPTablesUtilChains": False,
        "maxPods": 500,
        "serializeImagePulls": False,
        "kubeAPIQPS": 100,
        "kubeAPIBurst": 200,
        "eventRecordQPS": 0,
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {
            "memory.available": "1Mi",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
            "imagefs.inodesFree": "0%",
        },
    }


def kube_proxy(folder: Folder) -> dict[str, object]:
    """KubeProxyConfiguration; conntrack's limits are the machine's and cannot be written from another namespace."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": f"{folder.pki}/kube-proxy.kubeconfig"},
        "hostnameOverride": NODE,
        "mode": "nftables",
        "clusterCIDR": PODS,
        "nodePortAddresses": [f"{NODE_ADDRESS}/32"],
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
