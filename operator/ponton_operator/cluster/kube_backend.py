"""The reconciler's backend on a cluster: accounts and their status at the API server, pods as processes.

Called by the loop of `reconcile`, one for each gateway. Decisions are written with the resourceVersion that they were
made from, so that of two operators, or of us and a person, the later one has to look again.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from pydantic import ValidationError

from ponton_bridge.coordination.contract import StateChange
from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.events import OperatorEvent
from ponton_operator.cluster.kube_api import KubeApi
from ponton_operator.cluster.kube_errors import Conflict, KubeError, NotFound
from ponton_operator.cluster.kube_kinds import ACCOUNTS, NAMESPACES, Obj
from ponton_operator.cluster.kube_notices import Notices
from ponton_operator.cluster.kube_registry import Accounts, KubeHeld, Pending
from ponton_operator.cluster.kube_shards import KubeShards
from ponton_operator.cluster.reconcile import Held, Stale, Template
from ponton_operator.plan.merge import status_patch
from ponton_operator.plan.reach import is_going
from ponton_operator.plan.values import Clean, Observed, Outcome, Process, Start
from ponton_operator.resources.account import FINALIZER, AccountStatus, BridgeAccount
from ponton_operator.resources.base import is_paused
from ponton_operator.resources.conditions import Own
from ponton_operator.resources.gateway import GatewayStatus
from ponton_operator.resources.running import Rollout, Scaling

APART: Final = 5.0  # seconds between two writes of a status that nothing rests on
NAMESPACE_FRESH: Final = 5.0  # seconds that a namespace is believed to be as it was
LEFTOVER: Final = "AccountLeftovers"  # reason of the event of a deletion with problems


class Going:
    """Which namespaces are being removed; asked when an account is deleted, and kept for a moment."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._known: dict[str, tuple[float, bool]] = {}

    async def ask(self, namespace: str) -> bool:
        """Whether it is; a namespace that we may not see counts as staying."""
        now = time.monotonic()
        at, going = self._known.get(namespace, (-NAMESPACE_FRESH, False))
        if now - at >= NAMESPACE_FRESH:
            try:
                going = is_going(await self._api.get(NAMESPACES, "", namespace))
            except KubeError:
                going = False
            self._known[namespace] = now, going
        return going


