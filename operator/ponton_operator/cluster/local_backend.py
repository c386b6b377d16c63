"""The reconciler's backend on one machine: accounts of a folder, status files, child processes.

Called by the loop of `reconcile` for `local_runtime`.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ponton_bridge.coordination.contract import StateChange
from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.events import Event
from ponton_operator.cluster.local_children import Children
from ponton_operator.cluster.local_files import write_whole
from ponton_operator.cluster.local_registry import Registry
from ponton_operator.cluster.local_shards import Shards
from ponton_operator.cluster.reconcile import Held, Template
from ponton_operator.plan.values import Clean, Observed, Outcome, Start
from ponton_operator.resources.account import AccountStatus, BridgeAccount
from ponton_operator.resources.running import Rollout, Scaling
from ponton_operator.resources.yamlfile import dump

STATUS_MODE: Final = 0o640


@dataclass(slots=True)
class LocalBackend:
    """See `reconcile.Backend`. A status is a file: writing it costs nobody anything."""

    registry: Registry
    children: Children
    shards: Shards
    log: Log
    apart: float = 0.0

    def limits(self) -> tuple[Scaling, Rollout]:
        """Give the gateway's."""
        spec = self.shards.gateway.resource.spec
        return spec.scaling, spec.rollout

    def template(self) -> Template:
        """Give the gateway's."""
        gateway = self.shards.gateway
        return Template(gateway.revision, gateway.status)

    def all(self) -> list[BridgeAccount]:
        """Give the accounts of the folder."""
        return [held.account for held in self.registry.held.values()]

    def held(self, name: str) -> Held | None:
        """Give an account of the folder."""
        return self.registry.held.get(name)

    def observe(self, name: str, held: Held) -> Observed:
        """Give what is seen of an account now."""
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

    def is_from(self, state: StateChange) -> bool:
        """Whether a state comes from the child that we started."""
        running = self.children.running(state.account, state.epoch)
        return running is not None and bool(running.instance) and running.instance == state.instance

    async def prepare(self, name: str, held: Held) -> None:
        """Nothing: what is seen here is what is."""

    async def write(self, name: str, held: Held, status: AccountStatus, *, decides: bool) -> None:  # noqa: ARG002
        """Write the status file. Raises OSError: then nothing that follows is done."""
        account = held.account.model_copy(update={"status": status})
        file = self.registry.folder.status_file(name)
        await asyncio.to_thread(write_whole, file, dump(account), mode=STATUS_MODE)
        # The spec may have changed meanwhile; the status is ours alone.
        held.account = held.account.model_copy(update={"status": status})

    async def start(self, name: str, held: Held, action: Start) -> None:  # noqa: ARG002  # the name is the account's
        """Start the child."""
        await self.shards.start(held.account, action)

    async def stop(self, name: str, epoch: int) -> None:
        """Tell a child to end."""
        self.children.stop(name, epoch)

    async def collect(self, name: str, epoch: int) -> None:
        """Forget a child that was reaped."""
        running = self.children.running(name, epoch)
        if running and running.ended:
            level = "info" if running.told else "warning"
            self.log(Event.SHARD_ENDED, level, account=name, epoch=epoch, exit_code=running.exit_code)
        self.children.collect(name, epoch)
        if not self.children.is_running(name):
            self.shards.coordination.rest(name)

    async def clean(self, account: BridgeAccount, action: Clean, seconds: float) -> Outcome:
        """Do one step of a deletion."""
        return await self.shards.clean(account, action, seconds)

    async def forget(self, name: str, held: Held, problems: tuple[str, ...]) -> Iterable[str]:  # noqa: ARG002
        """Remove the last trace, the status file; then the name is free for a new account."""
        await asyncio.to_thread(self.registry.folder.status_file(name).unlink, missing_ok=True)
        self.shards.complain(name, f"is deleted, but: {' '.join(problems)}" if problems else "")
        return self.registry.drop(name)

    async def without_account(self, name: str) -> None:
        """End what runs though its files vanished, or an earlier run left it."""
        for process in self.children.processes(name):
            if process.ended:
                await self.collect(name, process.epoch)
            else:
                self.children.stop(name, process.epoch)
