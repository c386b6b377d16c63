"""Lives of many accounts at once, with real limits: the fleet's rations, the index of owners and the plan together.

A small driver on simulated time runs them all, and plans an account only when something happened to it or when it asked
to be planned again; what is checked is what a host sees: nobody starves, nobody starts twice, no storm at WhatsApp, and
a calm fleet costs nothing.
"""

import random
from dataclasses import dataclass, field, replace

import pytest

from ponton_bridge.coordination.contract import StateChange
from ponton_bridge.model.states import Phase
from ponton_operator.plan.account import plan_account
from ponton_operator.plan.fleet import Ask, Owners, Rations, admit, ask
from ponton_operator.plan.values import (
    Action,
    Again,
    AskPermit,
    Collect,
    Observed,
    Process,
    Start,
    Stop,
    WriteStatus,
)
from ponton_operator.resources.account import BridgeAccount, Desired
from ponton_operator.resources.base import moment
from ponton_operator.resources.running import Rollout, Scaling

START = 1_800_000_000.0
TICK = 0.1  # seconds of simulated time between two looks


@dataclass(slots=True)
class Life:
    """One account with its process and what it told."""

    account: BridgeAccount
    process: Process | None = None
    state: StateChange | None = None
    permit: bool = False
    due: float | None = 0.0  # when to plan it, None when nothing is to be expected


@dataclass(slots=True)
class Fleet:
    """All of them, on one clock."""

    scaling: Scaling
    rollout: Rollout = field(default_factory=Rollout)
    revision: str = "r1"
    now: float = START
    lives: dict[str, Life] = field(default_factory=dict)
    owners: Owners = field(default_factory=Owners)
    asks: dict[str, Ask] = field(default_factory=dict)
    starts: list[tuple[float, str]] = field(default_factory=list)
    writes: int = 0
    rations: Rations | None = None

    def add(self, name: str, owner: str | None = None) -> None:
        """Make an account."""
        account = BridgeAccount.model_validate({
            "metadata": {"name": name, "creationTimestamp": moment(self.now)},
            "spec": {"owner": f"{owner or name}@example.test", "gatewayRef": {"name": "wa"}},
        })  # fmt: skip
        self.lives[name] = Life(account)
        self.owners.put(account)

    def run(self, seconds: float) -> None:
        """Let time pass: plan what is due, let those go on whose turn it is."""
        end = self.now + seconds
        while self.now < end:
            self.now += TICK
            for name, life in self.lives.items():
                if life.due is not None and life.due <= self.now:
                    life.due = None
                    for action in self._plan(name, life):
                        self._act(name, life, action)
            self._admit()

    def update(self, revision: str, *, paused: bool = False) -> None:
        """Change the template, and how it is rolled out."""
        self.revision, self.rollout = revision, Rollout(paused=paused)
        for life in self.lives.values():
            life.due = 0.0

    def _plan(self, name: str, life: Life) -> list[Action]:
        seen = Observed(
            processes=(life.process,) if life.process else (),
            state=life.state,
            twin=self.owners.twin(name),
            permit=life.permit,
            revision=self.revision,
        )
        life.permit = False
        actions = plan_account(life.account, seen, self.now)
        if not any(isinstance(action, AskPermit) for action in actions):
            self.asks.pop(name, None)
        return actions

    def _act(self, name: str, life: Life, action: Action) -> None:
        match action:
            case WriteStatus(status):
                life.account = life.account.model_copy(update={"status": status})
                self.writes += 1
            case AskPermit(urgency):
                ask(self.asks, name, urgency, self.now)
            case Start(epoch):
                assert life.process is None
                self.starts.append((self.now, name))
                life.state = StateChange(name, epoch, "i", "Connected", self.now, xmpp=1, paired=1)
                self._see(life, Process(epoch))
            case Stop():
                assert life.process
                self._see(life, replace(life.process, told=True, ended=True, exit_code=0))
            case Collect():
                life.process = None
            case Again(at):
                life.due = at

    def _see(self, life: Life, process: Process) -> None:
        life.process, life.due = process, 0.0

    def _admit(self) -> None:
        rations = self.rations or Rations.full(self.scaling, self.now)
        admission = admit(self.asks.values(), rations, self.scaling, self.rollout, self.now)
        self.rations = admission.rations
        for name in admission.names:
            del self.asks[name]
            self.lives[name].permit, self.lives[name].due = True, 0.0

    def crash(self, name: str) -> None:
        """Let a process end."""
        life = self.lives[name]
        if life.process:
            self._see(life, replace(life.process, ended=True, exit_code=1))

    def want(self, name: str, desired: Desired) -> None:
        """Change what people want."""
        life = self.lives[name]
        spec = life.account.spec.model_copy(update={"desired": desired})
        life.account, life.due = life.account.model_copy(update={"spec": spec}), 0.0

    def running(self) -> set[str]:
        """Give the names of those that are linked."""
        return {name for name, life in self.lives.items() if life.account.status.phase == Phase.RUNNING}

    def most(self, seconds: float) -> int:
        """Give the most starts in any such span of time."""
        times = [at for at, _ in self.starts]
        return max((sum(1 for other in times if at <= other < at + seconds) for at in times), default=0)


