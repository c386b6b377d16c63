"""Plans one account after the other from what is seen, and has carried out what the plan asks for.

The loop of both drivers: the queue calls `reconcile(name)` for every account that something happened to. What is seen,
and the hands, are a `Backend`: one on this machine (`local_backend`), one on a cluster (`kube_backend`).
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

from ponton_bridge.coordination.contract import Happening, StateChange
from ponton_bridge.model.states import Phase
from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.events import Event
from ponton_operator.cluster.queue import KeyedQueue
from ponton_operator.cluster.turns import Turns
from ponton_operator.plan.account import plan_account
from ponton_operator.plan.alarms import read_alarms
from ponton_operator.plan.fleet import Ask, Rations, admit, ask
from ponton_operator.plan.history import happened
from ponton_operator.plan.rollout import DONE, Turn
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
    Stop,
    Urgency,
    WriteStatus,
)
from ponton_operator.resources.account import AccountStatus, BridgeAccount
from ponton_operator.resources.gateway import GatewayStatus
from ponton_operator.resources.running import Rollout, Scaling

# Seconds after a status could not be written (disk full, API away) or a fault of ours; doubled each time.
TRY_AGAIN: Final = 1.0
TRY_AGAIN_MAX: Final = 60.0
# Times `Backend.apart`, before it is told that a shard starts or connects: mostly that is over by then.
ON_ITS_WAY: Final = 3.0
# The same while others wait for their turn: then everything takes longer, and each such write is a start that waits.
IN_A_CROWD: Final = 12.0
# Seconds for each that waits for its turn, before one is told that it does: mostly its turn has come by then.
A_TURN: Final = 2.0
TOGETHER: Final = 0.02  # seconds in which accounts that ask for their turn are looked at together
_NOBODYS: Final = Turn(DONE, "")
_PASSING: Final = frozenset({Phase.STARTING, Phase.CONNECTING})


class Stale(Exception):
    """What was planned from is not what is any more; what is has been read, so the account is planned anew."""


@dataclass(slots=True)
class Held:
    """One account, and what was seen of it besides its processes; `written`: when its status was (since 1970)."""

    account: BridgeAccount
    state: StateChange | None = None
    outcome: Outcome | None = None
    permit: bool = False
    written: float = 0.0
    faults: int = 0


@dataclass(frozen=True, slots=True)
class Template:
    """What a new shard would run, and what the gateway's status says of how far that has come."""

    revision: str
    status: GatewayStatus


class Backend(Protocol):
    """Where accounts and their processes are. What it is asked to do it does, or raises; it is asked again then."""

    log: Log
    apart: float  # seconds between two writes of a status that nothing rests on

    def limits(self) -> tuple[Scaling, Rollout]:
        """Give how fast shards may start and be restarted."""

    def template(self) -> Template:
        """Give what shards should run."""

    def all(self) -> list[BridgeAccount]:
        """Give all accounts."""

    def held(self, name: str) -> Held | None:
        """Give an account, None if it is not ours (any more)."""

    def observe(self, name: str, held: Held) -> Observed:
        """Give what is seen of an account now."""

    def is_from(self, state: StateChange) -> bool:
        """Whether a state comes from the very process that was started for this account and epoch."""

    async def prepare(self, name: str, held: Held) -> None:
        """Finish or find out what an account waits for, before it is planned."""

    async def write(self, name: str, held: Held, status: AccountStatus, *, decides: bool) -> None:
        """Write the status into the account and `held`. Raises Stale: then nothing that follows is done."""

    async def start(self, name: str, held: Held, action: Start) -> None:
        """Start the shard; what goes wrong is seen later, as its end or as trouble."""

    async def stop(self, name: str, epoch: int) -> None:
        """Tell a process to end; harmless when it has ended."""

    async def collect(self, name: str, epoch: int) -> None:
        """Forget a process that has ended."""

    async def clean(self, account: BridgeAccount, action: Clean, seconds: float) -> Outcome:
        """Do one step of a deletion, for at most so many seconds; never raises for what the outside does."""

    async def forget(self, name: str, held: Held, problems: tuple[str, ...]) -> Iterable[str]:
        """Remove the last trace of an account; gives the names of others to plan."""

    async def without_account(self, name: str) -> None:
        """End what runs for an account that is not ours any more."""


