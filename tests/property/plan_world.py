"""A small world for the plan of an account: processes that crash, views that lag, writes that collide.

Used by test_plan_account.py. The driver here does what the real ones do: plan from what it sees, write with optimistic
concurrency, carry out in order, remember what it started until its view shows it.
"""

from dataclasses import dataclass, field, replace

from ponton_bridge.coordination.contract import StateChange
from ponton_bridge.model.states import Reason
from ponton_operator.plan.account import plan_account
from ponton_operator.plan.ends import EX_CONFIG, HEALTHY_AFTER, PARKS
from ponton_operator.plan.values import (
    Action,
    Again,
    AskPermit,
    Clean,
    Collect,
    Forget,
    Observed,
    Outcome,
    Process,
    Start,
    Step,
    Stop,
    WriteStatus,
)
from ponton_operator.resources.account import AccountStatus, BridgeAccount, Desired
from ponton_operator.resources.base import moment


def new_account(**spec: object) -> BridgeAccount:
    """Make an account as a door does."""
    return BridgeAccount.model_validate(
        {
            "metadata": {"name": "acc-1", "generation": 1, "creationTimestamp": "2026-11-23T00:00:00Z"},
            "spec": {"owner": "alice@example.test", "gatewayRef": {"name": "wa"}, **spec},
        }
    )


def expected_wait(failures: int) -> float:
    """Say in other words than the product what the wait should be: at once, then 1, 2, 4 … up to 300 s."""
    return [0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256][failures] if failures < 11 else 300


@dataclass(slots=True)
class Life:
    """The true life of one process."""

    started: float
    ended: float | None = None
    told: bool = False
    code: int | None = None


