"""Carries out what a plan asks for, on one machine: starts shards, ends them, and does the steps of a deletion.

Called by `local_runtime`. What takes long runs beside; its outcome is observed later, as on a cluster.
"""

import asyncio
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from ponton_bridge.coordination.contract import StateChange
from ponton_bridge.model.errors import HostError
from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.coordination import Coordination
from ponton_operator.cluster.deeds import Steps, assign, do_step
from ponton_operator.cluster.events import Event
from ponton_operator.cluster.local_children import Children, Place, Running
from ponton_operator.cluster.local_desk import child_environment
from ponton_operator.cluster.local_gateway import Gateway
from ponton_operator.cluster.local_isolation import Uids, program
from ponton_operator.cluster.local_layout import Home
from ponton_operator.plan.ends import EX_CONFIG
from ponton_operator.plan.values import Clean, Outcome, Start, Step
from ponton_operator.resources.account import BridgeAccount

# Shards give way to what serves everybody: with 40 of them starting on two cores the front desk waited for seconds.
NICE: Final = 5
_EX_OSERR: Final = 71  # sysexits.h: the system would not start it


@dataclass(slots=True)
class Shards:
    """The shards of one gateway below `folder`; `through`: their output goes to our stderr, not to files."""

    folder: Path
    gateway: Gateway
    children: Children
    coordination: Coordination
    uids: Uids
    log: Log
    through: bool = False
    problems: dict[str, str] = field(default_factory=dict)  # by account, for the gateway's status

    def home(self, name: str) -> Home:
        """Give the folder of an account's process."""
        return Home(self.folder / name)

    def complain(self, name: str, sentence: str) -> None:
        """Tell the host what is wrong with an account, or ('') that nothing is any more."""
        self.problems.pop(name, None)
        if sentence:
            self.problems[name] = f"{name}: {sentence}"

    async def start(self, account: BridgeAccount, action: Start) -> None:
        """Start the shard of an epoch. A failure is recorded as an end of the process: the plan decides what then."""
        name, epoch, instance = account.metadata.name, action.epoch, uuid.uuid4().hex
        try:
            home = replace(self.home(name), uid=self.uids.of(name))
            url = self.coordination.shard_url(name, epoch)
            told = self.gateway.tell_shard(account, epoch, instance, home, url)
            await asyncio.gather(
                asyncio.to_thread(home.furnish, told.secrets, wipe=action.wipe),
                self.coordination.prepare(name, epoch),
                assign(self.gateway.prosody, account.spec.owner, epoch, self.log),
            )
            log = None if self.through else home.path / "shard.log"
            place = Place(home.store, home.pidfile, log, home.uid, NICE)
            environment = child_environment(home) | dict(told.environment)
            self.children.start(name, Running(epoch, instance, None), program("shard"), environment, place)
        except (HostError, OSError) as error:
            self.log(Event.START_FAILED, "error", account=name, epoch=epoch, error=type(error).__name__)
            self.complain(name, str(error))
            self.children.failed(name, epoch, EX_CONFIG if isinstance(error, HostError) else _EX_OSERR)
            return
        self.complain(name, "")
        self.log(Event.SHARD_STARTED, account=name, epoch=epoch)

    def state_at_end(self, name: str, running: Running) -> StateChange | None:
        """Give what the shard wrote last, for the case that Redis was away when it ended."""
        found = self.home(name).last_state()
        try:
            if (int(found["epoch"]), found["instance"]) != (running.epoch, running.instance):
                return None
            return StateChange(
                account=name,
                epoch=running.epoch,
                instance=running.instance,
                reason=str(found["reason"]),
                since=float(found["since"]),
                until=float(found.get("until", 0.0)),
                paired=int(found.get("paired", 0)),
            )
        except (KeyError, ValueError, TypeError):
            return None

    async def clean(self, account: BridgeAccount, action: Clean, seconds: float) -> Outcome:
        """Do one step of a deletion, for at most so many seconds; never raises for what the outside does."""
        steps: Steps = {
            Step.UNLINK: self._unlink,
            Step.RELEASE: self._release,
            Step.REDIS: self._forget,
            Step.STORE: self._remove_store,
            Step.SECRET: self._remove,
        }
        return await do_step(steps, account, action, seconds, self.log)

    async def _unlink(self, account: BridgeAccount, seconds: float) -> str:
        return await self.coordination.unlink(account.metadata.name, seconds)

    async def _release(self, account: BridgeAccount, _: float) -> str:
        await self.gateway.prosody().release(account.spec.owner)
        return ""

    async def _forget(self, account: BridgeAccount, _: float) -> str:
        await self.coordination.forget(account.metadata.name)
        return ""

    async def _remove_store(self, account: BridgeAccount, _: float) -> str:
        await asyncio.to_thread(self.home(account.metadata.name).remove_store)
        return ""

    async def _remove(self, account: BridgeAccount, _: float) -> str:
        name = account.metadata.name
        await asyncio.to_thread(self.home(name).remove)
        self.uids.free(name)
        return ""