@dataclass(slots=True)
class KubeBackend:
    """See `reconcile.Backend`. `share`: how many starts a second this gateway may have now, of all that there are."""

    api: KubeApi
    accounts: Accounts
    shards: KubeShards
    notices: Notices
    going: Going
    log: Log
    clock: Callable[[], float] = time.time
    share: Callable[[], float] = lambda: float("inf")
    later: Callable[[str, float], None] = lambda *_: None  # plan an account again after so many seconds
    apart: float = APART
    blocked: bool = False  # the gateway's secrets cannot be read
    _terminating: set[str] = field(default_factory=set)

    def limits(self) -> tuple[Scaling, Rollout]:
        """Give the gateway's, and no more than the API server can take from all of them."""
        resource, most = self.shards.gateway.resource, self.share()
        scaling, rollout = (resource.spec.scaling, resource.spec.rollout) if resource else (Scaling(), Rollout())
        if scaling.starts_per_second <= most:
            return scaling, rollout
        slower = {"starts_per_second": most, "starts_burst": max(1.0, min(scaling.starts_burst, 2 * most))}
        return scaling.model_copy(update=slower), rollout

    def template(self) -> Template:
        """Give the gateway's."""
        resource = self.shards.gateway.resource
        return Template(self.shards.gateway.revision, resource.status if resource else GatewayStatus())

    def all(self) -> list[BridgeAccount]:
        """Give the accounts of this gateway."""
        return [held.account for held in self.accounts.held.values()]

    def held(self, name: str) -> KubeHeld | None:
        """Give an account of this gateway."""
        return self.accounts.held.get(name)

    def observe(self, name: str, held: Held) -> Observed:
        """Give what is seen of an account now."""
        mine = self._mine(held)
        pods = self.shards.pods.of(mine.account.metadata.namespace, name)
        for pod in pods.values():
            last, state = pod.last, held.state
            if pod.process.ended and last and (not state or (state.epoch, state.since) <= (last.epoch, last.since)):
                held.state = last
        processes = [pod.process for pod in pods.values()]
        if (pending := mine.pending) and pending.epoch not in pods:
            processes.append(Process(pending.epoch, trouble=pending.trouble))
        return Observed(
            processes=tuple(processes),
            state=held.state,
            twin=self.accounts.owners.twin(name),
            permit=held.permit,
            revision=self._revision(held),
            outcome=held.outcome,
            obstacle=self._obstacle(),
            paused=(resource := self.shards.gateway.resource) is not None and is_paused(resource.metadata),
            terminating=name in self._terminating,
        )

    def is_from(self, state: StateChange) -> bool:
        """Whether a state comes from the pod that we made."""
        held = self.held(state.account)
        pods = self.shards.pods.of(held.account.metadata.namespace, state.account) if held else {}
        pod = pods.get(state.epoch)
        return pod is not None and bool(pod.uid) and pod.uid == state.instance

    async def prepare(self, name: str, held: Held) -> None:
        """Put the finalizer on, go on with a pending start, look at pods of which the watch says nothing more."""
        mine, meta, now = self._mine(held), held.account.metadata, self.clock()
        if meta.deletion_timestamp is None and FINALIZER not in meta.finalizers:
            await self._finalizers(mine, (*meta.finalizers, FINALIZER))
        elif meta.deletion_timestamp is not None and await self.going.ask(meta.namespace):
            self._terminating.add(name)
            return  # perhaps we have no right to look any more
        if mine.pending and now >= mine.pending.due:
            await self.shards.go_on(mine)
        for pod in list(self.shards.pods.of(meta.namespace, name).values()):
            if pod.look is not None and now >= pod.look:
                await self.shards.look(pod.namespace, name, pod.process.epoch)
        looks = [pod.look for pod in self.shards.pods.of(meta.namespace, name).values() if pod.look is not None]
        if mine.pending:
            looks.append(mine.pending.due)
        if looks:
            self.later(name, max(1.0, min(looks) - self.clock()))

    async def write(self, name: str, held: Held, status: AccountStatus, *, decides: bool) -> None:
        """Patch the status. Raises Stale, or KubeError: then nothing that follows is done."""
        mine, before = self._mine(held), held.account.status
        body: Obj = {"status": status_patch(before, status)}
        if decides:
            body["metadata"] = {"resourceVersion": held.account.metadata.resource_version}
        await self.shards.clear(mine, status)
        try:
            answer = await self.api.patch(ACCOUNTS, held.account.metadata.namespace, name, body, "status")
        except (Conflict, NotFound):
            await self._again(mine)
        else:
            self._take(mine, answer)
            await self.notices.changed(held.account, before.reason)

    async def start(self, name: str, held: Held, action: Start) -> None:  # noqa: ARG002  # the Protocol's
        """Make the pod of an epoch, now or as soon as it can be made."""
        mine = self._mine(held)
        mine.pending = Pending(action.epoch, action.wipe)
        await self.shards.go_on(mine)

    async def stop(self, name: str, epoch: int) -> None:
        """Have a pod ended."""
        if held := self.held(name):
            await self.shards.stop(held, epoch)
            self.later(name, 0.0)

    async def collect(self, name: str, epoch: int) -> None:
        """Remove what is left of an ended shard."""
        if held := self.held(name):
            await self.shards.collect(held, epoch)

    async def clean(self, account: BridgeAccount, action: Clean, seconds: float) -> Outcome:
        """Do one step of a deletion."""
        return await self.shards.clean(account, action, seconds)

    async def forget(self, name: str, held: Held, problems: tuple[str, ...]) -> Iterable[str]:
        """Take our finalizer off; the API server removes the rest by its owner references."""
        meta = held.account.metadata
        if problems:
            await self.notices.tell(held.account, LEFTOVER, " ".join(problems))
        if FINALIZER in meta.finalizers:
            await self._finalizers(self._mine(held), tuple(f for f in meta.finalizers if f != FINALIZER))
        if self.shards.coordination:
            self.shards.coordination.rest(name)
        return self.gone(name)

    def gone(self, name: str) -> set[str]:
        """The account is no more; gives the names of others to plan."""
        if held := self.accounts.held.get(name):
            self.shards.pods.forget(held.account.metadata.namespace, name)
        self._terminating.discard(name)
        return self.accounts.drop(name)

    async def without_account(self, name: str) -> None:
        """Nothing: a pod belongs to its account, and the API server removes it with that."""

    # ---- inside --------------------------------------------------------------------------------------------

    def _mine(self, held: Held) -> KubeHeld:
        assert isinstance(held, KubeHeld)  # noqa: S101  # made by `Accounts` alone; for the type checker
        return held

    def _revision(self, held: Held) -> str:
        """Give what a new shard would run; without a gateway what runs is the best there is."""
        shard = held.account.status.shard
        return self.shards.gateway.revision if self.shards.gateway.resource or not shard else shard.revision

    def _obstacle(self) -> str:
        if self.shards.gateway.resource is None:
            return Own.GATEWAY_MISSING
        return Own.GATEWAY_NOT_READY if self.blocked or not self.shards.coordination else ""

    async def _finalizers(self, held: KubeHeld, names: tuple[str, ...]) -> None:
        """Write the list of finalizers, if the object is as we know it. Raises Stale, KubeError."""
        meta = held.account.metadata
        body = {"metadata": {"finalizers": list(names), "resourceVersion": meta.resource_version}}
        try:
            self._take(held, await self.api.patch(ACCOUNTS, meta.namespace, meta.name, body))
        except Conflict:
            await self._again(held)
        except NotFound:
            return  # gone already, which is what the last one wants

    async def _again(self, held: KubeHeld) -> None:
        """Read an account anew; raises Stale always, since the plan was made from something older."""
        meta = held.account.metadata
        found = await self.api.find(ACCOUNTS, meta.namespace, meta.name)
        if found is None or (found.get("metadata") or {}).get("uid") != meta.uid:
            for other in self.gone(meta.name):
                self.later(other, 0.0)
        else:
            self._take(held, found)
        raise Stale

    def _take(self, held: KubeHeld, answer: Obj) -> None:
        """Take an account from an answer of the API server, unless the watch was faster with something newer.

        What somebody asked of it between our plan and our write is in the answer, and planned: that the watch tells of
        it then is no news any more.
        """
        try:
            account = BridgeAccount.model_validate(answer)
        except ValidationError:  # somebody else's field in the status; what we know stays, and is read again
            self.log(OperatorEvent.ACCOUNT_REFUSED, "warning", account=held.account.metadata.name)
            raise Stale from None
        if self.held(account.metadata.name) is held:  # else it was removed while we asked
            before = _asked(held.account)
            names = self.accounts.put(account, self.clock())
            if _asked(account) != before:
                for other in names:
                    self.later(other, 0.0)


def _asked(account: BridgeAccount) -> tuple[object, ...]:
    """Give what others ask of an account."""
    meta = account.metadata
    return account.spec, meta.deletion_timestamp, meta.annotations, meta.labels
