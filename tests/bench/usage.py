"""What a process uses, as Linux counts it: CPU seconds and memory. Used by the benches for processes of the product."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

_MIB = 1024.0  # KiB
_TICK = 1 / os.sysconf("SC_CLK_TCK")  # seconds; 10 ms, so measure over hundreds of messages


@dataclass(frozen=True, slots=True)
class Memory:
    """MiB of one process. `pss` shares what is mapped by several among them; `private` is what dies with it."""

    pss: float
    private: float
    rss: float


def cpu_seconds(pid: int) -> float:
    """Give the CPU time that a process used so far, user and system, all threads (proc(5), stat fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK


def memory(pid: int) -> Memory:
    """Give a process's memory now."""
    return read_rollup(Path(f"/proc/{pid}/smaps_rollup").read_text())


def read_rollup(text: str) -> Memory:
    """Read /proc/PID/smaps_rollup."""
    kib = {name: int(size) for name, size in re.findall(r"^(\w+): +(\d+) kB$", text, re.MULTILINE)}
    return Memory(
        pss=kib["Pss"] / _MIB,
        private=(kib["Private_Clean"] + kib["Private_Dirty"]) / _MIB,
        rss=kib["Rss"] / _MIB,
    )
