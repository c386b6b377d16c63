"""A cluster in memory for the scaler's driver: objects that are read and patched, pods that resize or do not, beats.

Used by test_scaler*.py. Patches merge as the API server merges them; every write is remembered.
"""

import copy
import io
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ponton_bridge.coordination.client.door import DoorClient, RedisAway
from ponton_bridge.coordination.contract import Happening, Heartbeat
from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.kube_api import KubeApi
from ponton_operator.cluster.kube_beats import Beats
from ponton_operator.cluster.kube_errors import Conflict, KubeError, NotFound
from ponton_operator.cluster.kube_kinds import ACCOUNTS, GATEWAYS, PODS, SECRETS, Kind, Obj
from ponton_operator.cluster.metrics import Metrics
from ponton_operator.operators.guard import Context, Settings
from ponton_operator.operators.reach import Reach
from ponton_operator.resources.account import BridgeAccount
from tests.unit.fleet_kit import EPOCH, NOW

SMALL = {"requests": {"cpu": "20m", "memory": "96Mi"}, "limits": {"memory": "256Mi"}}
LARGE = {"requests": {"cpu": "20m", "memory": "96Mi"}, "limits": {"memory": "1Gi"}}
TIERS = [{"name": "small", "memoryLimit": "256Mi"}, {"name": "large", "memoryLimit": "1Gi"}]
PLACE = "wa"


def gateway_object(**spec: Any) -> Obj:  # noqa: ANN401  # any field
    """Make a BridgeGateway as the API server has it."""
    return {
        "apiVersion": "ponton.im/v1alpha1",
        "kind": "BridgeGateway",
        "metadata": {"name": "wa", "namespace": PLACE, "resourceVersion": "1", "generation": 1},
        "spec": {
            "domain": "whatsapp.example.org",
            "prosody": {"url": "http://prosody:5280/shards", "tokenRef": {"name": "prosody", "key": "token"}},
            "redis": {"urlRef": {"name": "redis", "key": "url"}},
            "secrets": {"masterRef": {"name": "prosody", "key": "master"}},
            "scaling": {"tiers": TIERS},
            **spec,
        },
    }


def account_object(account: BridgeAccount) -> Obj:
    """Give an account as the API server has it."""
    found: Obj = account.model_dump(mode="json", by_alias=True, exclude_none=True)
    found["metadata"] |= {"namespace": PLACE, "resourceVersion": "1"}
    return found


def pod_object(account: str, epoch: int = EPOCH, resources: Obj | None = None, **status: Any) -> Obj:  # noqa: ANN401  # any field
    """Make a running pod of a shard."""
    return {
        "metadata": {
            "name": f"{account}-{epoch}",
            "namespace": PLACE,
            "resourceVersion": "1",
            "labels": {"ponton.im/account": account, "ponton.im/gateway": "wa"},
            "annotations": {"ponton.im/epoch": str(epoch)},
        },
        "spec": {"containers": [{"name": "shard", "resources": copy.deepcopy(resources or SMALL)}]},
        "status": {"phase": "Running", **status},
    }


