"""All that belongs to one gateway on a cluster: its secrets, its Redis, its accounts, the loop over them.

The cluster's counterpart of `local_runtime`, made by `operators.accounts` for each gateway that an account or a
BridgeGateway names. Accounts are taken in at any time, and planned once it is open: when all that there is was listed.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from ponton_bridge.coordination.contract import Happening
from ponton_bridge.model.errors import HostError
from ponton_bridge.model.states import Phase
from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.coordination import Coordination
from ponton_operator.cluster.events import OperatorEvent
from ponton_operator.cluster.kube_api import KubeApi
from ponton_operator.cluster.kube_backend import Going, KubeBackend
from ponton_operator.cluster.kube_errors import Forbidden, KubeError
from ponton_operator.cluster.kube_gateway import KubeGateway
from ponton_operator.cluster.kube_notices import Notices
from ponton_operator.cluster.kube_registry import Accounts, Pods
from ponton_operator.cluster.kube_rollout import write_turn
from ponton_operator.cluster.kube_shards import KubeShards
from ponton_operator.cluster.metrics import Metrics
from ponton_operator.cluster.reconcile import Reconciler
from ponton_operator.resources.account import BridgeAccount
from ponton_operator.resources.base import is_paused
from ponton_operator.resources.gateway import BridgeGateway

FIRST_LOOK: Final = 20.0  # seconds for the heartbeats of all shards; those of 10,000 take some 5
KEEP: Final = 5.0  # seconds between looks at secrets that cannot be read, at the rollout, at figures
MANY: Final = 500  # accounts; for each further so many a look at the rollout, which reads all of them, comes KEEP later
RELOAD: Final = 60.0  # seconds after which secrets that could be read are looked at again


@dataclass(frozen=True, slots=True)
class Shared:
    """What all gateways of a program share."""

    api: KubeApi
    pods: Pods
    going: Going
    notices: Notices
    log: Log
    metrics: Metrics
    image: str
    share: Callable[[], float]
    doubt: Callable[[str], None]  # told of a namespace in which something was forbidden


class KubeRuntime:
    """One gateway, known by namespace and name."""

    def __init__(self, shared: Shared, namespace: str, name: str) -> None:
        self._shared, self._namespace, self._name = shared, namespace, name
        self.gateway = KubeGateway(shared.api, name, shared.image)
        self.accounts = Accounts()
        self.shards = KubeShards(
            shared.api, self.gateway, shared.pods, shared.log, stepped=shared.metrics.step
        )  # fmt: skip
        self.backend = KubeBackend(
            shared.api, self.accounts, self.shards, shared.notices, shared.going, shared.log, share=shared.share
        )
        self.reconciler = Reconciler(
            self.backend,
            planned=self._planned,
            reacted=lambda seconds: shared.metrics.reaction("account", seconds),
            record=self._record,
        )
        self.backend.later = self.reconciler.queue.add_after
        self._opened = False
        self._problem = ""
        self._connected: tuple[str, str] = ("", "")
        self._reading: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._loaded = 0.0
        self._hurry = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Begin: connect, look at what runs, and plan everything that was taken in."""
        await self._connect()
        await self._look()
        self._keeping = asyncio.get_running_loop().create_task(self._keep())
        self._opened = True
        self.touch_all()

    async def close(self) -> None:
        """Start nothing more, and wait for what is being done."""
        await self.reconciler.close()
        tasks = [task for task in (self._keeping, self._reading) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.shards.coordination:
            await self.shards.coordination.close()

    def use(self, resource: BridgeGateway | None) -> None:
        """Take the gateway as it was seen, None when it is gone."""
        if not self.gateway.use(resource) or not self._opened:
            return
        self._hurry.set()
        self.reconciler.admit()
        self.touch_all()

    def take(self, account: BridgeAccount) -> None:
        """Take an account as it was seen."""
        for name in self.accounts.put(account, self.backend.clock()):
            self.touch(name)

    def gone(self, name: str) -> None:
        """An account is no more."""
        for other in self.backend.gone(name):
            self.touch(other)

    def touch(self, name: str) -> None:
        """Something happened to an account."""
        if self._opened:
            self.reconciler.touch(name)

    def touch_all(self) -> None:
        """Something happened to all of them."""
        for name in self.accounts.held:
            self.touch(name)

    # ---- inside --------------------------------------------------------------------------------------------

    def _planned(self, result: str, seconds: float) -> None:
        self._shared.metrics.plan("account", result, seconds)
        if result == Forbidden.__name__:
            self._shared.doubt(self._namespace)

    async def _look(self) -> None:
        """Hear of all shards before anything is planned: of one not heard of yet it would be told that it starts."""
        if self.shards.coordination:
            with suppress(TimeoutError):
                async with asyncio.timeout(FIRST_LOOK):
                    await self.shards.coordination.looked.wait()

    def _record(self, name: str, happening: Happening) -> None:
        if self.shards.coordination:
            self.shards.coordination.record(name, happening)

    async def _connect(self) -> None:
        """Have secrets at hand and Redis known; what is in the way is told once, and tried again."""
        if self.gateway.resource is None:
            return
        log, name, problem = self._shared.log, self._name, ""
        self._loaded = asyncio.get_running_loop().time()
        try:
            secrets = await self.gateway.load()
            self._follow(secrets.redis_url, secrets.master)
            problem = "SecretUnusable" if secrets.problems else ""
        except HostError as error:
            if isinstance(error, KubeError) and self.shards.coordination:
                return  # what was read last still counts
            problem = type(error).__name__
        before, self._problem = self._problem, problem
        if bool(problem) != self.backend.blocked:
            self.backend.blocked = bool(problem)
            self.touch_all()
        if problem and problem != before:
            log(OperatorEvent.GATEWAY_NOT_READY, "warning", gateway=name, why=problem)
        elif not problem and (before or not self._opened):
            log(OperatorEvent.GATEWAY_READY, gateway=name, revision=self.gateway.revision)

    def _follow(self, url: str, master: str) -> None:
        """Read the states of shards from this Redis from now on. Raises HostError when it has no good URL."""
        if (url, master) == self._connected and self._reading and not self._reading.done():
            return
        fresh = Coordination(url, self._name, master, self.reconciler.told, self._shared.log)
        for name in self.accounts.held:
            for pod in self._shared.pods.of(self._namespace, name).values():
                if not pod.process.ended:
                    fresh.keep(name, pod.process.epoch)
        old, self.shards.coordination, self._connected = self.shards.coordination, fresh, (url, master)
        reading, self._reading = self._reading, asyncio.get_running_loop().create_task(fresh.run())
        if reading:
            reading.cancel()
        if old:
            closing = asyncio.get_running_loop().create_task(old.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        self.touch_all()

    async def _keep(self) -> None:
        loop, looked = asyncio.get_running_loop(), 0.0
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), KEEP)
            hurried = self._hurry.is_set()
            self._hurry.clear()
            dead = self._reading is not None and self._reading.done()
            stale = loop.time() - self._loaded > RELOAD
            if self._problem or dead or not self._reading or stale:
                await self._connect()
            if hurried or loop.time() - looked >= KEEP * len(self.accounts.held) / MANY:
                looked = loop.time()
                await self._tell_rollout()
            self._figures()

    async def _tell_rollout(self) -> None:
        """Write how far the rollout is, if that is new; when somebody else wrote meanwhile, the next time does."""
        if (resource := self.gateway.resource) is None or self.backend.blocked or is_paused(resource.metadata):
            return
        with suppress(KubeError, ValidationError):
            answer = await write_turn(self._shared.api, resource, self.reconciler.turn(), self.backend.clock())
            if answer:
                self.gateway.use(BridgeGateway.model_validate(answer))

    def _figures(self) -> None:
        phases = dict.fromkeys(map(str, Phase), 0)
        for held in self.accounts.held.values():
            phases[str(held.account.status.phase)] += 1
        where = f"{self._namespace}/{self._name}"
        for phase, count in phases.items():
            self._shared.metrics.state(f"accounts {phase}", where, count)
        self._shared.metrics.state("accounts", where, len(self.accounts.held))
        self._shared.metrics.state("waiting", where, self.reconciler.waiting)
        self._shared.metrics.state("ready", where, 0 if self._problem else 1)
