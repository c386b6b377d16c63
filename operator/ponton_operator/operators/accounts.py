"""The accounts operator: watches accounts, gateways, pods and (if it may) nodes, hands on what it sees.

Started by `programs.operator` within `guard`. Everything that there is in a namespace is listed once before kopf
watches it, so that nothing is planned on half a view; what a watch missed is found by a sweep now and then. Several
gateways in several namespaces are served by one process; of one that it may not see it holds what `kube_leaving` needs.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

import kopf
from pydantic import ValidationError

from ponton_operator.cluster.events import OperatorEvent
from ponton_operator.cluster.kube_backend import Going
from ponton_operator.cluster.kube_errors import KubeError
from ponton_operator.cluster.kube_kinds import ACCOUNTS, GATEWAYS, NODES, PODS, Kind, Obj
from ponton_operator.cluster.kube_leaving import Leaving, tell_rights
from ponton_operator.cluster.kube_notices import Notices
from ponton_operator.cluster.kube_registry import Pods
from ponton_operator.cluster.kube_runtime import KubeRuntime, Shared
from ponton_operator.operators.guard import Context
from ponton_operator.plan.manifests_shard import SELECTOR
from ponton_operator.plan.pods import Pod, read_pod
from ponton_operator.resources.account import BridgeAccount
from ponton_operator.resources.gateway import BridgeGateway

SWEEP: Final = 300.0  # seconds between looks for what the watches did not tell
WRITES_OF_A_START: Final = 5.0  # status, claim, Secret, pod, and one status when it has told something
# Starts are what makes many writes at once, so they give way: when writes wait for their turn, fewer are begun, or a
# change would wait for thousands of starts. With a wait of half a second just as many are begun as there are turns.
MOST: Final = 1.25  # times the starts that there are turns for, while nothing waits
LESS: Final = 0.5  # by so much for each second of waiting
LEAST: Final = 0.05  # are begun all the same
_AWAY: Final = frozenset({"node.kubernetes.io/unreachable", "node.kubernetes.io/out-of-service"})

Key = tuple[str, str]  # namespace and name


def make(context: Context) -> "AccountsOperator":
    """Give the operator; for `programs.operator`."""
    return AccountsOperator(context)


class AccountsOperator:
    """See `guard.Operator`."""

    def __init__(self, context: Context) -> None:
        self._context, self._api, self._log = context, context.api, context.log
        self.pods = Pods()
        self.gateways: dict[Key, KubeRuntime] = {}
        self._where: dict[Key, Key] = {}  # the gateway of each account
        self._lost: frozenset[str] = frozenset()
        self._opened = False
        self._opening: dict[Key, asyncio.Task[None]] = {}
        self._left: dict[str, Leaving] = {}  # by namespace
        self._doubts: dict[str, asyncio.Task[None]] = {}  # by namespace
        self._sweeping: asyncio.Task[None] | None = None
        self._shared = Shared(
            self._api,
            self.pods,
            Going(self._api),
            Notices(self._api),
            context.log,
            context.metrics,
            context.settings.image,
            self._share,
            self._doubt,
        )

    def register(self, registry: kopf.OperatorRegistry) -> None:
        """Have kopf tell us."""
        kopf.on.event(*_kopf(ACCOUNTS), registry=registry)(self.account_event)
        kopf.on.event(*_kopf(GATEWAYS), registry=registry)(self.gateway_event)
        labels = dict(part.split("=") for part in SELECTOR.split(","))
        kopf.on.event(*_kopf(PODS), registry=registry, labels=labels)(self.pod_event)
        if self._context.settings.nodes:
            kopf.on.event(*_kopf(NODES), registry=registry)(self.node_event)

    async def start(self) -> None:
        """Take in what there is, then begin. Raises KubeError."""
        if self._context.settings.nodes:
            for node in await self._api.list(NODES):
                self._node(node, gone=False)
        await self._context.reach.begin(self)
        self._log(OperatorEvent.LISTED, accounts=len(self._where), gateways=len(self.gateways))
        self._opened = True
        await asyncio.gather(*(runtime.open() for runtime in list(self.gateways.values())))
        self._sweeping = asyncio.get_running_loop().create_task(self._sweep())

    async def take(self, namespace: str) -> None:
        """Take in what there is in a namespace; nothing is planned before all of it is. Raises KubeError."""
        for gateway in await self._api.list(GATEWAYS, namespace):
            self._gateway(gateway, gone=False)
        async for page in self._api.pages(PODS, namespace, SELECTOR):
            for pod in page:
                self._pod(pod, gone=False)
        async for page in self._api.pages(ACCOUNTS, namespace):
            for account in page:
                self._account(account, gone=False)
        self._left.pop(namespace, None)
        for key, runtime in list(self.gateways.items()):
            if namespace in {"", key[0]}:
                await tell_rights(self._api, runtime.gateway.resource, self._now(), missing=False)
                if self._opened:
                    self._later(key, runtime)

    async def left_out(self, namespace: str) -> None:
        """End the plans for a namespace; its accounts are known by name, for the case that it is being removed."""
        left = self._left.setdefault(namespace, Leaving(self._api, self._log, namespace))
        for key in [key for key in self.gateways if key[0] == namespace]:
            if task := self._opening.pop(key, None):
                task.cancel()
            runtime = self.gateways.pop(key)
            await runtime.close()
            left.take(runtime.gateway.resource, runtime.accounts.held)
        for where in [where for where in self._where if where[0] == namespace]:
            del self._where[where]
        self.pods.leave(namespace)
        await left.look(self._now())

    async def close(self) -> None:
        """Begin nothing more, and wait for what runs."""
        for task in (self._sweeping, *self._opening.values(), *self._doubts.values()):
            if task:
                task.cancel()
        await asyncio.gather(*(runtime.close() for runtime in self.gateways.values()))

    # ---- what kopf tells -----------------------------------------------------------------------------------

    async def account_event(self, event: Mapping[str, Any], **_: object) -> None:
        """An account was listed, changed or removed."""
        if self._counts(event):
            self._account(event["object"], gone=event["type"] == "DELETED")

    async def gateway_event(self, event: Mapping[str, Any], **_: object) -> None:
        """A gateway was."""
        if self._counts(event):
            self._gateway(event["object"], gone=event["type"] == "DELETED")

    async def pod_event(self, event: Mapping[str, Any], **_: object) -> None:
        """A pod of a shard was."""
        if self._counts(event):
            self._pod(event["object"], gone=event["type"] == "DELETED")

    async def node_event(self, event: Mapping[str, Any], **_: object) -> None:
        """A node was."""
        self._node(event["object"], gone=event["type"] == "DELETED")

    # ---- inside --------------------------------------------------------------------------------------------

    def _counts(self, event: Mapping[str, Any]) -> bool:
        """Whether an event is of a namespace that is served: a late one of another is half a view."""
        return self._context.reach.serves(event["object"]["metadata"]["namespace"])

    def _doubt(self, namespace: str) -> None:
        """Find out whether it was one thing that we may not do in a namespace, or we may not see it at all."""
        task = self._doubts.get(namespace)
        if task is None or task.done():
            self._doubts[namespace] = asyncio.get_running_loop().create_task(self._ask(namespace))

    async def _ask(self, namespace: str) -> None:
        if await self._shared.going.ask(namespace):
            return  # watches that are open tell soonest when its accounts go; a refused one leaves it out
        with suppress(KubeError), self._context.reach.minding(namespace):
            await self._api.list(GATEWAYS, namespace)

    def _share(self) -> float:
        """Give the starts a second that one gateway may have: what the API server can take, among those that wait."""
        writes = self._context.settings.writes
        if not writes:
            return float("inf")
        waiting = sum(1 for runtime in self.gateways.values() if runtime.reconciler.waiting)
        free = max(LEAST, MOST - LESS * self._api.late())
        return writes / WRITES_OF_A_START * free / max(1, waiting)

    def _served(self, key: Key) -> KubeRuntime:
        """Give the runtime of a gateway, a new one if it was not known."""
        if key not in self.gateways:
            runtime = self.gateways[key] = KubeRuntime(self._shared, *key)
            runtime.shards.lost_nodes = self._lost
            if self._opened and self._context.reach.serves(key[0]):
                self._later(key, runtime)
        return self.gateways[key]

    def _later(self, key: Key, runtime: KubeRuntime) -> None:
        task = self._opening[key] = asyncio.get_running_loop().create_task(runtime.open())

        def done(_: asyncio.Task[None]) -> None:
            if self._opening.get(key) is task:
                del self._opening[key]

        task.add_done_callback(done)

    def _account(self, raw: Obj, *, gone: bool) -> None:
        meta = raw["metadata"]
        key = (meta["namespace"], meta["name"])
        before = self._where.get(key)
        if gone:
            self._where.pop(key, None)
            held = self.gateways[before].accounts.held.get(key[1]) if before else None
            if before and held and held.account.metadata.uid == meta.get("uid"):
                self.gateways[before].gone(key[1])
            return
        try:
            account = BridgeAccount.model_validate(raw)
        except ValidationError:
            self._log(OperatorEvent.ACCOUNT_REFUSED, "warning", account=key[1])
            return
        now = (key[0], account.spec.gateway_ref.name)
        if before and before != now:
            self.gateways[before].gone(key[1])
        self._where[key] = now
        self._served(now).take(account)

    def _gateway(self, raw: Obj, *, gone: bool) -> None:
        meta = raw["metadata"]
        key = (meta["namespace"], meta["name"])
        try:
            resource = None if gone else BridgeGateway.model_validate(raw)
        except ValidationError:
            self._log(OperatorEvent.GATEWAY_REFUSED, "warning", gateway=key[1])
            return
        self._served(key).use(resource)

    def _pod(self, raw: Obj, *, gone: bool) -> None:
        pod = read_pod(raw, self._now(), self._lost)
        if pod is None:
            return
        where = self._where.get((pod.namespace, pod.account))
        if where is None and gone:  # its account went before it
            self.pods.gone(pod.namespace, pod.account, pod.uid, pod)
            self.pods.forget(pod.namespace, pod.account)
            return
        news = self.pods.gone(pod.namespace, pod.account, pod.uid, pod) if gone else self.pods.put(pod)
        if news and where:
            self.gateways[where].touch(pod.account)

    def _node(self, raw: Obj, *, gone: bool) -> None:
        """Note whether a node answers; its pods are looked at again if that has changed."""
        name = raw["metadata"]["name"]
        away = not gone and is_away(raw)
        if away == (name in self._lost):
            return
        self._lost = self._lost | {name} if away else self._lost - {name}
        for runtime in self.gateways.values():
            runtime.shards.lost_nodes = self._lost
        for pod in [pod for pod in self.pods.all() if pod.node == name]:
            self._look(pod)

    def _look(self, pod: Pod) -> None:
        """Have a pod read anew, whatever the watch says."""
        if where := self._where.get((pod.namespace, pod.account)):
            self.pods.suspect(pod)
            self.gateways[where].touch(pod.account)

    def _now(self) -> float:
        return self._context.clock()

    async def _sweep(self) -> None:
        """Find what is gone although no watch said so: after a gap kopf lists anew, and not what is missing."""
        while True:
            await asyncio.sleep(SWEEP)
            try:
                await self.sweep()
            except KubeError:
                continue  # the next time will do

    async def sweep(self) -> None:
        """Compare the names of all that we hold with those that there are. Raises KubeError."""
        pods, accounts = list(self.pods.all()), dict(self._uids())
        there = {uid async for uid in self._names(PODS, SELECTOR)}
        missing = [pod for pod in pods if pod.uid not in there]
        for pod in missing:
            self._look(pod)
            if (pod.namespace, pod.account) not in self._where:  # it went with its account
                self.pods.gone(pod.namespace, pod.account, pod.uid)
                self.pods.forget(pod.namespace, pod.account)
        there = {uid async for uid in self._names(ACCOUNTS, "")}
        lost = [key for key, uid in accounts.items() if uid not in there]
        for key in lost:
            if await self._api.find(ACCOUNTS, *key) is None:
                self._account({"metadata": {"namespace": key[0], "name": key[1], "uid": accounts[key]}}, gone=True)
        if missing or lost:
            self._log(OperatorEvent.SWEPT, "warning", pods=len(missing), accounts=len(lost))

    def _uids(self) -> Iterator[tuple[Key, str]]:
        for key, where in self._where.items():
            if held := self.gateways[where].accounts.held.get(key[1]):
                yield key, held.account.metadata.uid

    async def _names(self, kind: Kind, labels: str) -> AsyncIterator[str]:
        for namespace in self._context.reach.served():
            with self._context.reach.minding(namespace):
                async for page in self._api.pages(kind, namespace, labels, names_only=True):
                    for item in page:
                        yield item["metadata"]["uid"]


def is_away(node: Mapping[str, Any]) -> bool:
    """Whether a node does not answer, or was declared out of service."""
    taints = {taint.get("key") for taint in (node.get("spec") or {}).get("taints") or ()}
    conditions = (node.get("status") or {}).get("conditions") or ()
    unknown = any(c.get("type") == "Ready" and c.get("status") == "Unknown" for c in conditions)
    return unknown or not _AWAY.isdisjoint(taints)


def _kopf(kind: Kind) -> tuple[str, ...]:
    """Give a kind as kopf's decorators take it."""
    parts = kind.group.split("/")[1:]
    return (*parts, kind.plural)
