"""The loop that both drivers share: what is planned is carried out in order; what only tells is written seldom."""

# ruff: noqa: ARG002  # a stand-in has the signatures of what it stands in for

import asyncio
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from ponton_bridge.coordination.contract import Happening, StateChange
from ponton_bridge.shard.logs import Log
from ponton_operator.cluster import reconcile
from ponton_operator.cluster.reconcile import Held, Reconciler, Stale, Template
from ponton_operator.plan.fleet import ask
from ponton_operator.plan.values import (
    Action,
    Again,
    AskPermit,
    Clean,
    Collect,
    Forget,
    Observed,
    Outcome,
    Start,
    Step,
    Stop,
    Urgency,
    WriteStatus,
)
from ponton_operator.resources.account import AccountStatus, BridgeAccount
from ponton_operator.resources.base import moment
from ponton_operator.resources.gateway import GatewayStatus
from ponton_operator.resources.running import Rollout, Scaling

STATE = StateChange("acc-1", 7, "i", "Connected", 5.0, xmpp=1, paired=1)


def account(name: str) -> BridgeAccount:
    """Make an account."""
    return BridgeAccount.model_validate(
        {"metadata": {"name": name}, "spec": {"owner": "a@x.test", "gatewayRef": {"name": "wa"}}}
    )


@dataclass(slots=True)
class Hands:
    """A backend that remembers what it was asked for; a deed named in `fails` raises that."""

    log: Log
    apart: float = 0.0
    accounts: dict[str, Held] = field(default_factory=lambda: {"acc-1": Held(account("acc-1"))})
    done: list[str] = field(default_factory=list)
    fails: dict[str, Exception] = field(default_factory=dict)
    cleaning: asyncio.Event = field(default_factory=asyncio.Event)

    def do(self, what: str) -> None:
        """Note a deed."""
        self.done.append(what)
        if error := self.fails.get(what.partition(" ")[0]):
            raise error

    def limits(self) -> tuple[Scaling, Rollout]:
        """Give the usual."""
        return Scaling(), Rollout()

    def template(self) -> Template:
        """Give nothing special."""
        return Template("r1", GatewayStatus())

    def all(self) -> list[BridgeAccount]:
        """Give all accounts."""
        return [held.account for held in self.accounts.values()]

    def held(self, name: str) -> Held | None:
        """Give one."""
        return self.accounts.get(name)

    def observe(self, name: str, held: Held) -> Observed:
        """See nothing."""
        return Observed(permit=held.permit, state=held.state)

    def is_from(self, state: StateChange) -> bool:
        """Believe instance i."""
        return state.instance == "i"

    async def prepare(self, name: str, held: Held) -> None:
        """Nothing to prepare."""

    async def write(self, name: str, held: Held, status: AccountStatus, *, decides: bool) -> None:
        """Write."""
        self.do(f"write {status.phase} {decides}")
        held.account = held.account.model_copy(update={"status": status})

    async def start(self, name: str, held: Held, action: Start) -> None:
        """Start."""
        self.do(f"start {action.epoch}")

    async def stop(self, name: str, epoch: int) -> None:
        """Stop."""
        self.do(f"stop {epoch}")

    async def collect(self, name: str, epoch: int) -> None:
        """Collect."""
        self.do(f"collect {epoch}")

    async def clean(self, account: BridgeAccount, action: Clean, seconds: float) -> Outcome:
        """Clean, when the test lets it."""
        self.do(f"clean {action.step}")
        await self.cleaning.wait()
        return Outcome(action.step, action.tries, ok=True)

    async def forget(self, name: str, held: Held, problems: tuple[str, ...]) -> Iterable[str]:
        """Forget."""
        self.do(f"forget {name}")
        del self.accounts[name]
        return ("acc-2",)

    async def without_account(self, name: str) -> None:
        """Nothing is left."""
        self.do(f"without {name}")


