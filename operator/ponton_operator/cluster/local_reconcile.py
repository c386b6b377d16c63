"""Plans one account after the other from what is seen, and carries out what the plan asks for.

The queue calls `reconcile(name)` for every account that something happened to. Called by `local_runtime`.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from ponton_bridge.coordination.contract import StateChange
from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.events import Event
from ponton_operator.cluster.local_children import Children
from ponton_operator.cluster.local_files import write_whole
from ponton_operator.cluster.local_registry import Held, Registry
from ponton_operator.cluster.local_shards import Shards
from ponton_operator.cluster.queue import KeyedQueue
from ponton_operator.cluster.turns import Turns
from ponton_operator.plan.account import plan_account
from ponton_operator.plan.fleet import Ask, Rations, admit, ask
from ponton_operator.plan.rollout import Turn
from ponton_operator.plan.values import (
    Action,
    Again,
    AskPermit,
    Clean,
    Collect,
    Forget,
    Observed,
    Start,
    Stop,
    WriteStatus,
)
from ponton_operator.resources.account import AccountStatus
from ponton_operator.resources.yamlfile import dump

_TRY_AGAIN: Final = 1.0  # seconds after a status could not be written (disk full), or a fault of ours
STATUS_MODE: Final = 0o640


@dataclass(slots=True)
class Reconciler:
    """What is seen, what is planned, what is done, for all accounts of the runtime."""

    registry: Registry
    children: Children
    shards: Shards
    log: Log
    clock: Callable[[], float] = time.time
    queue: KeyedQueue = field(init=False)
    _asks: dict[str, Ask] = field(default_factory=dict)
    _jobs: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _rations: Rations | None = None
    _turns: Turns = field(default_factory=Turns)
    _timer: asyncio.TimerHandle | None = None

    def __post_init__(self) -> None:
        """Nothing is planned before a key is added."""
        self.queue = KeyedQueue(self.reconcile)

    def told(self, state: StateChange) -> None:
        """Take a state that was published: believed if it comes from the very process that we started, newest last."""
        held = self.registry.held.get(state.account)
        running = self.children.running(state.account, state.epoch)
        if held is None or running is None or not running.instance or running.instance != state.instance:
            return
        if held.state and held.state.epoch == state.epoch and held.state.since > state.since:
            return
        held.state = state
        self.queue.add(state.account)

    async def reconcile(self, name: str) -> None:
        """Plan one account and act; what goes wrong is tried again."""
        held = self.registry.held.get(name)
        if held is None:
            self._without_account(name)
            return
        try:
            actions = plan_account(held.account, self._observe(name, held), self.clock())
            held.permit = False
            if not any(isinstance(action, AskPermit) for action in actions):
                self._asks.pop(name, None)
            for action in actions:
                await self._act(name, held, action)
        except Exception as error:  # noqa: BLE001  # one account's trouble is not the others'
            self.log.failure(Event.PLAN_FAILED, error, account=name)
            self.queue.add_after(name, _TRY_AGAIN)

    def admit(self) -> None:
        """Let those start whose turn it is, and look again when the next turn comes."""
        spec, now = self.shards.gateway.resource.spec, self.clock()
        rations = self._rations or Rations.full(spec.scaling, now)
        admission = admit(self._asks.values(), rations, spec.scaling, spec.rollout, self.turn(), now)
        self._rations = admission.rations
        for name in admission.names:
            del self._asks[name]
            if held := self.registry.held.get(name):
                held.permit = True
                self.queue.add(name)
        if self._timer:
            self._timer.cancel()
        wait = None if admission.again is None else max(0.001, admission.again - now)
        self._timer = None if wait is None else asyncio.get_running_loop().call_later(wait, self.admit)

    def turn(self) -> Turn:
        """Give what the rollout allows now."""
        gateway = self.shards.gateway
        accounts = self.registry.held.values()
        rollout, before = gateway.resource.spec.rollout, gateway.status
        return self._turns.look(lambda: [h.account for h in accounts], rollout, gateway.revision, before, self.clock())

    async def close(self) -> None:
        """Start nothing more, and wait for what is being done."""
        if self._timer:
            self._timer.cancel()
        await self.queue.close()
        for job in list(self._jobs.values()):
            job.cancel()

    async def record_ends(self) -> None:
        """Write what the next run should know: that the shards ended because they were told to."""
        for name, held in self.registry.held.items():
            held.permit = False
            with suppress(OSError):
                for action in plan_account(held.account, self._observe(name, held), self.clock()):
                    if isinstance(action, WriteStatus):
                        await self._write(name, held, action.status)

    # ---- inside --------------------------------------------------------------------------------------------

    def _observe(self, name: str, held: Held) -> Observed:
        processes = self.children.processes(name)
        for process in processes:
            running = self.children.running(name, process.epoch)
            if process.ended and running and (last := self.shards.state_at_end(name, running)):
                held.state = last
        return Observed(
            processes=processes,
            state=held.state,
            twin=self.registry.owners.twin(name),
            permit=held.permit,
            revision=self.shards.gateway.revision,
            outcome=held.outcome,
        )

    async def _act(self, name: str, held: Held, action: Action) -> None:
        match action:
            case WriteStatus(status):
                await self._write(name, held, status)
            case AskPermit(urgency):
                ask(self._asks, name, urgency, self.clock(), paired=held.account.status.paired)
                self.admit()
            case Start():
                await self.shards.start(held.account, action)
                self.queue.add(name)
            case Stop(epoch):
                self.log(Event.SHARD_TOLD_TO_END, account=name, epoch=epoch)
                self.children.stop(name, epoch)
            case Collect(epoch):
                self._collect(name, epoch)
            case Clean():
                if name not in self._jobs:
                    self._jobs[name] = asyncio.get_running_loop().create_task(self._clean(name, held, action))
            case Forget(problems):
                await self._forget(name, problems)
            case Again(at):
                self.queue.add_after(name, at - self.clock())

    async def _write(self, name: str, held: Held, status: AccountStatus) -> None:
        """Write the status before anything rests on it. Raises OSError: then nothing that follows is done."""
        before, account = held.account.status, held.account.model_copy(update={"status": status})
        file = self.registry.folder.status_file(name)
        await asyncio.to_thread(write_whole, file, dump(account), mode=STATUS_MODE)
        # The spec may have changed meanwhile; the status is ours alone.
        held.account = held.account.model_copy(update={"status": status})
        if (before.phase, before.reason) != (status.phase, status.reason):
            self.log(Event.PHASE_CHANGED, account=name, phase=status.phase, reason=status.reason)

    def _collect(self, name: str, epoch: int) -> None:
        running = self.children.running(name, epoch)
        if running and running.ended:
            level = "info" if running.told else "warning"
            self.log(Event.SHARD_ENDED, level, account=name, epoch=epoch, exit_code=running.exit_code)
        self.children.collect(name, epoch)
        if not self.children.is_running(name):
            self.shards.coordination.rest(name)

    async def _clean(self, name: str, held: Held, action: Clean) -> None:
        try:
            held.outcome = await self.shards.clean(held.account, action, max(1.0, action.deadline - self.clock()))
        finally:
            self._jobs.pop(name, None)
            self.queue.add(name)

    async def _forget(self, name: str, problems: tuple[str, ...]) -> None:
        """Remove the last trace, the status file; then the name is free for a new account."""
        await asyncio.to_thread(self.registry.folder.status_file(name).unlink, missing_ok=True)
        self.log(Event.ACCOUNT_DELETED, account=name, problems=len(problems))
        self.shards.complain(name, f"is deleted, but: {' '.join(problems)}" if problems else "")
        for other in self.registry.drop(name):
            self.queue.add(other)

    def _without_account(self, name: str) -> None:
        """End what runs for an account that is not ours any more: its files vanished, or an earlier run left it."""
        for process in self.children.processes(name):
            if process.ended:
                self._collect(name, process.epoch)
            else:
                self.children.stop(name, process.epoch)