@dataclass(slots=True)
class World:
    """What truly is, what is seen of it, and what was done."""

    now: float = 1_800_000_000.0
    accounts: list[BridgeAccount] = field(default_factory=lambda: [new_account()])  # all versions, newest last
    views: list[tuple[Process, ...]] = field(default_factory=lambda: [()])  # all process lists, newest last
    lives: dict[int, Life] = field(default_factory=dict)
    seen_account: int = 0
    seen_view: int = 0
    must_see: int = 0  # index of the view that shows our last start
    state: StateChange | None = None
    twin: str = ""
    permit: bool = False
    asked: bool = False
    revision: str = "r1"
    outcome: Outcome | None = None
    cleaned: set[Step] = field(default_factory=set)
    asked_clean: Clean | None = None
    gone: bool = False
    problems: tuple[str, ...] = ()
    failures: int = 0
    not_before: float = 0.0
    wiped: int = 0
    stale: bool = False  # the account was parked for its store, which nobody has emptied since
    obstacle: str = ""
    terminating: bool = False
    epochs: list[int] = field(default_factory=list)

    # ---- what is -------------------------------------------------------------------------------------------

    @property
    def account(self) -> BridgeAccount:
        """The resource as it truly is."""
        return self.accounts[-1]

    def alive(self) -> list[int]:
        """Epochs of the processes that truly run."""
        return [epoch for epoch, life in self.lives.items() if life.ended is None]

    def edit(self, **spec: object) -> None:
        """Change the spec, as people and doors do."""
        old = self.account
        metadata = old.metadata.model_copy(update={"generation": old.metadata.generation + 1})
        self.accounts.append(
            old.model_copy(update={"spec": old.spec.model_copy(update=spec), "metadata": metadata}),
        )

    def mark(self, **metadata: object) -> None:
        """Change metadata: deletion, annotations."""
        old = self.account
        self.accounts.append(old.model_copy(update={"metadata": old.metadata.model_copy(update=metadata)}))

    def show(self, *processes: Process) -> None:
        """Make a new view of the processes, which is seen later."""
        self.views.append(tuple(processes))

    def tell(self, reason: str, *, xmpp: int = 1, paired: int = 0) -> None:
        """Let the running shard publish its state."""
        for epoch in self.alive():
            self.state = StateChange("acc-1", epoch, str(epoch), reason, self.now, xmpp=xmpp, paired=paired)

    def end(self, code: int | None) -> None:
        """Let the running process end, and be seen as ended."""
        for epoch in self.alive():
            life = self.lives[epoch]
            life.ended, life.code = self.now, code
            self.show(*(self._ended(p) if p.epoch == epoch else p for p in self.views[-1]))

    def vanish(self) -> None:
        """Let the running process be gone without a trace (kill -9 of the runtime, a deleted pod)."""
        for epoch in self.alive():
            life = self.lives[epoch]
            life.ended, life.code = self.now, None
            self.show(*(p for p in self.views[-1] if p.epoch != epoch))

    def _ended(self, process: Process) -> Process:
        life = self.lives[process.epoch]
        return replace(process, ended=True, exit_code=life.code, told=life.told, lost=False)

    def _expect_backoff(self, epoch: int, life: Life) -> None:
        """Keep an own count of ends that nobody asked for, from when they are seen; the plan is never faster."""
        reason = self.state.reason if self.state and self.state.epoch == epoch else ""
        if life.told or (life.code != EX_CONFIG and reason in PARKS):  # it had said its end
            self.failures, self.not_before = 0, 0.0
            return
        lived = self.now - life.started
        self.failures = 1 if lived >= HEALTHY_AFTER else self.failures + 1
        self.not_before = self.now + expected_wait(self.failures)

    # ---- the driver ----------------------------------------------------------------------------------------

    def catch_up(self) -> None:
        """Let all views be fresh."""
        self.seen_account, self.seen_view = len(self.accounts) - 1, len(self.views) - 1

    def look(self) -> Observed:
        """Give what the driver sees now."""
        return Observed(
            processes=self.views[self.seen_view],
            settled=self.seen_view >= self.must_see,
            state=self.state,
            twin=self.twin,
            permit=self.permit,
            revision=self.revision,
            outcome=self.outcome,
            obstacle=self.obstacle,
            terminating=self.terminating,
        )

    def reconcile(self, *, dies: bool = False) -> list[Action]:
        """Plan from what is seen and carry out; gives the actions. `dies`: the operator ends after its write."""
        account = self.accounts[self.seen_account]
        actions = plan_account(account, self.look(), self.now)
        self.asked = any(isinstance(a, AskPermit) for a in actions)
        assert len(actions) <= 6
        for action in actions:
            if not self._do(action) or dies:
                break
        return actions

    def _do(self, action: Action) -> bool:
        match action:
            case WriteStatus(status):
                return self._write(status)
            case Start(epoch, wipe):
                self._start(epoch, wipe=wipe)
            case Stop(epoch):
                self._tell_to_end(epoch)
            case Collect(epoch):
                assert self.lives[epoch].ended is not None
                if any(p.epoch == epoch for p in self.views[-1]):
                    self.show(*(p for p in self.views[-1] if p.epoch != epoch))
            case Clean():
                self.asked_clean = action
            case Forget(problems):
                self.gone, self.problems = True, problems
            case AskPermit() | Again():
                pass
        return True

    def _write(self, status: AccountStatus) -> bool:
        if self.seen_account != len(self.accounts) - 1:
            return False  # refused: somebody else was first
        before = self.account.status.shard
        self.stale = self.stale or (status.parking is not None and status.parking.reason == Reason.STALE_STORE)
        self.accounts.append(self.account.model_copy(update={"status": status}))
        self.seen_account = len(self.accounts) - 1
        if before and before.ended is None and (status.shard is None or status.shard != before):
            self._expect_backoff(before.epoch, self.lives.get(before.epoch) or Life(before.started.timestamp()))
        if status.retry.failures == 0 and self.account.spec.desired is not Desired.RUNNING:
            self.failures, self.not_before = 0, 0.0  # stopping and starting again is a person's way round
        return True

    def _start(self, epoch: int, *, wipe: bool) -> None:
        assert [] == self.alive(), "two processes of one account"
        assert self.permit, "started without the fleet's leave"
        assert epoch > max(self.epochs, default=0), "the epoch must grow"
        assert epoch == self.account.status.epoch, "started before it was written"
        config = self.lives[self.epochs[-1]].code == 78 if self.epochs else False
        assert config or self.now >= self.not_before - 0.002, "started sooner than the backoff"  # times are in ms
        assert not self.obstacle, "started though it cannot be"
        parked = self.account.status.parking
        assert parked is None, "started while it is parked"
        assert wipe or not self.stale, "the wipe was forgotten"
        self.permit = False
        self.wiped += wipe
        self.stale = False
        self.epochs.append(epoch)
        self.lives[epoch] = Life(self.now)
        self.show(*self.views[-1], Process(epoch))
        self.must_see = len(self.views) - 1

    def _tell_to_end(self, epoch: int) -> None:
        life = self.lives[epoch]
        if life.ended is None:
            life.told = True
            self.show(*(replace(p, told=True) if p.epoch == epoch else p for p in self.views[-1]))

    def answer(self, *, ok: bool) -> None:
        """Let the step of the deletion that was asked for be done, or fail."""
        if (asked := self.asked_clean) is not None:
            self.outcome = Outcome(asked.step, asked.tries, ok)
            self.asked_clean = None
            if ok:
                self.cleaned.add(asked.step)
            if ok and asked.step is Step.UNLINK:
                self.tell(Reason.UNLINKED)
                self.end(0)

    def delete(self) -> None:
        """Ask for the deletion."""
        if self.account.metadata.deletion_timestamp is None:
            self.mark(deletion_timestamp=moment(self.now))
