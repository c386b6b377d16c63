"""The accounts operator on an API server in memory: a kubelet by hand, watches that lag as far as a test wants.

The operator is the real one without kopf around it: events of the server are handed to its handlers when the test says
so. Pods end as on a cluster: a delete sets the deletion timestamp, and the object goes when the kubelet is done.
"""

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ponton_bridge.coordination.contract import StateChange
from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.kube_api import KubeApi
from ponton_operator.cluster.metrics import Metrics
from ponton_operator.operators.accounts import AccountsOperator
from ponton_operator.operators.guard import Context, Settings
from ponton_operator.operators.reach import Reach
from ponton_operator.resources.account import FINALIZER
from tests.harness.kube_fake import Key, KubeFake, Obj, Refused

NS = "bridges"
SECONDS = 20.0
CLOSED = 9  # the discard port: nobody listens
SECRET = {"master": "bQ==", "token": "dDEyMzQ1Njc4OTAxMjM0NTY=", "redis": "cmVkaXM6Ly8xMjcuMC4wLjE6OS8w"}


class PodFake(KubeFake):
    """An API server whose pods have a grace: those with a node go when the kubelet says so."""

    def _delete(self, key: Key, found: Obj, body: Obj) -> Obj:
        if key[0] != "pods":
            return super()._delete(key, found, body)
        uid, grace = (body.get("preconditions") or {}).get("uid"), body.get("gracePeriodSeconds", 30)
        if uid and uid != found["metadata"]["uid"]:
            raise Refused(409, "Conflict")
        if not grace or not (found.get("spec") or {}).get("nodeName"):
            self._drop(key)
        elif not found["metadata"].get("deletionTimestamp"):
            gone = (datetime.now(UTC) + timedelta(seconds=grace)).strftime("%Y-%m-%dT%H:%M:%SZ")
            self._store(key, "MODIFIED", found | {"metadata": found["metadata"] | {"deletionTimestamp": gone}})
        return {"kind": "Status", "status": "Success"}

    def _made(self, plural: str, namespace: str, body: Obj | None) -> Obj:
        if body and "generateName" in body["metadata"]:
            body["metadata"]["name"] = f"{body['metadata']['generateName']}{self.version}"
        if body and plural == "pods":
            body["metadata"]["finalizers"] = ["tests/kubelet"]
        return super()._made(plural, namespace, body)


