"""Look for what a box may have left on the machine; called by `down` and by the tests.

A box lives in namespaces of its own, so everything here should always be empty. It is looked for all the same.
"""

import os
import subprocess
from pathlib import Path

from tests.cluster.box import cgroups
from tests.cluster.box.layout import Folder

# Settings of the machine that a kubelet, kube-proxy or CNI plugin would change outside private namespaces.
_SETTINGS = (
    "kernel/panic",
    "kernel/panic_on_oops",
    "net/bridge/bridge-nf-call-iptables",
    "net/ipv4/conf/all/rp_filter",
    "net/ipv4/ip_forward",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)


def machine() -> dict[str, str]:
    """What belongs to the machine and shall be the same after a box as before: interfaces, nft tables, settings."""
    found = {f"interface {path.name}": "" for path in Path("/sys/class/net").iterdir()}
    tables = subprocess.run(["nft", "list", "tables"], stdout=subprocess.PIPE, text=True, check=False).stdout
    found |= dict.fromkeys(tables.splitlines(), "")
    for setting in _SETTINGS:
        path = Path("/proc/sys") / setting
        found[f"sysctl {setting}"] = path.read_text().strip() if path.exists() else "none"
    return found


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """A line for each difference; pure."""
    gone = [f"gone: {key}" for key in before if key not in after]
    new = [f"new: {key} {value}".rstrip() for key, value in after.items() if key not in before]
    other = [f"{key}: {before[key]} -> {after[key]}" for key in before if key in after and before[key] != after[key]]
    return gone + new + other


def of_box(folder: Folder) -> list[str]:
    """A line for each thing that still bears the box's name: its folder, mounts, control groups, processes."""
    mark = str(folder.root)
    found = [f"folder {mark}"] if folder.root.exists() else []
    found += [f"mount {line.split()[4]}" for line in _mounts() if mark in line]
    found += [f"cgroup {path}" for path in cgroups.existing(folder.cgroup)]
    for process in Path("/proc").glob("[0-9]*"):
        if int(process.name) == os.getpid():
            continue
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # ended meanwhile
        if mark in line:
            found.append(f"process {process.name} {line[:80].strip()}")
    return found


def _mounts() -> list[str]:
    return Path("/proc/self/mountinfo").read_text().splitlines()
