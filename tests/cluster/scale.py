"""Ten thousand accounts on fake nodes: how long, how many writes, how soon, how large. `python -m tests.cluster.scale`.

Needs root, and an hour. Four gateways in four namespaces are served by one operator of each kind; the shards are
played (`played_shards`): heartbeats and states of all of them reach a real Redis as often as real ones would say them.
`--short` does it with 200 accounts. `test_scale` does it with 2,000.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ponton_bridge.model.states import Phase
from tests.bench.figures import Line, at_most, distribution, holds, quantile
from tests.bench.report import Result, alone, say
from tests.cluster.box import audit
from tests.cluster.box.box import Box
from tests.cluster.box.layout import Options
from tests.cluster.pod_lives import overlaps
from tests.cluster.reach import Cluster
from tests.cluster.scale_field import Field, laid_out
from tests.cluster.scale_figures import Change, fastest, of_each, reactions, seconds

NAME = "scale"
ACCOUNTS = 10_000
GATEWAYS = 4
WRITES = 20.0  # a second: the operators' own pace, and the most that there may be
SLACK = 0.5  # writes a second: the burst after a quiet time, spread over the window
MADE = 20.0  # accounts a second that people make: the same churn, from the others' side
MINUTES = 45.0  # until all accounts run
A_START = 5.0  # writes of ours
ANSWER = 5.0  # seconds from a change to our deed, 99 % of them
MEMORY = 512.0  # MiB of an operator
SYNCED = 120.0  # seconds from the start of an operator to everything planned
SETTLE = 20.0  # seconds until what was coalesced is written
QUIET = 15.0  # seconds without news of an account, after which a loss is told at once
PATIENCE = 3.0  # times the time that it should take, until we give up
NODE = 500  # accounts on a fake node


@dataclass(frozen=True, slots=True)
class Size:
    """How much of it; `every` is the time between two changes by people meanwhile, `rest` that without any: seconds."""

    accounts: int = ACCOUNTS
    gateways: int = GATEWAYS
    writes: float = WRITES
    every: float = 20.0
    rest: float = 60.0

    @property
    def limit(self) -> float:
        """The seconds in which all accounts have to run, at this pace; for 10,000 at 20 writes it is MINUTES."""
        return MINUTES * 60 * self.accounts / ACCOUNTS * WRITES / self.writes


def nodes(size: Size) -> int:
    """Give how many fake nodes it takes, with room for front desks."""
    return size.accounts // NODE + 2


@dataclass
class Course:
    """One run, and what came of it."""

    size: Size
    ground: Field
    began: float = 0.0  # seconds since 1970
    running: float = 0.0
    stopped: dict[tuple[int, str], float] = field(default_factory=dict)  # gateway and account, and when

    def run(self) -> None:
        """From the first account to the last one that runs, with changes meanwhile."""
        self.began = time.time()
        names = [f"acc-{number:05d}" for number in range(self.size.accounts)]
        for number, name in enumerate(names):
            gateway = number % self.size.gateways
            self.ground.quick[gateway].make(self.ground.places[gateway].account(name))
            self._meanwhile()
            time.sleep(max(0.0, self.began + (number + 1) / MADE - time.time()))
        say(f"{len(names)} accounts made in {time.time() - self.began:.0f} s")
        self.ground.until("all accounts run", self._all_run, self.size.limit * PATIENCE)
        self.running = time.time()
        say(f"{len(names)} accounts run after {self.running - self.began:.0f} s")

    def _meanwhile(self) -> None:
        """Stop an account that runs, now and then."""
        last = max(self.stopped.values(), default=self.began)
        if time.time() - last < self.size.every:
            return
        gateway = len(self.stopped) % self.size.gateways
        for said in self.ground.shards[gateway].said[::7]:
            if (gateway, said.account) not in self.stopped and time.time() - said.at > QUIET:
                self.ground.quick[gateway].change(said.account, desired="Stopped")
                self.stopped[gateway, said.account] = time.time()
                return

    def _all_run(self) -> bool:
        self._meanwhile()
        return self.ground.connected + len(self.stopped) >= self.size.accounts

    def settle(self) -> None:
        """Have those started again that were stopped, and wait until everything is written."""
        for each in self.ground.shards:
            each.calm = True
        for gateway, name in self.stopped:
            self.ground.quick[gateway].change(name, desired="Running")
        wanted = self.size.accounts
        self.ground.until("all run again", lambda: self.ground.connected >= wanted, self.size.limit + 120)
        self.ground.until("all are said to run", lambda: self.ground.phases()[Phase.RUNNING] == wanted, 300)
        self.ground.rest(SETTLE)

    def restart(self, name: str) -> float:
        """Kill an operator and start it; gives the seconds until it has looked at everything."""
        worker, began = self.ground.workers[name], time.monotonic()
        worker.program.kill()
        worker.program.start()
        kind, looks = {
            "accounts": ("account", self.size.accounts),
            "gateways": ("gateway", self.size.gateways),
            "scaler": ("sweep", 1),
        }[name]
        self.ground.until(
            f"{name} has looked at all",
            lambda: worker.figure("ponton_reconciles_total", kind=kind) >= looks,
            SYNCED * 2,
        )
        return time.monotonic() - began

    def losses(self) -> list[Change]:
        """Give the losses of connections that were told while the accounts started, of accounts that had been quiet."""
        return [
            Change(f"{shards.namespace}/{said.account}", said.at)
            for shards in self.ground.shards
            for said in list(shards.said)
            if said.reason == "ConnectionLost" and said.quiet > QUIET and said.at < self.running - ANSWER
        ]

    def stops(self) -> list[Change]:
        """Give what people did meanwhile."""
        return [
            Change(f"{self.ground.places[gateway].namespace}/{name}", at)
            for (gateway, name), at in self.stopped.items()
        ]


def go(size: Size, field_: Field) -> Result:
    """Measure everything on a field that is laid out."""
    course, workers = Course(size, field_), field_.workers
    course.run()
    course.settle()
    cpu = {name: worker.cpu() for name, worker in workers.items()}
    memory = {name: worker.memory() for name, worker in workers.items()}
    mark = field_.mark()
    field_.rest(size.rest)
    rest = field_.writes(mark)
    idle = {name: (worker.cpu() - cpu[name]) / size.rest * 100 for name, worker in workers.items()}
    mark = field_.mark()
    synced = {name: course.restart(name) for name in workers}
    field_.rest(SETTLE)
    again = field_.writes(mark)
    memory = {name: max(memory[name], worker.memory()) for name, worker in workers.items()}
    everybody = field_.calls()
    calls = [call for call in everybody if call.user == workers["accounts"].bed.user]
    double = overlaps(call for call in everybody if call.name.startswith("acc-"))
    figures: dict[str, object] = {
        "accounts": size.accounts,
        "gateways": size.gateways,
        "pace": size.writes,
        "seconds_to_running": round(course.running - course.began),
        "heartbeats": sum(each.beats for each in field_.shards),
        "heartbeat_late_s": round(max(each.late for each in field_.shards), 2),
        "cpu_percent_at_rest": {name: round(share, 1) for name, share in idle.items()},
        "cpu_seconds_to_rest": {name: round(used, 1) for name, used in cpu.items()},
        "memory_mib": {name: round(mib) for name, mib in memory.items()},
        "restart_s": {name: round(took, 1) for name, took in synced.items()},
        "writes_at_rest": rest,
        "writes_of_a_restart": again,
        "which": field_.which(mark),
    }
    lines = _judge(course, calls, figures)
    lines += [
        at_most(f"memory of the {name} operator", MEMORY, mib, "MiB") for name, mib in memory.items()
    ]  # fmt: skip
    lines += [at_most(f"restart of the {name} operator", SYNCED, took, "s") for name, took in synced.items()]
    lines.append(holds("writes at rest, apart from Leases", "0", sum(rest.values())))
    lines.append(holds("writes of restarted operators", "0", sum(again.values())))
    lines.append(holds("two pods of one account", "never", len(double)))
    return Result(NAME, figures, lines)


def _judge(course: Course, calls: Sequence[audit.Call], figures: dict[str, object]) -> list[Line]:
    """Judge what the accounts operator did until all accounts ran, and add its figures."""
    size = course.size
    ramp = [call for call in calls if seconds(call.time) <= course.running + SETTLE]
    writes = of_each(ramp)
    changed = {change.account for change in (*course.stops(), *course.losses())}
    changed |= {
        f"{s.namespace}/{said.account}"
        for s in course.ground.shards
        for said in s.said
        if said.reason == "ConnectionLost"
    }
    starts = [float(count) for account, count in writes.items() if account not in changed]
    ends = [call for call in calls if (call.verb, call.resource) == ("delete", "pods")]
    took = {"stops": reactions(ends, course.stops()), "losses": reactions(calls, course.losses())}
    for name, found in took.items():
        if found:
            figures[f"reaction_to_{name}_s"] = distribution(found)
    both = [*took["stops"], *took["losses"]]
    figures["writes_of_a_start"] = distribution(starts)
    figures["writes_per_second"] = round(fastest(ramp), 1)
    refused = [call for call in calls if call.verb in audit.WRITES and not call.ok]
    figures["refused_writes"] = len(refused)
    limit = size.limit / 60
    return [
        at_most(f"{size.accounts:,} accounts running", limit, (course.running - course.began) / 60, "minutes"),
        at_most("writes a second, over any minute", size.writes + SLACK, fastest(ramp), "a second"),
        at_most("writes of a start, at most", A_START, max(starts), "writes"),
        at_most(f"reaction to a change meanwhile, p99 of {len(both)}", ANSWER, quantile(both, 0.99), "s"),
    ]


async def measure(*, short: bool) -> Result:
    """Bring a box up, measure, take it down."""
    return await asyncio.to_thread(_measured, Size(accounts=200, gateways=2, every=2.0) if short else Size())


def _measured(size: Size) -> Result:
    with tempfile.TemporaryDirectory(prefix="ponton-scale-") as folder:
        box = Box.up(Options(f"scale-{os.getpid()}", kwok=nodes(size), audit=True, owner=os.getpid()))
        try:
            with laid_out(Cluster.of(box), Path(folder), size.gateways, size.writes) as made:
                return go(size, made)
        finally:
            left = box.down()
            if left:
                say(f"left behind: {', '.join(left)}")


if __name__ == "__main__":
    raise SystemExit(alone(measure, __doc__))
