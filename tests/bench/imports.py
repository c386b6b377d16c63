"""What each import of a shard costs in memory: the child of `tests.bench.memory`, in a process of its own.

    python -m tests.bench.imports

Imports in the order in which a shard does, looks after each at what the process has for itself alone, and writes one
JSON object {name: MiB}. What an earlier step has loaded is free for a later one.
"""

import gc
import importlib
import json
import os
import sys
from typing import Final

from tests.bench import usage

STEPS: Final[dict[str, tuple[str, ...]]] = {
    "asyncio, ssl": ("asyncio", "ssl"),
    "sqlite3": ("sqlite3",),
    "slixmpp's stream": ("ponton_bridge.xmpp.connection",),
    "redis": ("ponton_bridge.coordination.client.wire",),
    "the rest of the shard": ("ponton_bridge.shard.program",),
    "protobuf": ("google.protobuf.message", "google.protobuf.descriptor_pool"),
    "the driver, WhatsApp's types": ("ponton_bridge.whatsapp.neonize_driver.driver",),
}
GO: Final = "neonize's Go library, loaded"


def private() -> float:
    """Give MiB that only this process has."""
    gc.collect()
    return usage.memory(os.getpid()).private


def main() -> None:
    """Measure step by step."""
    before = private()
    costs = {"a bare interpreter": round(before, 1)}
    for name, modules in STEPS.items():
        for module in modules:
            importlib.import_module(module)
        now = private()
        costs[name] = round(now - before, 1)
        before = now
    importlib.import_module("ponton_bridge.whatsapp.neonize_driver.native").library()
    costs[GO] = round(private() - before, 1)
    sys.stdout.write(json.dumps(costs))
    sys.stdout.flush()
    os._exit(0)  # Go's threads need no farewell


if __name__ == "__main__":
    main()
