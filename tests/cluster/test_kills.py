"""The accounts operator is killed 50 times while 200 accounts come, change and go: nobody has two pods, all ends well.

On fake nodes, with shards that are played, so that pods run, end and are unlinked. In the second half of the kills, and
until everything has come to rest, the operator's watches are late.
"""

import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.bench.report import say
from tests.cluster import servers
from tests.cluster.box import audit
from tests.cluster.late_watch import LateWatch, late_watch
from tests.cluster.operator_kit import Bed, Program, bed
from tests.cluster.played_shards import Shards, played
from tests.cluster.pod_lives import lives, overlaps
from tests.cluster.quick import Quick, api_of
from tests.cluster.reach import Cluster, Object, until

ACCOUNTS = 200
BEFORE = 80  # of them that are there before the first kill
KILLS = 50
IN_BEGINNING = 0.2  # share of the kills that come before the operator has begun to work
WORK = 2.0  # seconds of work before a kill at most, drawn anew each time
LATE = 1.0  # seconds that watches are late in the second half
CHANGES = 10  # between two kills
WRITES = 60  # a second, so that minutes are enough for all of it
REST = 300.0  # seconds until all that was asked for is done
AT_ONCE = 16  # calls of an operator that run at the same time, so that a kill may have it do them again
SEED = 5
# Writes of ours that may be needed: a start; an end that we saw to; a deletion; a change of what is wanted.
START, END, DELETION, CHANGE = 5, 4, 10, 1


@dataclass
class World:
    """What people want of the accounts, which is what there should be in the end."""

    bed: Bed
    quick: Quick
    rng: random.Random
    wanted: dict[str, str] = field(default_factory=dict)  # the desired state of each, "" for those that were deleted
    done: Counter[str] = field(default_factory=Counter)

    def change(self) -> None:
        """Do what people and nodes do."""
        alive = [name for name, wanted in self.wanted.items() if wanted]
        kinds: list[Callable[[str], None]] = [self.delete, self.turn, self.turn, self.end_pod]
        if not alive or (len(self.wanted) < ACCOUNTS and self.rng.random() < 0.5):
            self.make(f"acc-{len(self.wanted):03d}")
        else:
            self.rng.choice(kinds)(self.rng.choice(alive))

    def make(self, name: str) -> None:
        """Somebody registers."""
        self.quick.make(self.bed.account(name))
        self.wanted[name] = "Running"
        self.done["make"] += 1

    def delete(self, name: str) -> None:
        """Somebody goes."""
        if self.rng.random() < 0.5:
            self.quick.remove("bridgeaccounts", name)
            self.wanted[name] = ""
            self.done["delete"] += 1

    def turn(self, name: str) -> None:
        """The host stops an account, or has it run."""
        desired = "Stopped" if self.wanted[name] == "Running" else "Running"
        self.quick.change(name, desired=desired)
        self.wanted[name] = desired
        self.done["turn"] += 1

    def end_pod(self, name: str) -> None:
        """Somebody deletes the account's pod."""
        for pod in self.quick.items("pods", f"ponton.im/account={name}"):
            self.quick.remove("pods", pod["metadata"]["name"])
            self.done["pod"] += 1

    def right(self) -> bool:
        """Whether everything is as it should be; asked not too often, since each time all objects are read."""
        time.sleep(1.0)
        return not self.wrong()

    def wrong(self) -> list[str]:
        """Say what is not as it should be."""
        accounts = self.quick.accounts()
        kinds = ("pods", "secrets", "persistentvolumeclaims")
        pods, secrets, claims = (_by_account(self.quick.items(kind)) for kind in kinds)
        found = []
        for name, wanted in self.wanted.items():
            status = accounts.get(name, {}).get("status", {})
            epoch = status.get("epoch", 0)
            expected = [f"{name}-{epoch}"] if wanted == "Running" else []
            if expected != pods[name]:
                found.append(f"{name} ({wanted}, epoch {epoch}) has pods {pods[name]}")
            if expected != secrets[name]:
                found.append(f"{name} ({wanted}, epoch {epoch}) has Secrets {secrets[name]}")
            if wanted and status.get("phase") != wanted:
                found.append(f"{name} ({wanted}) is {status.get('phase')}")
            if not wanted and (name in accounts or claims[name]):
                found.append(f"{name} is deleted and still there")
            if wanted == "Running" and claims[name] != [name]:
                found.append(f"{name} has claims {claims[name]}")
        return found


