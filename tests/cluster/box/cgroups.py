"""The control groups of a box: made before its kubelet starts, removed after its last process; called by `keeper`.

The kubelet wants its root group to exist in every hierarchy of cgroup v1, which is what the machines at hand have.
"""

import contextlib
import time
from pathlib import Path

_PATIENCE = 10.0  # seconds for the kernel to let go of groups whose last process has just been killed


def hierarchies(mounts: str) -> list[Path]:
    """Where cgroup v1 hierarchies are mounted; `mounts` is the text of /proc/self/mounts."""
    lines = (line.split() for line in mounts.splitlines())
    return [Path(fields[1]) for fields in lines if fields[2] == "cgroup"]


def make(group: str) -> None:
    """Make the group in every hierarchy; raises RuntimeError on a machine that has cgroup v2 alone."""
    found = _here()
    if not any(h.name == "memory" or "memory" in h.name.split(",") for h in found):
        raise RuntimeError("a node needs cgroup v1 hierarchies (memory, cpu, …), and this machine mounts none")
    for hierarchy in found:
        made = hierarchy / group
        made.mkdir(exist_ok=True)
        for limit in ("cpuset.cpus", "cpuset.mems"):
            if (made / limit).exists():  # a new cpuset is empty, and no process can enter it
                (made / limit).write_text((hierarchy / limit).read_text())


def remove(group: str) -> None:
    """Remove the group and all below it, deepest first; what stays busy for too long is left (see `leftovers`)."""
    deadline = time.monotonic() + _PATIENCE
    while (left := existing(group)) and time.monotonic() < deadline:
        for folder in left:
            with contextlib.suppress(OSError):
                folder.rmdir()
        if existing(group):
            time.sleep(0.05)


def existing(group: str) -> list[Path]:
    """All groups of the box that exist, deepest first, in the unified hierarchy too (runc makes some there)."""
    roots = [h / group for h in [*_here(), Path("/sys/fs/cgroup/unified")]]
    found = [path for root in roots if root.is_dir() for path in [root, *(p for p in root.rglob("*") if p.is_dir())]]
    return sorted(found, key=lambda path: len(path.parts), reverse=True)


def _here() -> list[Path]:
    return hierarchies(Path("/proc/self/mounts").read_text())
