"""All that belongs to one gateway on a cluster: its secrets, its Redis, its accounts, the loop over them.

Made by `operators.accounts` for each gateway that an account or a BridgeGateway names. Accounts are taken in at any time
and planned once the fleet is open, that is when everything that there is has been listed.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from ponton_bridge.model.errors import HostError
from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.coordination import Coordination
from ponton_operator.cluster.events import OperatorEvent
from ponton_operator.cluster.kube_api import KubeApi
from ponton_operator.cluster.kube_backend import Going, KubeBackend
from ponton_operator.cluster.kube_gateway import KubeGateway
from ponton_operator.cluster.kube_notices import Notices
from ponton_operator.cluster.kube_registry import Accounts, Pods
from ponton_operator.cluster.kube_shards import KubeShards
from ponton_operator.cluster.metrics import Metrics
from ponton_operator.cluster.reconcile import Reconciler
from ponton_operator.resources.account import BridgeAccount
from ponton_operator.resources.gateway import BridgeGateway

KEEP: Final = 10.0  # seconds between looks at secrets that cannot be read, and at figures
RELOAD: Final = 60.0  # seconds after which secrets that could be read are looked at again


@dataclass(frozen=True, slots=True)
class Shared:
    """What all fleets of a program share."""

    api: KubeApi
    pods: Pods
    going: Going
    notices: Notices
    log: Log
    metrics: Metrics
    image: str
    share: Callable[[], float]


class Fleet:
    """One gateway, known by namespace and name."""

    def __init__(self, shared: Shared, namespace: str, name: str) -> None:
        self._shared, self._namespace, self._name = shared, namespace, name
        self.gateway = KubeGateway(shared.api, namespace, name, shared.image)
        self.accounts = Accounts()
        self.shards = KubeShards(
            shared.api, self.gateway, shared.pods, shared.log, stepped=shared.metrics.step
        )  # fmt: skip
        self.backend = KubeBackend(
            shared.api, self.accounts, self.shards, shared.notices, shared.going, shared.log, share=shared.share
        )
        self.reconciler = Reconciler(
            self.backend,
            planned=lambda result, seconds: shared.metrics.plan("account", result, seconds),
            reacted=lambda seconds: shared.metrics.reaction("account", seconds),
        )
        self.backend.later = self.reconciler.queue.add_after
        self._opened = False
        self._problem = ""
        self._connected: tuple[str, str] = ("", "")
        self._reading: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._loaded = 0.0

    async def open(self) -> None:
        """Begin: connect, and plan everything that was taken in."""
        await self._connect()
        self._keeping = asyncio.get_running_loop().create_task(self._keep())
        self._opened = True
        self.touch_all()

    async def close(self) -> None:
        """Start nothing more, and wait for what is being done."""
        await self.reconciler.close()
        for task in (self._keeping, self._reading):
            if task:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        if self.shards.coordination:
            await self.shards.coordination.close()

    def use(self, resource: BridgeGateway | None) -> None:
        """Take the gateway as it was seen, None when it is gone."""
        paused = self.gateway.resource and self.gateway.resource.metadata.annotations
        changed = self.gateway.use(resource)
        if (changed or paused != (resource and resource.metadata.annotations)) and self._opened:
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

    async def _connect(self) -> None:
        """Have secrets at hand and Redis known; what is in the way is told once, and tried again."""
        if self.gateway.resource is None:
            return
        log, name = self._shared.log, self._name
        try:
            await self.gateway.load()
            self._follow(self.gateway.redis_url, self.gateway.master)
            problem = ""
        except HostError as error:
            problem = type(error).__name__
        self._loaded = asyncio.get_running_loop().time()
        before, self._problem = self._problem, problem
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
            self._closing = asyncio.get_running_loop().create_task(old.close())
        self.touch_all()

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(KEEP)
            dead = self._reading is not None and self._reading.done()
            if self._problem or dead or not self._reading or loop.time() - self._loaded > RELOAD:
                await self._connect()
            self._figures()

    def _figures(self) -> None:
        phases: dict[str, int] = {}
        for held in self.accounts.held.values():
            phases[held.account.status.phase] = phases.get(held.account.status.phase, 0) + 1
        where = f"{self._namespace}/{self._name}"
        for phase, count in phases.items():
            self._shared.metrics.state(f"accounts {phase}", where, count)
        self._shared.metrics.state("accounts", where, len(self.accounts.held))
        self._shared.metrics.state("waiting", where, self.reconciler.waiting)
        self._shared.metrics.state("ready", where, 0 if self._problem else 1)