@pytest.fixture
def fleet() -> Fleet:
    """A hundred accounts of a gateway that lets five start in a second, ten at once."""
    made = Fleet(Scaling(starts_per_second=5, starts_burst=10))
    for number in range(100):
        made.add(f"acc-{number:03}")
    return made


def test_a_fleet_comes_up_in_order(fleet: Fleet) -> None:
    """All start, the burst first, then five a second, each once, oldest first; at rest nothing is written."""
    fleet.run(25)
    assert fleet.lives.keys() == fleet.running()
    names = [name for _, name in fleet.starts]
    assert sorted(names) == names
    assert fleet.most(1.0) <= 10 + 5
    before = fleet.writes
    fleet.run(10)
    assert before == fleet.writes


def test_a_lost_machine_is_no_storm(fleet: Fleet) -> None:
    """When all end at once they come back within the limit, and somebody new goes ahead of them."""
    fleet.run(200)  # long enough to count as healthy
    fleet.starts.clear()
    for name in fleet.lives:
        fleet.crash(name)
    fleet.run(2)
    fleet.add("zz-new")
    fleet.run(1)
    assert "zz-new" in {name for _, name in fleet.starts}
    assert len(fleet.starts) < 60
    fleet.run(25)
    assert fleet.lives.keys() == fleet.running()
    assert fleet.most(1.0) <= 10 + 5


def test_one_that_crashes_takes_nobodys_turn(fleet: Fleet) -> None:
    """An account that ends at once, again and again, waits out its backoff and never keeps others from starting."""
    for _ in range(600):
        fleet.run(TICK)
        fleet.crash("acc-000")
    assert fleet.lives.keys() - {"acc-000"} == fleet.running()
    assert "Crashing" == fleet.lives["acc-000"].account.status.reason
    assert sum(1 for _, name in fleet.starts if name == "acc-000") <= 8  # at once, then 1, 2, 4 … seconds in a minute


def test_a_rollout_goes_through_one_by_one(fleet: Fleet) -> None:
    """A new revision restarts all, one a second and with a start each, and is no crash of anybody."""
    fleet.run(25)
    fleet.starts.clear()
    fleet.update("r2")
    fleet.run(30)
    assert 25 <= len(fleet.starts) <= 32
    fleet.run(90)
    shards = [life.account.status.shard for life in fleet.lives.values()]
    assert {"r2"} == {shard.revision for shard in shards if shard}
    assert fleet.lives.keys() == fleet.running()
    assert 100 == len(fleet.starts)
    assert {0} == {life.account.status.retry.failures for life in fleet.lives.values()}


def test_a_paused_rollout_touches_nobody(fleet: Fleet) -> None:
    """While the rollout is paused the old revision runs on; who crashes comes back with the new one."""
    fleet.run(25)
    fleet.starts.clear()
    fleet.update("r2", paused=True)
    fleet.run(10)
    assert [] == fleet.starts
    fleet.crash("acc-007")
    fleet.run(2)
    assert ["acc-007"] == [name for _, name in fleet.starts]


@pytest.mark.parametrize("seed", range(5))
def test_any_weather_ends_as_wanted(fleet: Fleet, seed: int) -> None:
    """After random crashes and changes of mind each account is as it is wanted, and starts kept to the limit."""
    chance = random.Random(seed)
    wanted = dict.fromkeys(fleet.lives, Desired.RUNNING)
    for _ in range(200):
        name = chance.choice(list(fleet.lives))
        if chance.random() < 0.5:
            fleet.crash(name)
        else:
            wanted[name] = chance.choice(list(Desired))
            fleet.want(name, wanted[name])
        fleet.run(chance.choice([0.1, 0.5]))
    fleet.run(330)  # beyond the longest backoff
    assert {name for name, desired in wanted.items() if desired is Desired.RUNNING} == fleet.running()
    assert {name for name, desired in wanted.items() if desired is not Desired.RUNNING} == {
        name for name, life in fleet.lives.items() if life.process is None
    }
    assert fleet.most(1.0) <= 10 + 5
