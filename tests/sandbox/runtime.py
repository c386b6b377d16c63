"""`python -m tests.sandbox.runtime CONFIG ...`: `ponton local`, whose children trust the sandbox instead of WhatsApp.

The runtime itself is the product's, unchanged: only its way to spawn is ours. Called by `tests.harness.local`.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ponton_operator.cluster.local_spawn import Child, SpawnOptions, spawn_child
from ponton_operator.programs import local
from tests.sandbox.launch import sandboxed


def main(arguments: Sequence[str]) -> int:
    """Run the product's program with a way to spawn that leads into the sandbox described by the first argument."""
    config = Path(arguments[0]).absolute()

    def spawn(argv: Sequence[str], env: Mapping[str, str], options: SpawnOptions) -> Child:
        return spawn_child(*sandboxed(argv, env, config), options)

    return local.run(arguments[1:], spawn)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
