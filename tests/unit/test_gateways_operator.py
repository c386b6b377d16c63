"""The gateways operator against an API server in memory: from events to objects and statuses, at which price."""

import asyncio
import io
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.kube_api import KubeApi
from ponton_operator.cluster.metrics import Metrics
from ponton_operator.operators import gateways
from ponton_operator.operators.gateways import Gateways, read_installation
from ponton_operator.operators.guard import Context, Settings
from ponton_operator.operators.reach import Reach
from ponton_operator.plan.desk_epochs import SPENT
from ponton_operator.plan.manifests_base import decoded
from ponton_operator.plan.tally import Counts
from tests.harness.kube_fake import KubeFake, Refused, kube_fake
from tests.integration.local_world import until
from tests.unit.gateway_world import MASTER, SPEC

GATEWAY = "bridgegateways"
ENVIRONMENT = {"PONTON_OPERATOR_IMAGE": "ponton-operator:1"}
CLOSED = 1  # a port where nobody listens


class Bed:
    """An operator and its cluster; events come as a watch would bring them, in order."""

    def __init__(self, fake: KubeFake, namespaces: tuple[str, ...] = ()) -> None:
        self.fake = fake
        self.log = io.StringIO()
        self.api = KubeApi(fake.client(), writes=0)
        settings = Settings("gateways", namespaces, "ponton", "me", image="ponton-bridge:1")
        log, metrics = Log(out=self.log), Metrics("t", "0")
        self.reach = Reach(namespaces, log, metrics)
        context = Context(settings, self.api, log, metrics, self.reach)
        self.operator = Gateways(context, read_installation(ENVIRONMENT))
        self.secret("prosody", master=MASTER, token="t" * 16)
        self.secret("redis", url=f"redis://admin:word@127.0.0.1:{CLOSED}/0")

    def secret(self, name: str, **texts: str) -> None:
        """Put a Secret of the host there."""
        data = {key: b64encode(text.encode()).decode() for key, text in texts.items()}
        self.fake.put("secrets", "bridges", {"metadata": {"name": name}, "data": data})

    def gateway(self, name: str = "wa", made: str = "2026-11-29T12:00:00Z", **spec: Any) -> dict[str, Any]:  # noqa: ANN401  # as in YAML
        """Put a gateway there."""
        prosody = SPEC["prosody"] | {"url": f"http://127.0.0.1:{CLOSED}/shards"}
        body = {"metadata": {"name": name, "creationTimestamp": made}, "spec": SPEC | {"prosody": prosody} | spec}
        return self.fake.put(GATEWAY, "bridges", body)

    async def event(self, item: dict[str, Any], kind: str | None = "MODIFIED") -> None:
        """Bring an event of a gateway."""
        await self.operator._gateway({"type": kind, "object": item})

    async def account(self, name: str, kind: str = "MODIFIED", gateway: str = "wa", **status: Any) -> None:  # noqa: ANN401  # as in YAML
        """Bring an event of an account."""
        item = {"metadata": {"name": name, "namespace": "bridges"}, "spec": {"gatewayRef": {"name": gateway}}}
        await self.operator._account({"type": kind, "object": item | {"status": status}})

    def status(self, name: str = "wa") -> dict[str, Any]:
        """Give the status of a gateway as it was written."""
        found = self.fake.get(GATEWAY, "bridges", name) or {}
        return found.get("status") or {}

    def reason(self, kind: str, name: str = "wa") -> str:
        """Give the reason of a condition, '' when it is not listed."""
        return next((c["reason"] for c in self.status(name).get("conditions", []) if c["type"] == kind), "")

    def writes(self) -> list[str]:
        """Give the calls that wrote."""
        return [f"{method} {path.partition('?')[0]}" for method, path in self.fake.asked if method != "GET"]

    def looks(self) -> int:
        """Count how often it has looked at the objects that there are."""
        return len([path for _, path in self.fake.asked if "/deployments?" in path and "labelSelector" in path])

    def kinds(self) -> set[str]:
        """Give the kinds of objects that were made."""
        return {key[0] for key in self.fake.objects} - {GATEWAY, "events"}

    def told(self) -> list[str]:
        """Give the reasons of all events, in alphabetical order."""
        return sorted(item["reason"] for key, item in self.fake.objects.items() if key[0] == "events")


@pytest.fixture
async def bed(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bed]:
    """An operator that has begun."""
    monkeypatch.setattr(gateways, "SOON", 0.05)
    monkeypatch.setattr(gateways, "LOOK", 0.3)
    monkeypatch.setattr(gateways, "ON_ITS_WAY", 0.0)
    with kube_fake() as fake:
        made = Bed(fake)
        yield made
        await made.operator.close()
        made.api.close()