@dataclass(slots=True)
class Reconciler:
    """What is seen, what is planned, what is done, for all accounts of a backend."""

    backend: Backend
    clock: Callable[[], float] = time.time
    planned: Callable[[str, float], None] = lambda *_: None  # result and seconds of a plan, for the metrics
    reacted: Callable[[float], None] = lambda _: None  # seconds from what happened to its deed, for the metrics
    record: Callable[[str, Happening], None] = lambda *_: None  # what happened to an account, for the host's page
    queue: KeyedQueue = field(init=False)
    _asks: dict[str, Ask] = field(default_factory=dict)
    _jobs: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _touched: dict[str, float] = field(default_factory=dict)  # when what is not answered yet happened
    _rations: Rations | None = None
    _turns: Turns = field(default_factory=Turns)
    _timer: asyncio.TimerHandle | None = None

    def __post_init__(self) -> None:
        """Nothing is planned before a key is added."""
        self.queue = KeyedQueue(self.reconcile)

    @property
    def waiting(self) -> int:
        """How many accounts wait for their turn to start."""
        return len(self._asks)

    def touch(self, name: str) -> None:
        """Something happened to an account: plan it as soon as possible."""
        self._touched.setdefault(name, time.monotonic())
        self.queue.add(name)

    def told(self, state: StateChange) -> None:
        """Take a state that was published: believed if it comes from the very process that we started, newest last."""
        held = self.backend.held(state.account)
        if held is None or not self.backend.is_from(state):
            return
        if held.state and held.state.epoch == state.epoch and not _is_news(held.state, state):
            return
        held.state = state
        self.touch(state.account)

    async def reconcile(self, name: str) -> None:
        """Plan one account and act; what goes wrong is tried again."""
        began, touched = time.monotonic(), self._touched.pop(name, None)
        held = self.backend.held(name)
        if held is None:
            self._asks.pop(name, None)
            await self._guarded(name, None, self.backend.without_account(name))
            return
        result = await self._guarded(name, held, self._plan(name, held, touched))
        self.planned(result, time.monotonic() - began)

    def admit(self) -> None:
        """Let those start whose turn it is, and look again when the next turn comes."""
        (scaling, rollout), now = self.backend.limits(), self.clock()
        rations = self._rations or Rations.full(scaling, now)
        bans = read_alarms(self.backend.template().status.conditions).bans
        # To know the turn is to look at all accounts, and most of the time nobody asks for it, or can go anyway.
        open_ = not rations.wait(scaling, now)
        asked = open_ and any(each.urgency is Urgency.ROLLOUT for each in self._asks.values())
        turn = self.turn() if asked else _NOBODYS
        admission = admit(self._asks.values(), rations, scaling, rollout, turn, now, bans=bans)
        self._rations = admission.rations
        for name in admission.names:
            del self._asks[name]
            if held := self.backend.held(name):
                held.permit = True
                self.queue.add(name)
        if self._timer:
            self._timer.cancel()
        wait = None if admission.again is None else max(0.001, admission.again - now)
        self._timer = None if wait is None else asyncio.get_running_loop().call_later(wait, self.admit)

    def turn(self) -> Turn:
        """Give what the rollout allows now."""
        (_, rollout), template = self.backend.limits(), self.backend.template()
        alarms = read_alarms(template.status.conditions)
        troubled = alarms.storm or alarms.bans
        return self._turns.look(
            self.backend.all, rollout, template.revision, template.status, self.clock(), troubled=troubled
        )

    async def close(self) -> None:
        """Start nothing more, and wait for what is being done."""
        if self._timer:
            self._timer.cancel()
        await self.queue.close()
        for job in list(self._jobs.values()):
            job.cancel()

    async def record_ends(self, names: Iterable[str]) -> None:
        """Write what the next run should know: that the shards ended because they were told to."""
        for name in names:
            if held := self.backend.held(name):
                held.permit = False
                with suppress(OSError):
                    for action in plan_account(held.account, self.backend.observe(name, held), self.clock()):
                        if isinstance(action, WriteStatus):
                            before = held.account.status
                            await self.backend.write(name, held, action.status, decides=action.urgent)
                            self._tell(name, held, before)

    # ---- inside --------------------------------------------------------------------------------------------

    async def _guarded(self, name: str, held: Held | None, work: Coroutine[object, None, None]) -> str:
        """Do it; one account's trouble is not the others'. Gives the result in a word."""
        try:
            await work
        except Stale:
            self.queue.add(name)
            return "stale"
        except Exception as error:  # noqa: BLE001  # whatever it is, it is tried again
            self.backend.log.failure(Event.PLAN_FAILED, error, account=name)
            faults = held.faults if held else 0
            if held:
                held.faults += 1
            self.queue.add_after(name, min(TRY_AGAIN * 2.0 ** min(faults, 10), TRY_AGAIN_MAX))
            return type(error).__name__
        if held:
            held.faults = 0
        return "ok"

    async def _plan(self, name: str, held: Held, touched: float | None) -> None:
        await self.backend.prepare(name, held)
        actions = plan_account(held.account, self.backend.observe(name, held), self.clock())
        held.permit = False
        asks = any(isinstance(action, AskPermit) for action in actions)
        if not asks:
            self._asks.pop(name, None)
        for action in actions:
            if (
                isinstance(action, WriteStatus)
                and not action.urgent
                and self._too_soon(name, held, action.status, asks=asks)
            ):
                continue
            await self._act(name, held, action)
        if touched is not None and any(not isinstance(action, (Again, AskPermit)) for action in actions):
            self.reacted(time.monotonic() - touched)

    def _too_soon(self, name: str, held: Held, status: AccountStatus, *, asks: bool) -> bool:
        """Whether a write that nothing rests on should wait, so that several become one; it is planned again then."""
        if not (apart := self.backend.apart):
            return False
        since = self._asks[name].since if asks and name in self._asks else self.clock() if asks else 0.0
        if asks:
            apart = max(apart, A_TURN * len(self._asks))
        elif status.phase in _PASSING:
            apart *= IN_A_CROWD if self._asks else ON_ITS_WAY
        wait = max(held.written, since) + apart - self.clock()
        if wait > 0:
            self.queue.add_after(name, wait)
        return wait > 0

    async def _act(self, name: str, held: Held, action: Action) -> None:
        match action:
            case WriteStatus(status, urgent):
                await self._write(name, held, status, urgent=urgent)
            case AskPermit(urgency):
                ask(self._asks, name, urgency, self.clock(), paired=held.account.status.paired)
                self._admit_soon()
            case Start():
                await self.backend.start(name, held, action)
                self.queue.add(name)
            case Stop(epoch):
                self.backend.log(Event.SHARD_TOLD_TO_END, account=name, epoch=epoch)
                await self.backend.stop(name, epoch)
            case Collect(epoch):
                await self.backend.collect(name, epoch)
            case Clean():
                self._begin(name, held, action)
            case Forget(problems):
                await self._forget(name, held, problems)
            case Again(at):
                self.queue.add_after(name, at - self.clock())

    def _admit_soon(self) -> None:
        """Look at all that wait once for many that come at the same time: thousands do when an operator starts."""
        loop = asyncio.get_running_loop()
        if self._timer is None or self._timer.when() > loop.time() + TOGETHER:
            if self._timer:
                self._timer.cancel()
            self._timer = loop.call_later(TOGETHER, self.admit)

    async def _write(self, name: str, held: Held, status: AccountStatus, *, urgent: bool) -> None:
        """Write the status before anything rests on it."""
        before = held.account.status
        await self.backend.write(name, held, status, decides=urgent)
        held.written = self.clock()
        if (before.phase, before.reason) != (status.phase, status.reason):
            self.backend.log(Event.PHASE_CHANGED, account=name, phase=status.phase, reason=status.reason)
        self._tell(name, held, before)

    def _tell(self, name: str, held: Held, before: AccountStatus) -> None:
        """Have kept what happened, but of an account on its way out: that would be written after all was removed."""
        if held.account.metadata.deletion_timestamp is None:
            news = happened(before, held.account.status, self.clock())
            if news:
                self.record(name, news)

    async def _forget(self, name: str, held: Held, problems: tuple[str, ...]) -> None:
        others = await self.backend.forget(name, held, problems)
        self.backend.log(Event.ACCOUNT_DELETED, account=name, problems=len(problems))
        for other in others:
            self.touch(other)

    def _begin(self, name: str, held: Held, action: Clean) -> None:
        """Do a step of a deletion beside the queue, one at a time; it may take long."""
        if name not in self._jobs:
            self._jobs[name] = asyncio.get_running_loop().create_task(self._clean(name, held, action))

    async def _clean(self, name: str, held: Held, action: Clean) -> None:
        try:
            held.outcome = await self.backend.clean(held.account, action, max(1.0, action.deadline - self.clock()))
        finally:
            self._jobs.pop(name, None)
            self.queue.add(name)


def _is_news(before: StateChange, state: StateChange) -> bool:
    """Whether a state says something new; heartbeats say the same every few seconds, and do not know `until`."""
    if before.since > state.since:
        return False
    fields = ("instance", "reason", "xmpp", "paired") + (("until",) if state.until else ())
    return any(getattr(before, part) != getattr(state, part) for part in fields)
