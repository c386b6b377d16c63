"""What each import of a shard costs, in memory and time: the child of `tests.bench.memory`, in a process of its own.

    python -m tests.bench.imports BEGUN

BEGUN is the parent's monotonic clock just before it started us, in seconds: that clock is the machine's. Imports in the
order in which a shard does, looks after each at what the process has for itself alone and at the clock, and writes one
JSON object {name: {"private_mib": .., "ms": ..}}. What an earlier step has loaded is free for a later one; a shard with
the core loads neither protobuf nor what follows it.
"""

import gc
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Final

STEPS: Final[dict[str, tuple[str, ...]]] = {
    "asyncio, ssl": ("asyncio", "ssl"),
    "sqlite3": ("sqlite3",),
    "slixmpp's stream": ("ponton_bridge.xmpp.connection",),
    "redis": ("ponton_bridge.coordination.client.wire",),
    "the rest of the shard": ("ponton_bridge.shard.program",),
    "the core's driver": ("ponton_bridge.whatsapp.core_driver.driver",),
    "protobuf": ("google.protobuf.message", "google.protobuf.descriptor_pool"),
    "neonize's driver, WhatsApp's types": ("ponton_bridge.whatsapp.neonize_driver.driver",),
}
GO: Final = "neonize's Go library, loaded"
NATIVE: Final = "ponton_bridge.whatsapp.neonize_driver.native"


def private() -> float:
    """Give MiB that only this process has (`usage` does it too, but would load half of what is measured)."""
    gc.collect()
    with open("/proc/self/smaps_rollup") as rollup:  # noqa: PTH123 - and so would pathlib
        return sum(int(line.split()[1]) for line in rollup if line.startswith("Private_")) / 1024


def _load(*modules: str) -> None:
    for module in modules:
        importlib.import_module(module)


def main(begun: float) -> None:
    """Measure step by step."""
    before = 0.0
    costs = {}

    def step(name: str, begun: float, load: Callable[[], object]) -> None:
        nonlocal before
        load()
        took = (time.monotonic() - begun) * 1000
        now = private()
        costs[name] = {"private_mib": round(now - before, 1), "ms": round(took, 1)}
        before = now

    step("a bare interpreter", begun, _load)
    for name, modules in STEPS.items():
        step(name, time.monotonic(), partial(_load, *modules))
    step(GO, time.monotonic(), lambda: importlib.import_module(NATIVE).library())
    sys.stdout.write(json.dumps(costs))
    sys.stdout.flush()
    os._exit(0)  # Go's threads need no farewell


if __name__ == "__main__":
    main(float(sys.argv[1]))
