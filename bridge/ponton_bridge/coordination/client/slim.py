"""Import only what we use of the redis library: its asyncio connection and its errors.

`import redis.asyncio` loads clients for clusters, sentinels, sync sockets and 24,000 lines of command methods, since
the package's `__init__` imports them all. Measured with redis 7.4.1 in a process that has slixmpp already, private
memory: +10.0 MiB for `redis.asyncio`, +5.5 MiB for what is loaded here. Every shard pays it: at 10,000 shards this
file is worth 45 GB.

While the two modules load, empty packages stand in for `redis` and `redis.asyncio`. Afterwards all of it is taken out
of `sys.modules`: whoever imports the library in the same process later gets the whole of it, untouched by us.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

PARENTS = ("redis", "redis.asyncio")


def load() -> tuple[ModuleType, ModuleType]:
    """Give `redis.asyncio.connection` and `redis.exceptions`; ModuleNotFoundError when redis is not installed."""
    spec = None if "redis" in sys.modules else find_spec("redis")
    if spec is None or not spec.submodule_search_locations:
        return _import()
    root = Path(spec.submodule_search_locations[0])
    for name in PARENTS:
        sys.modules[name] = stand_in = ModuleType(name)
        stand_in.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
    try:
        return _import()
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "redis"]:
            del sys.modules[name]


def _import() -> tuple[ModuleType, ModuleType]:
    return import_module("redis.asyncio.connection"), import_module("redis.exceptions")