def _by_account(items: list[Object]) -> dict[str, list[str]]:
    found = defaultdict(list)
    for item in items:
        found[item["metadata"]["labels"].get("ponton.im/account", "")].append(item["metadata"]["name"])
    return found


@pytest.fixture
def world(fake_cluster: Cluster, tmp_path: Path) -> Iterator[World]:
    """A namespace with a gateway, its servers, fake nodes, and shards that are played."""
    api = api_of(fake_cluster, "box")
    with (
        servers.prosody() as prosody,
        servers.redis(tmp_path) as redis,
        fake_cluster.namespace() as name,
        bed(fake_cluster, name, tmp_path) as made,
        played([Shards(redis.url, "wa", name)], api),
    ):
        limits = {"startsPerSecond": 100, "startsBurst": 100, "loginsPerSecond": 100}
        made.gateway(prosody[0], redis.port, scaling=limits)
        yield World(made, Quick(api_of(fake_cluster), name), random.Random(SEED))


@pytest.fixture
def way(fake_cluster: Cluster) -> Iterator[LateWatch]:
    """The operator's way to the API server."""
    with late_watch(fake_cluster.kubeconfig) as made:
        yield made


@pytest.mark.timeout(900)
def test_fifty_kills_cost_no_account_its_one_pod(world: World, way: LateWatch, tmp_path: Path) -> None:
    """Whatever is being done when it is killed, the next one finishes."""
    began = time.monotonic()
    here = world.bed
    server = f"http://127.0.0.1:{way.port}"
    # A container that is started again has its pod's name, and with it the Lease.
    told = {"POD_ID": "operator-0", "PONTON_WRITES_PER_SECOND": str(WRITES)}
    with here.operator(KUBECONFIG=str(here.kubeconfig(server)), **told) as program:
        for number in range(BEFORE):
            world.make(f"acc-{number:03d}")
        until("pods", lambda: program.keep() and len(world.quick.items("pods")) >= BEFORE // 2, REST)
        program.kill()
        for number in range(KILLS):
            way.seconds = LATE if number >= KILLS // 2 else 0.0
            _live(world, program)
            program.kill()
        _finish(world)
        program.start()
        settled = time.monotonic()
        until("everything as it should be", lambda: program.keep() and world.right(), REST)
    seen = time.monotonic()
    say(f"{KILLS} kills in {settled - began:.0f} s, at rest after {seen - settled:.0f} s more; {dict(world.done)}")
    calls = here.calls()
    assert here.cluster.box
    everybody = audit.calls(here.cluster.box.folder.audit_log, here.since)
    pods = [call for call in everybody if call.namespace == here.namespace and call.resource == "pods"]
    assert [] == overlaps(pods)
    assert [] == [call for call in calls if call.code == 403]
    _within_budget(world, pods, calls)


def _live(world: World, program: Program) -> None:
    """Let the operator live for a while, in which things happen."""
    if world.rng.random() < IN_BEGINNING:
        program.launch()
        time.sleep(world.rng.uniform(0.0, WORK))
    else:
        program.start()
    end = time.monotonic() + world.rng.uniform(0.0, WORK)
    for _ in range(CHANGES):
        world.change()
        time.sleep(max(0.0, (end - time.monotonic()) / CHANGES))
    time.sleep(max(0.0, end - time.monotonic()))


def _finish(world: World) -> None:
    """Make the accounts that are still to come."""
    for number in range(len(world.wanted), ACCOUNTS):
        world.make(f"acc-{number:03d}")


def _within_budget(world: World, pods: list[audit.Call], calls: list[audit.Call]) -> None:
    """Nothing is done twice but what a kill has cut off."""
    found = lives(pods)
    starts = sum(len(of_one) for of_one in found.values())
    ends = sum(bool(life.until) for of_one in found.values() for life in of_one)
    wanted = START * starts + END * ends + DELETION * world.done["delete"] + CHANGE * world.done["turn"]
    say(f"{starts} starts, {ends} ends, {audit.writes(calls)} writes (at most {wanted} and {AT_ONCE * KILLS})")
    say(", ".join(f"{n} {verb} {what}" for (verb, what), n in audit.counted(audit.writing(calls)).most_common()))
    assert audit.writes(calls) <= wanted + AT_ONCE * KILLS
    made = Counter((call.resource, call.name) for call in calls if call.verb == "create" and call.name and call.ok)
    assert [] == [key for key, count in made.items() if count > 1]