class Bench:
    """A reconciler whose plan the test writes, and its clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.out = io.StringIO()
        self.hands = Hands(Log(out=self.out))
        self.now = 1000.0
        self.plans: list[list[Action]] = []
        self.results: list[str] = []
        self.reactions: list[float] = []
        self.told: list[tuple[str, Happening]] = []
        self.reconciler = Reconciler(
            self.hands,
            lambda: self.now,
            lambda result, _: self.results.append(result),
            self.reactions.append,
            lambda name, news: self.told.append((name, news)),
        )
        monkeypatch.setattr(reconcile, "plan_account", self._plan)

    def _plan(self, *_: Any) -> list[Action]:  # noqa: ANN401  # whatever is asked
        return self.plans.pop(0) if self.plans else []

    async def run(self, *plan: Action, name: str = "acc-1") -> None:
        """Plan an account once with these actions."""
        self.plans = [list(plan)]
        await self.reconciler.reconcile(name)

    async def until(self, done: int) -> None:
        """Wait until so much was done."""
        async with asyncio.timeout(10):
            while len(self.hands.done) < done:  # noqa: ASYNC110  # the queue tells nobody
                await asyncio.sleep(0.005)

    def logged(self) -> list[str]:
        """Give the names of the logged events."""
        return [json.loads(line)["event"] for line in self.out.getvalue().splitlines()]


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """One account, nothing to do."""
    return Bench(monkeypatch)


def write(phase: str = "Running", *, urgent: bool = False) -> WriteStatus:
    """Make a write."""
    return WriteStatus(AccountStatus(phase=phase), urgent=urgent)


async def test_actions_are_done_in_their_order(bench: Bench) -> None:
    """The write first, since the rest rests on it."""
    await bench.run(write("Starting", urgent=True), Collect(1), Start(2), Stop(3))
    assert ["write Starting True", "collect 1", "start 2", "stop 3"] == bench.hands.done
    assert ["ok"] == bench.results


async def test_what_happened_is_told_once_it_is_written(bench: Bench) -> None:
    """A status that says the same again is no news."""
    for phase in ("Starting", "Starting", "Running"):
        await bench.run(write(phase, urgent=True))
        bench.now += 10
    assert [
        ("acc-1", Happening(1000.0, state="Starting ")),
        ("acc-1", Happening(1020.0, state="Running ")),
    ] == bench.told


async def test_of_an_account_on_its_way_out_nothing_is_told(bench: Bench) -> None:
    """What is told of it would be kept after everything of it was removed."""
    held = bench.hands.accounts["acc-1"]
    leaving = held.account.metadata.model_copy(update={"deletion_timestamp": moment(999)})
    held.account = held.account.model_copy(update={"metadata": leaving})
    await bench.run(write("Deleting", urgent=True))
    assert [] == bench.told


async def test_what_could_not_be_written_did_not_happen(bench: Bench) -> None:
    """It is told when it is."""
    bench.hands.fails["write"] = OSError()
    await bench.run(write("Running"))
    assert [] == bench.told


async def test_after_a_write_that_failed_nothing_follows(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is logged by its class, and tried again, each time later."""
    waits: list[float] = []
    monkeypatch.setattr(bench.reconciler.queue, "add_after", lambda _, seconds: waits.append(seconds))
    bench.hands.fails["write"] = OSError("canary")
    for _ in range(9):
        await bench.run(write(urgent=True), Start(2))
    assert {"write Running True"} == set(bench.hands.done)
    assert [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0] == waits
    assert ("plan_failed", 9) == (bench.logged()[0], bench.logged().count("plan_failed"))
    assert "canary" not in bench.out.getvalue()
    bench.hands.fails.clear()
    await bench.run(write(urgent=True))
    bench.hands.fails["write"] = OSError()
    await bench.run(write(urgent=True))
    assert 1.0 == waits[-1], "what went well once is forgiven"


async def test_a_stale_plan_is_made_again_at_once(bench: Bench) -> None:
    """Somebody else wrote: no fault, no wait, no log."""
    bench.hands.fails["write"] = Stale()
    await bench.run(write(urgent=True), Start(2))
    bench.hands.fails.clear()
    bench.plans = [[Stop(9)]]
    await bench.until(2)
    assert ["write Running True", "stop 9"] == bench.hands.done
    assert "stale" == bench.results[0]
    assert "plan_failed" not in bench.logged()


