"""Memory of idle linked shards, and what each import costs. `python -m tests.bench.memory [--short]`.

The shards are those that `ponton local` starts. PSS counts what several processes map (the interpreter, libraries) in
equal shares, so it depends on how many shards run; private memory is what a further shard really adds. Both right after
linking and resumed by a restart, which is what most shards of a fleet are.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Final

from ponton_bridge.whatsapp.core_driver import place
from ponton_bridge.whatsapp.neonize_driver.environment import WANTED
from tests.bench import usage
from tests.bench.bed import Bed, linked
from tests.bench.figures import Line, at_most, spread
from tests.bench.report import Result, alone
from tests.harness.prosody import until
from tests.sandbox import launch
from tests.sandbox.harness import ROOT

NAME = "memory"
SHARDS: Final = 5
MUST: Final = {place.CORE: 48.0, place.NEONIZE: 75.0}  # MiB of PSS, the median shard, its core with it
SETTLE: Final = 35.0  # seconds; the driver reads the address book again 2, 8 and 30 s after it has connected


async def _idle(bed: Bed, seconds: float) -> list[usage.Memory]:
    """Let them rest, then look."""
    await asyncio.sleep(seconds)  # idle for so long is what is measured
    return [usage.memory(bed.shard(owner)) for owner in bed.owners]


async def _resumed(bed: Bed) -> None:
    """End all shards with their runtime, start it again, and wait until all are linked again."""
    local = bed.stage.local
    await local.stop()
    await local.start()

    def connected() -> bool:
        found = (local.status(f"{owner.client.boundjid.bare}") or {} for owner in bed.owners)
        reasons = [(each.get("status") or {}).get("reason") for each in found]
        return len(local.shards()) == len(bed.owners) and reasons == ["Connected"] * len(reasons)

    await until(connected, timeout=60, what="the shards' return")


async def imports() -> dict[str, dict[str, float]]:
    """Give MiB and milliseconds for each import, measured in a child with a shard's environment."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **WANTED}
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.imports",
        str(time.monotonic()),
        env=env,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await child.communicate()
    if child.returncode:
        raise RuntimeError(f"the child that imports ended with {child.returncode}")
    return dict(json.loads(out))


def figures(measured: dict[str, list[usage.Memory]]) -> dict[str, object]:
    """Give what is written down of the shards."""
    return {
        state: {
            f"{kind}_mib": spread([getattr(each, kind) for each in shards], 1) for kind in ("pss", "private", "rss")
        }
        for state, shards in measured.items()
    }


def judged(measured: dict[str, list[usage.Memory]], driver: str) -> list[Line]:
    """Judge the median of each state, by what shards with this driver must keep to."""
    return [
        at_most(f"PSS of an idle shard, {state}", MUST[driver], median(each.pss for each in shards), "MiB")
        for state, shards in measured.items()
    ]


async def measure(*, short: bool) -> Result:
    """Look at freshly linked shards, then at resumed ones."""
    seconds = 3.0 if short else SETTLE
    with tempfile.TemporaryDirectory(prefix="ponton-bench-") as folder:
        async with linked(Path(folder), SHARDS) as bed:
            measured = {"just linked": await _idle(bed, seconds)}
            await _resumed(bed)
            measured["resumed"] = await _idle(bed, seconds)
    costs = await imports()
    found = {"shards": SHARDS, **figures(measured), "by_import": costs}
    return Result(NAME, found, judged(measured, launch.driver()))


if __name__ == "__main__":
    raise SystemExit(alone(measure, __doc__))
