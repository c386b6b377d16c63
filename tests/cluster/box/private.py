"""Make the new namespaces a place where a node can live, without the machine noticing; called by `first` alone.

Everything here is private to the mount and network namespaces of the box and goes with them.
"""

import subprocess
from pathlib import Path

from tests.cluster.box import programs
from tests.cluster.box.layout import METADATA_ADDRESS, NODE, PUBLIC_ADDRESS, Folder

# What the kubelet wants to write to settings that belong to the whole machine. It gets ordinary files instead, and is
# content when it reads the value that it would have written.
_MACHINE_WIDE = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
_NETWORK = {
    "net/ipv4/ip_forward": "1",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
}
_BRIDGE = "net/bridge/bridge-nf-call-iptables"  # frames between two pods pass the IP hooks, where policies are judged


def network(*, node: bool) -> None:
    """Addresses and routes; with a node also forwarding, and the two addresses that stand for the world outside."""
    for line in programs.network():
        subprocess.run(line, check=True)
    subprocess.run(["hostname", NODE], check=True)
    if node:
        for address in (PUBLIC_ADDRESS, METADATA_ADDRESS):
            subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
        for setting, value in {**_NETWORK, _BRIDGE: "1"}.items():
            (Path("/proc/sys") / setting).write_text(value)


def mounts(folder: Folder) -> None:
    """An own /run (containerd's shims have a fixed path there), own logs and CNI results, and the settings above."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"], check=True)
    for name, target in {"var-log": "/var/log", "var-lib-cni": "/var/lib/cni"}.items():
        own = folder.root / name
        own.mkdir(exist_ok=True)
        if Path(target).is_dir():
            subprocess.run(["mount", "--bind", str(own), target], check=True)
    for setting, value in _MACHINE_WIDE.items():
        own = folder.root / "sys" / setting.replace("/", ".")
        own.parent.mkdir(exist_ok=True)
        own.write_text(f"{value}\n")
        subprocess.run(["mount", "--bind", str(own), f"/proc/sys/{setting}"], check=True)