async def test_what_only_tells_is_written_seldom(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five seconds apart, and planned again when its time has come; what decides is written at once."""
    waits: list[float] = []
    monkeypatch.setattr(bench.reconciler.queue, "add_after", lambda _, seconds: waits.append(seconds))
    bench.hands.apart = 5.0
    await bench.run(write("A"))
    bench.now += 2.0
    await bench.run(write("B"), Stop(1))
    assert (["write A False", "stop 1"], [3.0]) == (bench.hands.done, waits)
    await bench.run(write("C", urgent=True))
    bench.now += 5.0
    await bench.run(write("D"))
    assert ["write C True", "write D False"] == bench.hands.done[2:]


async def test_who_waits_for_a_turn_is_not_told_so_at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The turn may come in a moment, and its write says it all."""
    waits: list[float] = []
    monkeypatch.setattr(bench.reconciler.queue, "add_after", lambda _, seconds: waits.append(seconds))
    monkeypatch.setattr(Reconciler, "admit", lambda _: None)
    bench.hands.apart = 5.0
    await bench.run(write("Pending"), AskPermit(Urgency.PERSON))
    bench.now += 4.0
    await bench.run(write("Pending"), AskPermit(Urgency.PERSON))
    assert [] == bench.hands.done
    bench.now += 1.0
    await bench.run(write("Pending"), AskPermit(Urgency.PERSON))
    assert ["write Pending False"] == bench.hands.done


async def test_a_crowd_that_waits_is_not_told_one_by_one(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand such writes would take longer than the turns do."""
    monkeypatch.setattr(Reconciler, "admit", lambda _: None)
    bench.hands.apart = 5.0
    await bench.run(write("Pending"), AskPermit(Urgency.PERSON))
    for number in range(9):
        ask(bench.reconciler._asks, f"other-{number}", Urgency.PERSON, bench.now, paired=False)
    bench.now += 19.0
    await bench.run(write("Pending"), AskPermit(Urgency.PERSON))
    assert [] == bench.hands.done
    bench.now += 1.0
    await bench.run(write("Pending"), AskPermit(Urgency.PERSON))
    assert ["write Pending False"] == bench.hands.done


async def test_what_passes_by_itself_is_told_later(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start and a login take seconds; what comes of them is told, and what takes long."""
    monkeypatch.setattr(bench.reconciler.queue, "add_after", lambda *_: None)
    bench.hands.apart = 5.0
    await bench.run(write("Starting"))
    bench.now += 14.0
    await bench.run(write("Connecting"))
    assert ["write Starting False"] == bench.hands.done
    await bench.run(write("Running"))
    bench.now += 15.0
    await bench.run(write("Connecting"))
    assert ["write Running False", "write Connecting False"] == bench.hands.done[1:]


async def test_what_passes_is_told_later_still_while_others_wait(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start among thousands takes longer, and its write would hold up another."""
    monkeypatch.setattr(bench.reconciler.queue, "add_after", lambda *_: None)
    bench.hands.apart = 5.0
    await bench.run(write("Starting"))
    ask(bench.reconciler._asks, "other", Urgency.PERSON, bench.now, paired=False)
    bench.now += 59.0
    await bench.run(write("Connecting"))
    assert ["write Starting False"] == bench.hands.done
    bench.now += 1.0
    await bench.run(write("Connecting"))
    assert ["write Connecting False"] == bench.hands.done[1:]


async def test_a_turn_comes(bench: Bench) -> None:
    """Who asked is planned again with the fleet's leave, which is good for one plan."""
    await bench.run(AskPermit(Urgency.PERSON))
    assert 1 == bench.reconciler.waiting
    async with asyncio.timeout(10):
        while bench.reconciler.waiting:  # noqa: ASYNC110  # a timer tells nobody
            await asyncio.sleep(0.005)
    held = bench.hands.accounts["acc-1"]
    held.permit = True
    await bench.run()
    assert not held.permit


async def test_only_news_of_the_true_process_is_taken(bench: Bench) -> None:
    """Heartbeats that say the same, older words and strangers plan nothing."""
    held, told = bench.hands.accounts["acc-1"], bench.reconciler.told
    bench.plans = [[Stop(number)] for number in range(9)]
    told(replace(STATE, instance="x"))
    told(replace(STATE, account="acc-9"))
    assert None is bench.hands.accounts["acc-1"].state
    told(STATE)
    await bench.until(1)
    told(replace(STATE, since=4.0, reason="Connecting"))
    told(replace(STATE, since=9.0))
    assert held.state == STATE
    told(replace(STATE, since=9.0, reason="Banned", until=99.0))
    await bench.until(2)
    told(replace(STATE, since=9.0, reason="Banned"))
    assert 99.0 == held.state.until, "a heartbeat does not know until when"
    told(replace(STATE, since=9.0, reason="Banned", until=100.0))
    assert 100.0 == held.state.until
    await bench.until(3)
    assert ["stop 0", "stop 1", "stop 2"] == bench.hands.done


async def test_a_step_of_a_deletion_runs_beside_and_once(bench: Bench) -> None:
    """Asked for again while it runs it is not begun again; its outcome is seen by the next plan."""
    step = Clean(Step.REDIS, 0, bench.now + 60)
    await bench.run(step, Again(bench.now + 60))
    await bench.run(step)
    await bench.until(1)
    assert ["clean Redis"] == bench.hands.done
    bench.plans = [[Stop(1)]]
    bench.hands.cleaning.set()
    await bench.until(2)
    assert Outcome(Step.REDIS, 0, ok=True) == bench.hands.accounts["acc-1"].outcome


async def test_with_an_account_its_twin_is_planned(bench: Bench) -> None:
    """What was forgotten is planned no more; of what is not ours what runs is ended."""
    await bench.run(Forget(("problem",)))
    await bench.until(2)
    assert ["forget acc-1", "without acc-2"] == bench.hands.done
    assert "account_deleted" in bench.logged()


async def test_reactions_are_measured_from_what_happened(bench: Bench) -> None:
    """From the first touch to the deed; a plan without a deed is no reaction."""
    bench.plans = [[Stop(1)]]
    bench.reconciler.touch("acc-1")
    await bench.until(1)
    assert 1 == len(bench.reactions)
    bench.reconciler.touch("acc-1")
    await bench.run(Again(bench.now + 1))
    assert 1 == len(bench.reactions)


async def test_closed_it_begins_nothing(bench: Bench) -> None:
    """What runs ends; what is added is not planned."""
    bench.plans = [[Stop(1)]]
    await bench.run(Clean(Step.STORE, 0, bench.now + 60))
    await bench.reconciler.close()
    bench.reconciler.touch("acc-1")
    await asyncio.sleep(0)
    assert "stop 1" not in bench.hands.done