def merged(before: Any, patch: Any) -> Any:  # noqa: ANN401  # JSON
    """Merge by RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    after = dict(before) if isinstance(before, dict) else {}
    for key, value in patch.items():
        if value is None:
            after.pop(key, None)
        else:
            after[key] = merged(after.get(key), value)
    return after


class FakeApi(KubeApi):
    """The API server; `refuses` is what it answers to a resize, `fails` to a patch of a status."""

    def __init__(self, *objects: tuple[Kind, Obj]) -> None:  # the wrapper's own would open connections
        self.objects = {(kind, item["metadata"]["namespace"], item["metadata"]["name"]): item for kind, item in objects}
        self.writes: list[tuple[str, str, Obj]] = []
        self.refuses: KubeError | None = None
        self.fails: KubeError | None = None
        self.reads: list[str] = []

    async def get(self, kind: Kind, namespace: str, name: str) -> Obj:
        """Give one object."""
        self.reads.append(f"{kind.plural}/{name}")
        try:
            return self.objects[kind, namespace, name]
        except KeyError:
            raise NotFound from None

    async def pages(
        self,
        kind: Kind,
        namespace: str = "",
        labels: str = "",  # noqa: ARG002  # all pods here are shards
        *,
        names_only: bool = False,  # noqa: ARG002
    ) -> AsyncIterator[list[Obj]]:
        """Give all objects, one a page."""
        for (held, place, _), item in self.objects.items():
            if held == kind and namespace in {"", place}:
                yield [item]

    async def patch(self, kind: Kind, namespace: str, name: str, body: Obj, subresource: str = "") -> Obj:
        """Merge into an object."""
        if self.fails:
            raise self.fails
        item = await self.get(kind, namespace, name)
        asked = (body.get("metadata") or {}).get("resourceVersion")
        if asked not in {None, item["metadata"]["resourceVersion"]}:
            raise Conflict
        self.writes.append((f"{kind.plural}/{name}/{subresource}", "merge", body))
        return self._put(kind, merged(item, body))

    async def resize(self, namespace: str, name: str, container: str, resources: Obj) -> Obj:
        """Change what a container may use."""
        if self.refuses:
            raise self.refuses
        item = copy.deepcopy(await self.get(PODS, namespace, name))
        self.writes.append((f"pods/{name}/resize", container, resources))
        item["spec"]["containers"][0]["resources"] = resources
        return self._put(PODS, item)

    def _put(self, kind: Kind, item: Obj) -> Obj:
        version = str(int(item["metadata"]["resourceVersion"]) + 1)
        item = item | {"metadata": item["metadata"] | {"resourceVersion": version}}
        self.objects[kind, item["metadata"]["namespace"], item["metadata"]["name"]] = item
        return item

    def status(self, name: str) -> Obj:
        """Give the status of an account."""
        found: Obj = self.objects[ACCOUNTS, PLACE, name]["status"]
        return found


class FakeDoor(DoorClient):
    """A Redis that has these heartbeats."""

    def __init__(self, beats: dict[str, Heartbeat], asked: list[int]) -> None:  # no connection is opened
        self.beats = beats
        self.asked = asked
        self.happened: list[tuple[str, Happening]] = []
        self.closed = False
        self.open: dict[str, int] | None = {}

    async def heartbeats(self, accounts: Sequence[str]) -> dict[str, Heartbeat]:
        """Give those that there are."""
        self.asked.append(len(accounts))
        return {name: self.beats[name] for name in accounts if name in self.beats}

    async def record(self, happened: Sequence[tuple[str, Happening]]) -> None:
        """Keep them."""
        self.happened += happened

    async def open_pages(self) -> dict[str, int]:
        """Give what replicas of the portal say."""
        if self.open is None:
            raise RedisAway
        return self.open

    async def close(self) -> None:
        """End."""
        self.closed = True


@dataclass(slots=True)
class Bed:
    """Everything that the scaler works with; `now` is its clock, both for times and for spans."""

    api: FakeApi
    beats: dict[str, Heartbeat] = field(default_factory=dict)
    now: float = NOW
    pages: list[int] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    doors: list[FakeDoor] = field(default_factory=list)
    out: io.StringIO = field(default_factory=io.StringIO)

    @classmethod
    def of(cls, *accounts: BridgeAccount, pods: Sequence[Obj] = (), **spec: Any) -> "Bed":  # noqa: ANN401  # any field
        """Make a cluster with one gateway."""
        url = b64encode(b"redis://control:secret@redis:6379/0\n").decode()
        secret = {"metadata": {"name": "redis", "namespace": PLACE, "resourceVersion": "1"}, "data": {"url": url}}
        held = [(ACCOUNTS, account_object(account)) for account in accounts]
        return cls(FakeApi((GATEWAYS, gateway_object(**spec)), (SECRETS, secret), *held, *((PODS, p) for p in pods)))

    def clock(self) -> float:
        """Give the time."""
        return self.now

    @property
    def log(self) -> Log:
        """A log to be read."""
        return Log(out=self.out, clock=self.clock)

    def context(self) -> Context:
        """Give what an operator works with."""
        settings = Settings("scaler", (PLACE,), PLACE, "me")
        metrics = Metrics("operator scaler", "1")
        return Context(settings, self.api, self.log, metrics, Reach((PLACE,), self.log, metrics))

    def make_beats(self) -> Beats:
        """Give the reader of heartbeats."""

        def door(url: str, _gateway: str) -> DoorClient:
            self.urls.append(url)
            self.doors.append(FakeDoor(self.beats, self.pages))
            return self.doors[-1]

        opened: Callable[[str, str], DoorClient] = door
        return Beats(self.api, self.clock, opened)
