"""What a process uses, as Linux counts it: CPU seconds and memory. Used by the benches for processes of the product.

A shard is counted together with its WhatsApp core, which is a process of its own.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ponton_bridge.whatsapp.core_driver import place
from tests.harness.local import children

_MIB = 1024.0  # KiB
_TICK = 1 / os.sysconf("SC_CLK_TCK")  # seconds; 10 ms, so measure over hundreds of messages


@dataclass(frozen=True, slots=True)
class Memory:
    """MiB of one process. `pss` shares what is mapped by several among them; `private` is what dies with it."""

    pss: float
    private: float
    rss: float


def whole(pid: int) -> list[int]:
    """Give a process and the core that it has, if it has one."""
    return [pid, *(one for one in children(pid) if Path(f"/proc/{one}/comm").read_text().strip() == place.PROGRAM)]


def cpu_seconds(pid: int) -> float:
    """Give the CPU time that a process used so far, user and system, all threads (proc(5), stat fields 14 and 15)."""
    stats = (Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split() for one in whole(pid))
    return sum(int(fields[11]) + int(fields[12]) for fields in stats) * _TICK


def child(pid: int, *words: str) -> int:
    """Give the process below `pid` whose command line has these words; raises LookupError without one."""
    for one in children(pid):
        with suppress(OSError):
            if set(words) <= set(Path(f"/proc/{one}/cmdline").read_text().split("\0")):
                return one
    raise LookupError(f"no child with {words} in its command line")


def per_message(before: Mapping[str, float], after: Mapping[str, float], count: int) -> dict[str, float]:
    """Give CPU milliseconds for each of `count` messages, by process, from CPU seconds before and after."""
    return {name: (after[name] - before[name]) / count * 1000 for name in after}


def memory(pid: int) -> Memory:
    """Give a process's memory now."""
    parts = [read_rollup(Path(f"/proc/{one}/smaps_rollup").read_text()) for one in whole(pid)]
    return Memory(*(sum(getattr(part, name) for part in parts) for name in ("pss", "private", "rss")))


def read_rollup(text: str) -> Memory:
    """Read /proc/PID/smaps_rollup."""
    kib = {name: int(size) for name, size in re.findall(r"^(\w+): +(\d+) kB$", text, re.MULTILINE)}
    return Memory(
        pss=kib["Pss"] / _MIB,
        private=(kib["Private_Clean"] + kib["Private_Dirty"]) / _MIB,
        rss=kib["Rss"] / _MIB,
    )
