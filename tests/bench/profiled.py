"""Where a shard's time goes: PONTON_BENCH_PROFILE=FOLDER lets the benches run their shards under cProfile.

    PONTON_BENCH_PROFILE=/tmp/profile python -m tests.bench.burst --short
    python -m tests.bench.profiled show /tmp/profile

A switch of the benches alone: `bed` starts the runtime by this module then, which wraps the command line of each shard.
Every Python thread has a profile of its own; time inside Go is the time of the call that leads there.
"""

import cProfile
import os
import pstats
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from ponton_operator.cluster.local_spawn import Child, SpawnOptions, spawn_child
from ponton_operator.programs import local
from tests.harness.local import Local
from tests.sandbox.harness import ROOT
from tests.sandbox.launch import sandboxed

SWITCH: Final = "PONTON_BENCH_PROFILE"
LINES: Final = 25  # of each thread's table


class ProfiledLocal(Local):
    """A runtime whose shards write their profiles into the folder that SWITCH names."""

    def command(self) -> list[str]:
        """Give the command line: ours in place of the sandbox's."""
        python, dash, _, *rest = super().command()
        folder = Path(os.environ[SWITCH]).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)  # shards run under user ids of their own
        return [python, dash, "tests.bench.profiled", "runtime", str(folder), *rest]


def runtime(folder: str, config: str, arguments: Sequence[str]) -> int:
    """Run the product's runtime with a way to spawn that wraps shards."""

    def spawn(argv: Sequence[str], env: Mapping[str, str], options: SpawnOptions) -> Child:
        if argv[-1] == "shard":
            argv = [sys.executable, "-m", "tests.bench.profiled", "shard", folder]
            env = {**env, "PYTHONPATH": str(ROOT)}
        return spawn_child(*sandboxed(argv, env, Path(config).absolute()), options)

    return local.run(arguments, spawn)


def shard(folder: str) -> None:
    """Run the shard's program with a profile for each thread, written when it ends in the normal way."""
    from ponton_bridge.shard import program  # noqa: PLC0415 - loads the shard, which the runtime does not need

    profiles: dict[str, cProfile.Profile] = {}
    run, leave = threading.Thread.run, os._exit

    def profiled(thread: threading.Thread) -> None:
        with profiles.setdefault(thread.name, cProfile.Profile()):
            run(thread)

    def write(code: int) -> None:
        for name, profile in profiles.items():
            profile.create_stats()
            profile.dump_stats(Path(folder) / f"{os.getpid()}.{name}.prof")
        leave(code)

    threading.Thread.run = profiled  # type: ignore[method-assign, assignment]  # each thread has to switch its own profile on
    os._exit = write  # type: ignore[assignment]  # the program's last word
    with profiles.setdefault("main", cProfile.Profile()):
        program.main([])


def show(folder: str) -> None:
    """Print the tables of all threads."""
    for path in sorted(Path(folder).glob("*.prof")):
        sys.stdout.write(f"\n=== {path.name}\n")
        pstats.Stats(str(path)).strip_dirs().sort_stats("tottime").print_stats(LINES)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["runtime", where, config_file, *others]:
            raise SystemExit(runtime(where, config_file, others))
        case ["shard", where]:
            shard(where)
        case ["show", where]:
            show(where)
        case _:
            raise SystemExit(__doc__)