async def settled(bed: Bed, condition: Callable[[], object]) -> None:
    """Wait for a condition, and until the operator has nothing at hand any more."""
    await until(condition)
    await until(lambda: not bed.operator.queue._busy)


async def test_a_gateway_gets_its_parts(bed: Bed) -> None:
    """From one event all kinds of objects follow; what is away is said; Prosody's module is this installation's."""
    await bed.event(bed.gateway())
    await settled(bed, lambda: bed.reason("RedisReachable"))
    assert {
        "serviceaccounts", "leases", "roles", "rolebindings", "configmaps", "secrets", "poddisruptionbudgets",
        "deployments", "networkpolicies",
    } == bed.kinds()  # fmt: skip
    assert ("Unreachable", "Unreachable", "NotRunning") == (
        bed.reason("RedisReachable"),
        bed.reason("ProsodyReachable"),
        bed.reason("FrontDeskRunning"),
    )
    module = bed.fake.get("configmaps", "bridges", "wa-prosody-module")
    assert module
    assert "mod_component_shards.lua" in module["data"]
    assert "README.md" not in module["data"]


async def test_at_rest_it_writes_nothing(bed: Bed) -> None:
    """Looks go on and change nothing."""
    await bed.event(bed.gateway())
    await settled(bed, lambda: bed.reason("Ready") == "PartsAway" and len(bed.told()) == 2)
    before = bed.writes()
    looks = bed.looks()
    await settled(bed, lambda: bed.looks() >= looks + 3)
    assert before == bed.writes()


