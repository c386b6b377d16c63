"""How long a new account takes until its code is at the client, and where the time goes.

`python -m tests.cluster.starting` brings a cluster up for it and keeps the figures. Each account is made by kubectl
while nothing else starts. The steps come from the API server's audit log, the container's start and the shard's own
log, all on one machine with one clock. Called by `test_starting.py` too.
"""

import asyncio
import json
import os
import tempfile
import time
from datetime import datetime
from pathlib import Path
from statistics import median

from tests.bench.figures import Figures, at_most, distribution, quantile
from tests.bench.report import Result, alone
from tests.cluster.box import audit
from tests.cluster.box.box import Box
from tests.cluster.box.layout import Options
from tests.cluster.reach import Cluster
from tests.cluster.release import SERVED, Release, installed
from tests.cluster.scene import processes, ways
from tests.demo.story import code_of

NAME = "cluster_start"
ROUNDS = 20
MUST = 10.0  # seconds, 19 of 20, with the image present
STEPS = (
    "watch and plan",
    "volume and Secret",
    "pod made",
    "scheduled",
    "container started",
    "imports",
    "stream",
    "code",
)
"""What ends at each of the moments after the account's creation, in this order."""
_TICKS = os.sysconf("SC_CLK_TCK")


async def measured(release: Release, rounds: int) -> list[list[float]]:
    """Make accounts one after the other; gives the moments of each: made, then the ends of STEPS (Unix seconds)."""
    assert release.cluster.box
    log, found = release.cluster.box.folder.audit_log, list[list[float]]()
    for number in range(rounds):
        user = list(release.users)[number]
        since = log.stat().st_size
        # Ways of its own for each: a forwarded port may end with one of its connections.
        async with ways(release) as open_ways, open_ways.client(user, "laptop") as client:
            await asyncio.to_thread(release.cluster.apply, release.account(user))
            await code_of(client, SERVED)
            there = time.time()
        found.append([*await asyncio.to_thread(_moments, release, user, audit.calls(log, since)), there])
        await asyncio.to_thread(release.kubectl, "delete", "ba", user, "--wait=false")
    return found


def _moments(release: Release, account: str, calls: list[audit.Call]) -> list[float]:
    """Give the moments of an account's start up to its stream; `calls` since before it was made."""
    (pod,) = release.pods(account)
    name = pod["metadata"]["name"]
    (pid,) = processes(pod["metadata"]["uid"], "shard")

    def first(verb: str, resource: str, name: str) -> float:
        """When a call was answered for the first time."""
        wanted = (verb, resource, name)
        times = (call.time for call in calls if (call.verb, call.resource, call.name) == wanted)
        return datetime.fromisoformat(next(times)).timestamp()

    log = [json.loads(line) for line in release.kubectl("logs", name).splitlines()]

    def said(event: str) -> float:
        return float(next(line["time"] for line in log if line["event"] == event))

    return [
        first("create", "bridgeaccounts", account),
        first("patch", "bridgeaccounts/status", account),
        first("create", "secrets", name),
        first("create", "pods", name),
        first("create", "pods/binding", name),
        _began(pid),
        said("shard_started"),
        said("stream_opened"),
    ]


def _began(pid: int) -> float:
    """When a process of this machine began, in Unix seconds (proc(5), field 22)."""
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    up = float(Path("/proc/uptime").read_text().split()[0])
    return time.time() - up + ticks / _TICKS


def judged(found: list[list[float]]) -> Result:
    """Compare with what must be, and say where the time goes."""
    wholes = [moments[-1] - moments[0] for moments in found]
    steps = {
        step: round(median(moments[place + 1] - moments[place] for moments in found), 3)
        for place, step in enumerate(STEPS)
    }
    figures: Figures = {"create_to_code_seconds": distribution(wholes, 3), "steps_median_seconds": steps}
    return Result(NAME, figures, [at_most("create -> code, 19 of 20", MUST, quantile(wholes, 0.95), "s")])


async def measure(*, short: bool) -> Result:
    """Bring a cluster up, install, measure."""
    rounds = 3 if short else ROUNDS
    owners = [f"owner{number}" for number in range(rounds)]
    box = await asyncio.to_thread(Box.up, Options(NAME.replace("_", "-"), node=True, audit=True, owner=os.getpid()))
    try:
        with (
            tempfile.TemporaryDirectory(prefix="ponton-bench-") as folder,
            installed(Cluster.of(box), Path(folder), owners) as release,
        ):
            return judged(await measured(release, rounds))
    finally:
        await asyncio.to_thread(box.down)


if __name__ == "__main__":
    raise SystemExit(alone(measure, __doc__))