@dataclass(slots=True)
class Town:
    """A cluster with one gateway, and its operator; `seen` is how far the watches are."""

    fake: PodFake
    image: str = "ponton-bridge:test"
    namespaces: tuple[str, ...] = (NS,)
    writes: float = 0.0
    log: io.StringIO = field(default_factory=io.StringIO)
    operator: AccountsOperator = field(init=False)
    reach: Reach = field(init=False)
    seen: int = 0
    running: bool = False

    def __post_init__(self) -> None:
        """Nothing runs yet."""
        self.renew()

    def renew(self) -> None:
        """Make an operator that knows nothing, as after a restart."""
        settings = Settings(
            "accounts", self.namespaces, "ponton", "one", image=self.image, writes=self.writes, nodes=True
        )
        log, metrics = Log(out=self.log), Metrics("test", "0")
        self.reach = Reach(self.namespaces, log, metrics)
        context = Context(settings, KubeApi(self.fake.client(), self.writes), log, metrics, self.reach)
        self.operator = AccountsOperator(context)

    # ---- people ------------------------------------------------------------------------------------------------

    def gateway(self, namespace: str = NS, **spec: Any) -> Obj:  # noqa: ANN401  # parts of a resource
        """Make or change the gateway and its Secret."""
        ref = {key: {"name": "gw", "key": key} for key in SECRET}
        usual = {
            "domain": "wa.example.test",
            "xmpp": {"port": CLOSED},
            "prosody": {"url": f"http://127.0.0.1:{CLOSED}/shards", "tokenRef": ref["token"]},
            "redis": {"urlRef": ref["redis"]},
            "secrets": {"masterRef": ref["master"]},
            "scaling": {"startsPerSecond": 100, "startsBurst": 100},
        }
        self.fake.put("secrets", namespace, {"metadata": {"name": "gw"}, "data": dict(SECRET)})
        head = {"apiVersion": "ponton.im/v1alpha1", "kind": "BridgeGateway", "metadata": {"name": "wa"}}
        return self.fake.put("bridgegateways", namespace, head | {"spec": usual | spec})

    def account(self, name: str = "acc-1", owner: str = "alice@example.test", **spec: Any) -> Obj:  # noqa: ANN401
        """Make or change an account as a door does: with the finalizer on."""
        head = {
            "apiVersion": "ponton.im/v1alpha1",
            "kind": "BridgeAccount",
            "metadata": {"name": name, "finalizers": [FINALIZER]},
        }
        return self.fake.put(
            "bridgeaccounts", NS, head | {"spec": {"owner": owner, "gatewayRef": {"name": "wa"}, **spec}}
        )

    def delete(self, name: str = "acc-1") -> None:
        """Delete an account, as kubectl does."""
        self.fake.answer("DELETE", f"/apis/ponton.im/v1alpha1/namespaces/{NS}/bridgeaccounts/{name}", {}, {})

    # ---- the kubelet -------------------------------------------------------------------------------------------

    def pods(self, name: str = "acc-1") -> list[Obj]:
        """Give the pods of an account, oldest first."""
        found = [obj for key, obj in list(self.fake.objects.items()) if key[0] == "pods"]
        mine = [pod for pod in found if pod["metadata"]["labels"]["ponton.im/account"] == name]
        return sorted(mine, key=lambda pod: int(pod["metadata"]["annotations"]["ponton.im/epoch"]))

    def pod(self, name: str = "acc-1") -> Obj:
        """Give the one pod of an account."""
        [only] = self.pods(name)
        return only

    def status(self, pod: Obj, phase: str = "Running", node: str = "n1", **container: Any) -> None:  # noqa: ANN401
        """Let the kubelet say how a pod is."""
        state = container or {"state": {"running": {"startedAt": datetime.now(UTC).isoformat()}}}
        body = {"phase": phase, "containerStatuses": [{"name": "shard", **state}]}
        spec = {"nodeName": node} if node else {}
        self.fake.put("pods", NS, {"metadata": {"name": pod["metadata"]["name"]}, "spec": spec, "status": body})

    def run(self, name: str = "acc-1") -> Obj:
        """Let the pod of an account run."""
        self.status(self.pod(name))
        return self.pod(name)

    def ended(self, pod: Obj, code: int = 0, **terminated: Any) -> None:  # noqa: ANN401  # parts of a status
        """Let the container of a pod end for good."""
        state = {"terminated": {"exitCode": code, **terminated}}
        self.status(pod, "Failed" if code else "Succeeded", state=state)

    def gone(self, pod: Obj) -> None:
        """Let the object of a pod go."""
        self.fake.remove("pods", NS, pod["metadata"]["name"])

    def node(self, *, away: bool) -> None:
        """Make the node answer or not."""
        taints = [{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}] if away else []
        self.fake.put("nodes", "", {"metadata": {"name": "n1"}, "spec": {"taints": taints}})

    def tell(self, reason: str, name: str = "acc-1", *, xmpp: int = 1, paired: int = 0) -> None:
        """Let the shard publish a state."""
        meta = self.pods(name)[-1]["metadata"]
        epoch = int(meta["annotations"]["ponton.im/epoch"])
        state = StateChange(name, epoch, meta["uid"], reason, time.time(), xmpp=xmpp, paired=paired)
        self.operator.gateways[NS, "wa"].reconciler.told(state)

    # ---- the operator ------------------------------------------------------------------------------------------

    async def start(self, *, apart: float = 0.05) -> None:
        """Start the operator; statuses that only tell are written so many seconds apart."""
        self.seen = self.fake.version
        await self.operator.start()
        for gateway in self.operator.gateways.values():
            gateway.backend.apart = apart
        self.running = True

    async def stop(self) -> None:
        """Stop it in order."""
        self.running = False
        await self.operator.close()

    async def restart(self) -> None:
        """End it without a word, and start one that knows nothing."""
        await self.stop()
        self.renew()
        await self.start()

    async def watch(self, events: int = 1_000_000) -> None:
        """Let the watches tell the next events."""
        fresh = [event for event in self.fake.events if event[0] > self.seen][:events]
        handlers = {
            "bridgeaccounts": self.operator.account_event,
            "bridgegateways": self.operator.gateway_event,
            "pods": self.operator.pod_event,
            "nodes": self.operator.node_event,
        }
        for version, plural, kind, obj in fresh:
            self.seen = version
            if plural in handlers:
                await handlers[plural]({"type": kind, "object": json.loads(json.dumps(obj))})

    async def until(self, holds: Callable[[], object], what: str = "") -> None:
        """Wait, with watches that do not lag, until something holds."""
        deadline = time.monotonic() + SECONDS
        while not holds():
            assert time.monotonic() < deadline, f"not in {SECONDS} s: {what or holds}; {self.log.getvalue()[-3000:]}"
            await self.watch()
            await asyncio.sleep(0.01)

    def busy(self) -> bool:
        """Whether an account is being worked on, or waits for it."""
        queues = [gateway.reconciler.queue for gateway in self.operator.gateways.values()]
        return any(queue._busy or queue._dirty for queue in queues)

    async def idle(self) -> None:
        """Wait until no account is being worked on; the watches say nothing meanwhile."""
        deadline = time.monotonic() + SECONDS
        while self.busy():
            assert time.monotonic() < deadline, "it never rests"
            await asyncio.sleep(0.01)

    async def settle(self) -> None:
        """Wait until nobody has anything to do: no event is untold, no account is being worked on."""
        calm = 0
        deadline = time.monotonic() + SECONDS
        while calm < 5:
            assert time.monotonic() < deadline, "it never rests"
            await self.watch()
            await asyncio.sleep(0.01)
            untold = any(event[0] > self.seen for event in self.fake.events[-1:])
            calm = 0 if untold or self.busy() else calm + 1

    # ---- what is seen ------------------------------------------------------------------------------------------

    def said(self, name: str = "acc-1") -> Obj:
        """Give the status of an account, {} without one."""
        return (self.fake.get("bridgeaccounts", NS, name) or {}).get("status") or {}

    def reason(self, name: str = "acc-1") -> str:
        """Give its reason."""
        return str(self.said(name).get("reason", ""))

    def condition(self, kind: str, name: str = "acc-1") -> tuple[str, str] | None:
        """Give status and reason of a condition."""
        found = (c for c in self.said(name).get("conditions", ()) if c["type"] == kind)
        return next(((c["status"], c["reason"]) for c in found), None)

    def written(self, since: int = 0) -> list[tuple[str, str]]:
        """Give the writes for accounts that the server was asked for: method and what of.

        The gateway's status is another matter: it is written when a rollout goes on.
        """
        calls = [(method, path.partition("?")[0].split("/")) for method, path in self.fake.asked[since:]]
        writes = [(method, _what(parts)) for method, parts in calls if method != "GET"]
        return [write for write in writes if not write[1].startswith("bridgegateways")]

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Give the logged events of a name."""
        lines = (json.loads(line) for line in self.log.getvalue().splitlines())
        return [line for line in lines if line["event"] == event]


def _what(parts: list[str]) -> str:
    rest = parts[parts.index("namespaces") + 2 :]
    return "/".join([rest[0], *rest[2:]])


@asynccontextmanager
async def town(fake: PodFake, **settings: Any) -> AsyncIterator[Town]:  # noqa: ANN401  # those of a Town
    """Give a town with a gateway; its operator is stopped at the end if the test started it."""
    made = Town(fake, **settings)
    made.gateway()
    try:
        yield made
    finally:
        if made.running:
            await made.stop()
