"""The field of the tests of scale: fake nodes, gateways with their servers and played shards, the three operators.

One operator of each kind serves all namespaces, with the rights that docs/operators.md lists. Used by `scale`.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

from ponton_bridge.model.states import Phase
from tests.bench.usage import cpu_seconds
from tests.cluster import servers
from tests.cluster.box import audit
from tests.cluster.operator_kit import DOORS, RBAC, Bed, Program, define, rights, standing
from tests.cluster.played_shards import Shards, played
from tests.cluster.quick import Quick, api_of
from tests.cluster.reach import Cluster, until
from tests.harness.redis import free_port

OPERATORS = ("accounts", "gateways", "scaler")
LOSE_EVERY = 8 * 3600.0  # seconds from one loss of a shard's connection to the next, on average: three a day
LIMITS = {"startsPerSecond": 100, "startsBurst": 100, "loginsPerSecond": 100}  # the API server's is the one that counts
TIERS = [{"name": "small", "memoryLimit": "256Mi"}, {"name": "large", "memoryLimit": "512Mi"}]
LOOK = 0.5  # seconds between two looks at whether a condition holds
DOMAIN = "wa{number}.example.test"
_HEADINGS = {"accounts": "The accounts operator", "gateways": "The gateways operator", "scaler": "The scaler"}


@dataclass
class Worker:
    """One operator, and where its metrics are."""

    program: Program
    bed: Bed
    port: int

    def figure(self, name: str, **labels: str) -> float:
        """Give the sum of a metric over everything that has these labels; 0 while it does not answer."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return 0.0
        found = (line for line in lines if line.startswith(f"{name}{{") and all(label in line for label in wanted))
        return sum(float(line.rpartition(" ")[2]) for line in found)

    def memory(self) -> float:
        """Give its largest resident memory so far, in MiB; 0 of a process that has just ended."""
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{self.program.pid}/status").read_text())
        return int(found[1]) / 1024 if found else 0.0

    def cpu(self) -> float:
        """Give the CPU seconds that it has used."""
        return cpu_seconds(self.program.pid)


@dataclass
class Field:
    """Everything; `places` are the beds of the gateways' namespaces, as `quick` and `shards` are."""

    cluster: Cluster
    places: Sequence[Bed]
    quick: Sequence[Quick]
    shards: Sequence[Shards]
    workers: dict[str, Worker] = field(default_factory=dict)

    def mark(self) -> int:
        """Give where the audit log ends now, to look at what comes afterwards."""
        assert self.cluster.box
        return self.cluster.box.folder.audit_log.stat().st_size

    def calls(self, since: int = 0) -> list[audit.Call]:
        """Give everybody's calls since a mark, 0 for all since the field was laid out."""
        assert self.cluster.box
        return audit.calls(self.cluster.box.folder.audit_log, since or self.places[0].since)

    def writes(self, since: int) -> dict[str, int]:
        """Count what each operator has written since a mark."""
        calls = self.calls(since)
        return {
            name: audit.writes(call for call in calls if call.user == worker.bed.user)
            for name, worker in self.workers.items()
        }

    def which(self, since: int) -> dict[str, int]:
        """Count what the operators have written since a mark, by operator, verb and resource."""
        calls = audit.writing(self.calls(since))
        counts = {name: audit.counted(calls, worker.bed.user) for name, worker in self.workers.items()}
        return {f"{name} {verb} {what}": n for name, found in counts.items() for (verb, what), n in found.items()}

    def phases(self) -> dict[Phase, int]:
        """Count the accounts by phase, as their status says."""
        found = dict.fromkeys(Phase, 0)
        for each in self.quick:
            for account in each.accounts().values():
                found[Phase(account.get("status", {}).get("phase") or Phase.PENDING)] += 1
        return found

    @property
    def connected(self) -> int:
        """Count the shards that are connected."""
        return sum(each.connected for each in self.shards)

    def rest(self, seconds: float) -> None:
        """Let time pass, in which operators are started again that lost their Lease on a starved machine."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(LOOK)
            for worker in self.workers.values():
                worker.program.keep()

    def until(self, what: str, condition: Callable[[], object], seconds: float) -> None:
        """Wait as `reach.until`, and have operators started again that lost their Lease on a starved machine."""

        def look() -> object:
            time.sleep(LOOK)
            return all(worker.program.keep() for worker in self.workers.values()) and condition()

        until(what, look, seconds)


@contextmanager
def laid_out(cluster: Cluster, folder: Path, gateways: int, writes: float) -> Iterator[Field]:
    """Make the field: namespaces with gateways, the operators running in one of their own; `writes` is their pace."""
    assert cluster.box
    with ExitStack() as stack:
        define(cluster)
        port, _ = stack.enter_context(servers.prosody())
        since = cluster.box.folder.audit_log.stat().st_size
        home = stack.enter_context(cluster.namespace())
        places, shards = [], []
        for number in range(gateways):
            place = folder / f"gateway-{number}"
            place.mkdir()
            redis = stack.enter_context(servers.redis(place))
            namespace = stack.enter_context(cluster.namespace())
            made = Bed(cluster, namespace, home, place, since)
            made.gateway(
                port, redis.port, domain=DOMAIN.format(number=number), xmpp={"host": "192.0.2.10"},
                scaling=LIMITS | {"tiers": TIERS},
            )  # fmt: skip
            places.append(made)
            shards.append(Shards(redis.url, "wa", namespace, lose_every=LOSE_EVERY, seed=number + 1))
        stack.enter_context(played(shards, api_of(cluster, "box")))
        quick = [Quick(api_of(cluster, keep=True), place.namespace) for place in places]
        for each in quick:
            stack.callback(each.api.close)
        made_field = Field(cluster, places, quick, shards)
        for name in OPERATORS:
            made_field.workers[name] = _operator(stack, made_field, home, folder, name, writes)
        yield made_field


def _operator(stack: ExitStack, field_: Field, home: str, folder: Path, name: str, writes: float) -> Worker:
    """Run an operator; its rights go at the end."""
    cluster = field_.cluster
    place = folder / name
    place.mkdir()
    made = Bed(cluster, home, home, place, field_.places[0].since, name)
    inside, outside = rights(_HEADINGS[name])
    objects = standing(name, home, f"{home}-{name}", [*inside, *outside])
    if name == "gateways":
        rules, _ = rights("The front desk on a cluster")
        objects.append({"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": DOORS}, "rules": rules})
        stack.callback(cluster.kubectl, "delete", "clusterrole", DOORS)
    cluster.apply(*objects)
    stack.callback(cluster.kubectl, "delete", "clusterrole,clusterrolebinding", f"{home}-{name}")
    port = free_port()
    program = stack.enter_context(
        made.operator(
            POD_ID=f"{name}-0",
            PONTON_NAMESPACES=",".join(each.namespace for each in field_.places),
            PONTON_METRICS_PORT=str(port),
            PONTON_OPERATOR_IMAGE="ponton-operator:test",
            PONTON_WRITES_PER_SECOND=str(writes),
        )
    )
    return Worker(program, made, port)
