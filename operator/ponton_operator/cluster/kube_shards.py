"""Carries out what a plan asks for, on a cluster: makes and removes pods, Secrets and claims, does a deletion's steps.

Called by `kube_backend`. A start that cannot be finished now stays pending and counts as a process that runs: it is
tried again under the same epoch, and since the pod's name holds the epoch there is never a second one.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from ponton_bridge.model.errors import HostError
from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.coordination import Coordination
from ponton_operator.cluster.deeds import Steps, assign, do_step
from ponton_operator.cluster.events import Event, OperatorEvent
from ponton_operator.cluster.kube_api import KubeApi
from ponton_operator.cluster.kube_errors import Conflict, Forbidden, Invalid, KubeError
from ponton_operator.cluster.kube_gateway import KubeGateway, NoGateway, shard_files
from ponton_operator.cluster.kube_kinds import CLAIMS, PODS, SECRETS, Kind, Obj
from ponton_operator.cluster.kube_registry import KubeHeld, Pending, Pods
from ponton_operator.plan.manifests_shard import GRACE, Launch, shard_claim, shard_name, shard_pod, shard_secret
from ponton_operator.plan.pods import OVERDUE, read_pod
from ponton_operator.plan.values import Clean, Outcome, Step
from ponton_operator.resources.account import AccountStatus, BridgeAccount
from ponton_operator.resources.conditions import Own

# Seconds before a start that could not be finished is tried again, by what was in the way; doubled up to the last.
WAIT: Final = {Own.QUOTA_FULL: 15.0, Own.POD_REFUSED: 30.0, Own.GATEWAY_NOT_READY: 10.0, Own.VOLUME_PENDING: 3.0}
WAIT_OTHERWISE: Final = 2.0
WAIT_MAX: Final = 60.0
REMOVAL: Final = 10.0  # seconds that we look whether a claim goes
_LOOK: Final = 0.5  # seconds between looks


class ClaimStays(HostError):
    """The claim of a store that was removed is still there."""


@dataclass(slots=True)
class KubeShards:
    """The shards of one gateway; `stepped(step, seconds)` is told how long the steps of a start took."""

    api: KubeApi
    gateway: KubeGateway
    pods: Pods
    log: Log
    coordination: Coordination | None = None
    clock: Callable[[], float] = time.time
    stepped: Callable[[str, float], None] = lambda *_: None
    lost_nodes: frozenset[str] = frozenset()

    async def go_on(self, held: KubeHeld) -> None:
        """Go on with a pending start: its pod is made, or it is tried again later. Never raises for the outside."""
        pending, name = held.pending, held.account.metadata.name
        if pending is None:
            return
        try:
            made = await self._launch(held.account, pending)
        except HostError as error:
            before, pending.trouble = pending.trouble, _trouble(error)
            first = WAIT.get(Own(pending.trouble), WAIT_OTHERWISE) if pending.trouble else WAIT_OTHERWISE
            pending.due = self.clock() + min(first * 2.0 ** min(pending.tries, 6), WAIT_MAX)
            pending.tries += 1
            if pending.tries == 1 or before != pending.trouble:
                why = pending.trouble or type(error).__name__
                self.log(OperatorEvent.START_WAITS, "warning", account=name, epoch=pending.epoch, why=why)
            return
        held.pending = None
        if pod := read_pod(made, self.clock(), self.lost_nodes):
            self.pods.put(pod)
        self.log(Event.SHARD_STARTED, account=name, epoch=pending.epoch)

    async def stop(self, held: KubeHeld, epoch: int) -> None:
        """Have a pod ended: TERM, and KILL after its grace. Raises KubeError."""
        meta = held.account.metadata
        if held.pending and held.pending.epoch == epoch:
            name = shard_name(meta.name, epoch)
            if await self.api.delete(PODS, meta.namespace, name):  # it was made, though we did not hear of it
                await self.look(meta.namespace, meta.name, epoch)
            if not self.pods.of(meta.namespace, meta.name).get(epoch):
                self.pods.never(meta.namespace, meta.name, self.gateway.name, epoch)
            held.pending = None
            return
        pod = self.pods.of(meta.namespace, meta.name).get(epoch)
        if pod is None or pod.gone:
            return
        try:
            there = await self.api.delete(PODS, pod.namespace, pod.name, uid=pod.uid)
        except Conflict:  # another pod has the name
            there = False
        if not there:
            self.pods.gone(pod.namespace, pod.account, pod.uid)
            return
        told = replace(pod.process, told=True, trouble="")
        self.pods.put(replace(pod, process=told, look=self.clock() + GRACE + OVERDUE))

    async def clear(self, held: KubeHeld, status: AccountStatus) -> None:
        """Remove the Secret of a shard that has no pod any more, before a status is written that forgets it.

        Whoever is killed after that write would leave the Secret for ever: nothing names it then. Raises KubeError.
        """
        meta, before, after = held.account.metadata, held.account.status.shard, status.shard
        if before is None or after is None or (before.epoch == after.epoch and bool(before.ended) == bool(after.ended)):
            return
        pod = self.pods.of(meta.namespace, meta.name).get(before.epoch)
        if not (pod.gone if pod else not self.pods.is_known(meta.namespace, meta.name, before.epoch)):
            return
        name = shard_name(meta.name, before.epoch)
        if await self.api.find(SECRETS, meta.namespace, name):  # mostly there is none, and a read is cheaper
            await self.api.delete(SECRETS, meta.namespace, name)

    async def collect(self, held: KubeHeld, epoch: int) -> None:
        """Remove what is left of an ended shard. Raises KubeError.

        The Secret goes first: as long as the pod is there we are asked again, so nothing stays behind. Without a pod
        it went before the end was written.
        """
        meta = held.account.metadata
        pod = self.pods.of(meta.namespace, meta.name).get(epoch)
        if pod is None or not pod.process.ended:
            return
        if not pod.gone:
            await self.api.delete(SECRETS, meta.namespace, shard_name(meta.name, epoch))
            await self.api.delete(PODS, meta.namespace, pod.name, uid=pod.uid, grace=0)
        process = pod.process
        level = "info" if process.told or process.exit_code == 0 else "warning"
        self.log(Event.SHARD_ENDED, level, account=meta.name, epoch=epoch, exit_code=process.exit_code)
        self.pods.collect(meta.namespace, meta.name, epoch)
        if self.coordination and not self.pods.of(meta.namespace, meta.name):
            self.coordination.rest(meta.name)

    async def look(self, namespace: str, account: str, epoch: int) -> None:
        """See how a pod is, whatever the watch says. Raises KubeError."""
        found = await self.api.find(PODS, namespace, shard_name(account, epoch))
        known = self.pods.of(namespace, account).get(epoch)
        pod = read_pod(found, self.clock(), self.lost_nodes) if found else None
        if known and (pod is None or pod.uid != known.uid):
            self.pods.gone(namespace, account, known.uid)
        if pod:
            self.pods.put(pod)

    async def clean(self, account: BridgeAccount, action: Clean, seconds: float) -> Outcome:
        """Do one step of a deletion, for at most so many seconds; never raises for what the outside does."""
        steps: Steps = {
            Step.UNLINK: self._unlink,
            Step.RELEASE: self._release,
            Step.REDIS: self._forget,
            Step.STORE: self._remove_claim,
            Step.SECRET: self._remove_secret,
        }
        return await do_step(steps, account, action, seconds, self.log)

    # ---- a start -------------------------------------------------------------------------------------------

    async def _launch(self, account: BridgeAccount, pending: Pending) -> Obj:
        """Make everything that a shard needs, and its pod last. Raises HostError."""
        name, epoch, began = account.metadata.name, pending.epoch, time.monotonic()
        secrets = await self.gateway.load()
        if self.coordination is None:
            raise NoGateway("The gateway's Redis is not known yet.")
        launch = self.gateway.launch(account, epoch)
        files = shard_files(secrets, account, epoch, self.coordination.shard_url(name, epoch))
        prosody = secrets.prosody()
        namespace = account.metadata.namespace
        done = await asyncio.gather(
            self._claim(launch, pending),
            self._make(SECRETS, namespace, shard_secret(launch, files)),
            self.coordination.prepare(name, epoch),
            assign(lambda: prosody, account.spec.owner, epoch, self.log),
            return_exceptions=True,
        )
        for failure in done:
            if isinstance(failure, BaseException):
                raise failure
        self.stepped("prepare", time.monotonic() - began)
        made = await self._make(PODS, namespace, shard_pod(launch))
        self.stepped("pod", time.monotonic() - began)
        return made or await self.api.get(PODS, namespace, shard_name(name, epoch))

    async def _make(self, kind: Kind, namespace: str, body: Obj) -> Obj:
        """Make an object; {} when it is there already, which is as good."""
        try:
            return await self.api.create(kind, namespace, body)
        except Conflict as conflict:
            if not conflict.exists:
                raise
            return {}

    async def _claim(self, launch: Launch, pending: Pending) -> None:
        """Have the claim there, a fresh one for a wipe: the old one goes first, now that no pod uses it."""
        meta = launch.account.metadata
        known = pending.wipe or launch.account.status.store_epoch
        found = await self.api.find(CLAIMS, meta.namespace, meta.name) if known else None
        if found and pending.wipe:
            uid = str(found["metadata"].get("uid") or "")
            pending.claim = pending.claim or uid
            if uid == pending.claim:
                await self._remove_claim(launch.account, REMOVAL, uid)
                found = None
        if found is None:
            await self._make(CLAIMS, meta.namespace, shard_claim(launch))

    # ---- a deletion ----------------------------------------------------------------------------------------

    async def _unlink(self, account: BridgeAccount, seconds: float) -> str:
        if self.coordination is None:
            return "The gateway's Redis is not known."
        return await self.coordination.unlink(account.metadata.name, seconds)

    async def _release(self, account: BridgeAccount, _: float) -> str:
        secrets = await self.gateway.load()
        await secrets.prosody().release(account.spec.owner)
        return ""

    async def _forget(self, account: BridgeAccount, _: float) -> str:
        if self.coordination is None:
            return "The gateway's Redis is not known."
        await self.coordination.forget(account.metadata.name)
        return ""

    async def _remove_claim(self, account: BridgeAccount, seconds: float, uid: str = "") -> str:
        """Remove the claim and see it go. Raises ClaimStays, KubeError."""
        namespace, name = account.metadata.namespace, account.metadata.name
        if not await self.api.delete(CLAIMS, namespace, name, uid=uid):
            return ""
        for _ in range(int(min(seconds, REMOVAL) / _LOOK)):
            if await self.api.find(CLAIMS, namespace, name) is None:
                return ""
            await asyncio.sleep(_LOOK)
        raise ClaimStays("The claim of the account's store is still there.")

    async def _remove_secret(self, account: BridgeAccount, _: float) -> str:
        """Remove the last Secret; an older one that stayed belongs to the account and goes with it."""
        if shard := account.status.shard:
            await self.api.delete(SECRETS, account.metadata.namespace, shard_name(account.metadata.name, shard.epoch))
        return ""


def _trouble(error: HostError) -> str:
    """Give the reason why a start waits, '' when it is nothing that a person has to know."""
    if isinstance(error, ClaimStays):
        return Own.VOLUME_PENDING
    if isinstance(error, Forbidden) and error.quota:
        return Own.QUOTA_FULL
    if isinstance(error, Forbidden | Invalid):
        return "" if isinstance(error, Forbidden) and error.terminating else Own.POD_REFUSED
    return "" if isinstance(error, KubeError) else Own.GATEWAY_NOT_READY