async def test_accounts_are_counted_without_looking(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand changes of accounts are few writes of the status, and no look at anything else."""
    await bed.event(bed.gateway())
    await settled(bed, lambda: bed.reason("Ready") == "PartsAway" and len(bed.told()) == 2)
    monkeypatch.setattr(gateways, "LOOK", 1000.0)
    await settled(bed, lambda: bed.operator._known["bridges/wa"].look is not None)
    bed.operator._known["bridges/wa"].wrote = 0.0
    bed.fake.asked.clear()
    for number in range(1000):
        await bed.account(f"acc-{number}", phase="Running", paired=number % 2 == 0)
    await bed.account("elsewhere", gateway="other", phase="Running")
    await settled(bed, lambda: bed.status().get("accounts") == 1000)
    await bed.account("acc-0", "DELETED")
    bed.operator._known["bridges/wa"].wrote = 0.0
    bed.operator.queue.add("bridges/wa")
    await settled(bed, lambda: bed.status().get("accounts") == 999)
    assert (999, 499) == (bed.status()["running"], bed.status()["paired"])
    assert len(bed.writes()) <= 3
    assert {f"/apis/ponton.im/v1alpha1/namespaces/bridges/{GATEWAY}/wa"} == {
        path.removesuffix("/status") for _, path in bed.fake.asked
    }


async def test_counts_wait_for_one_another(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a write the next counts wait their time, then come as one."""
    monkeypatch.setattr(gateways, "COALESCE", 0.3)
    await bed.event(bed.gateway())
    await settled(bed, lambda: bed.reason("Ready") == "PartsAway")
    before = len(bed.writes())
    for number in range(50):
        await bed.account(f"acc-{number}", phase="Parked")
        await asyncio.sleep(0)
    await settled(bed, lambda: bed.status().get("parked") == 50)
    assert len(bed.writes()) - before <= 2


async def test_a_missing_secret_is_told_and_heals(bed: Bed) -> None:
    """Without its Secret nothing is made, and the host reads which; with it everything is."""
    bed.fake.remove("secrets", "bridges", "redis")
    await bed.event(bed.gateway())
    await settled(bed, lambda: bed.reason("Accepted") == "SecretMissing")
    assert {"secrets"} == bed.kinds()
    assert ["Secret redis: there is none in the gateway's namespace."] == bed.status()["problems"]
    bed.secret("redis", url=f"redis://127.0.0.1:{CLOSED}/0")
    await settled(bed, lambda: bed.reason("Accepted") == "Accepted")
    assert "deployments" in bed.kinds()


async def test_what_the_host_has_to_know_is_an_event(bed: Bed) -> None:
    """Once, with the sentence of the condition; an operator that starts does not say it all again."""
    bed.fake.remove("secrets", "bridges", "redis")
    await bed.event(bed.gateway())
    first = ["AcceptedSecretMissing", "ProsodyReachableUnreachable"]
    await settled(bed, lambda: bed.told() == first)
    bed.secret("redis", url=f"redis://127.0.0.1:{CLOSED}/0")
    later = [*first, "RedisReachableUnreachable"]
    await settled(bed, lambda: bed.told() == later)
    (event,) = (item for item in bed.fake.objects.values() if item.get("reason") == later[2])
    assert ("BridgeGateway", "wa") == (event["involvedObject"]["kind"], event["involvedObject"]["name"])
    assert event["message"].startswith("Redis does not answer")

    bed.operator._known.clear()
    bed.operator._notices._told.clear()
    looks = bed.looks()
    await bed.event(bed.fake.get(GATEWAY, "bridges", "wa") or {})
    await settled(bed, lambda: bed.looks() >= looks + 3)
    assert later == bed.told()


async def test_of_two_gateways_of_a_domain_the_older_counts(bed: Bed) -> None:
    """The younger gets nothing and says why; when the older goes, it takes over."""
    old, new = bed.gateway("old", "2026-01-01T00:00:00Z"), bed.gateway("new", "2026-02-01T00:00:00Z")
    await bed.operator.start()
    for item in (new, old):
        await bed.event(item)
    await settled(bed, lambda: bed.reason("Accepted", "new") == "DomainTaken" and bed.reason("Accepted", "old"))
    assert not bed.fake.get("deployments", "bridges", "new-frontdesk")
    assert bed.fake.get("deployments", "bridges", "old-frontdesk")
    bed.fake.remove(GATEWAY, "bridges", "old")
    await bed.event(old, "DELETED")
    await settled(bed, lambda: bed.fake.get("deployments", "bridges", "new-frontdesk"))
    assert "bridges/old" not in bed.operator._known


async def test_a_restarted_operator_counts_all_before_it_tells(bed: Bed) -> None:
    """What is there is listed first: a watch tells of ten thousand accounts one by one, each with another sum."""
    for name in ("a", "b"):
        spec = {"owner": f"{name}@x.test", "gatewayRef": {"name": "wa"}}
        account = {"metadata": {"name": name}, "spec": spec, "status": {"phase": "Running", "paired": True}}
        bed.fake.put("bridgeaccounts", "bridges", account)
    bed.gateway()
    await bed.operator.start()
    assert Counts(accounts=2, running=2, paired=2) == bed.operator._tally.counts("bridges/wa")


async def test_somebody_elses_object_is_never_touched(bed: Bed) -> None:
    """A Secret of the host that has our name stays as it is; the host is told to give it another."""
    bed.secret("wa-prosody", mine="1")
    await bed.event(bed.gateway())
    await settled(bed, lambda: "wa-prosody exists" in str(bed.status().get("problems")))
    host = bed.fake.get("secrets", "bridges", "wa-prosody")
    assert host
    assert {"mine"} == host["data"].keys()
    assert "deployments" in bed.kinds()
    bed.fake.remove("secrets", "bridges", "wa-prosody")
    await settled(bed, lambda: bed.status().get("problems") == [])


async def test_what_the_cluster_refuses_is_told(bed: Bed) -> None:
    """One object that is not taken does not hold up the others, and is tried again."""
    bed.fake.refuse["PATCH", "deployments"] = [Refused(422, "Invalid")] * 2
    await bed.event(bed.gateway())
    await settled(bed, lambda: "Deployment wa-frontdesk" in str(bed.status().get("problems")))
    assert "poddisruptionbudgets" in bed.kinds()
    await settled(bed, lambda: bed.fake.get("deployments", "bridges", "wa-frontdesk"))
    await settled(bed, lambda: bed.status().get("problems") == [])


async def test_a_spent_epoch_is_replaced(bed: Bed) -> None:
    """What the front desk took from the stock is issued anew behind it."""
    await bed.event(bed.gateway())
    await settled(bed, lambda: bed.fake.get("secrets", "bridges", "wa-frontdesk"))

    def stock() -> list[int]:
        secret = bed.fake.get("secrets", "bridges", "wa-frontdesk") or {}
        return sorted(map(int, json.loads(decoded(secret, "epochs") or "{}")))

    first = stock()
    bed.fake.put("leases", "bridges", {"metadata": {"name": "wa-frontdesk", "annotations": {SPENT: str(first[2])}}})
    await settled(bed, lambda: stock() != first)
    assert first[3:] == stock()[: len(first) - 3]
    assert len(first) == len(stock())


async def test_an_api_that_does_not_answer_is_asked_again(bed: Bed) -> None:
    """A look that fails changes nothing and is made again."""
    bed.fake.refuse["GET", GATEWAY] = [Refused(503, "ServiceUnavailable")]
    bed.fake.refuse["GET", "secrets"] = [Refused(500, "InternalError")]
    await bed.event(bed.gateway())
    await settled(bed, lambda: bed.reason("Ready"))
    assert 2 <= bed.log.getvalue().count("look_failed")


async def test_a_gateway_of_another_version_is_left_alone(bed: Bed) -> None:
    """What this version does not understand is logged by name and not touched."""
    await bed.event(bed.gateway(later={"x": 1}))
    await settled(bed, lambda: "gateway_refused" in bed.log.getvalue())
    assert {"secrets"} == bed.kinds()


async def test_a_sweep_finds_what_no_watch_told(bed: Bed) -> None:
    """Accounts that are gone without an event are taken out of the counts."""
    await bed.event(bed.gateway())
    account = {"metadata": {"name": "acc-1"}, "spec": {"gatewayRef": {"name": "wa"}}}
    bed.fake.put("bridgeaccounts", "bridges", account)
    for name in ("acc-1", "acc-2"):
        await bed.account(name, phase="Running")
    await bed.operator._sweep()
    assert {"bridges/acc-1"} == bed.operator._tally.names
    assert "swept" in bed.log.getvalue()


async def test_its_log_says_nothing_of_secrets_or_owners(bed: Bed) -> None:
    """Kinds, counts and classes of errors only."""
    await bed.event(bed.gateway())
    await settled(bed, lambda: bed.reason("Ready") == "PartsAway")
    assert not any(word in bed.log.getvalue() for word in (MASTER, "word", "t" * 16, "wa.example.org"))


def test_the_installation_is_read_from_the_environment() -> None:
    """Image, role, pull policy and priority; what is not said has a default."""
    bare = read_installation({}).doors
    assert ("", "ponton-frontdesk", "IfNotPresent", "") == (
        bare.image,
        bare.role,
        bare.pull_policy,
        bare.priority_class,
    )
    full = read_installation({
        "PONTON_OPERATOR_IMAGE": "i",
        "PONTON_FRONTDESK_ROLE": "r",
        "PONTON_IMAGE_PULL_POLICY": "Never",
        "PONTON_FRONTDESK_PRIORITY_CLASS": "p",
    }).doors  # fmt: skip
    assert ("i", "r", "Never", "p") == (full.image, full.role, full.pull_policy, full.priority_class)


async def test_a_namespace_that_is_refused_is_not_asked_every_moment(bed: Bed) -> None:
    """Its gateways are dropped with the first refusal, and looked at again when it is served again."""
    other = Bed(bed.fake, ("bridges", "others"))
    bed.gateway()
    await other.operator.start()
    await other.event(bed.fake.get(GATEWAY, "bridges", "wa") or {})
    await settled(other, lambda: other.reason("RedisReachable"))
    await other.account("acc-1", phase="Running")
    bed.fake.forbidden.add("bridges")
    keeping = asyncio.create_task(other.reach.keep(other.operator))
    await until(lambda: not other.operator._known)
    assert '"event":"namespace_left_out"' in other.log.getvalue()
    asked = len(bed.fake.asked)
    await other.event(bed.fake.get(GATEWAY, "bridges", "wa") or {})  # a late word
    await asyncio.sleep(0.5)  # several of its rounds
    assert {"/apis/ponton.im/v1alpha1/namespaces/bridges/bridgegateways"} >= {
        path.partition("?")[0] for _, path in bed.fake.asked[asked:]
    }
    bed.fake.forbidden.clear()
    looks = other.looks()
    await until(lambda: other.looks() > looks)
    assert 1 == other.operator._tally.counts("bridges/wa").accounts
    keeping.cancel()
    await other.operator.close()
    other.api.close()


async def test_a_sweep_leaves_those_alone_that_it_cannot_see(bed: Bed) -> None:
    """Accounts of a namespace that is left out are not gone for that."""
    other = Bed(bed.fake, ("bridges", "others"))
    await other.operator.start()
    await other.account("acc-1", phase="Running")
    other.reach.refuse("bridges")
    await other.operator._sweep()
    assert 1 == other.operator._tally.counts("bridges/wa").accounts
    await other.reach.begin(other.operator)
    await other.operator._sweep()
    assert 0 == other.operator._tally.counts("bridges/wa").accounts
    await other.operator.close()
    other.api.close()
