"""The accounts operator against an API server in memory: starts, ends, troubles, and what each costs in writes."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from ponton_operator.cluster import kube_runtime, kube_shards
from ponton_operator.cluster.coordination import Coordination
from ponton_operator.cluster.kube_api import KubeApi
from ponton_operator.plan import deletion
from ponton_operator.plan.values import Step
from tests.harness.kube_fake import Key, Obj, Refused, kube_fake
from tests.harness.kube_town import NS, PodFake, Town, town

START = [
    ("PATCH", "bridgeaccounts/status"),
    ("POST", "persistentvolumeclaims"),
    ("POST", "pods"),
    ("POST", "secrets"),
]


@pytest.fixture
def fake() -> Iterator[PodFake]:
    """An API server."""
    made = PodFake()
    with kube_fake(made):
        yield made


@pytest.fixture
async def here(fake: PodFake) -> AsyncIterator[Town]:
    """A cluster with a gateway, no operator yet."""
    async with town(fake) as made:
        yield made


async def started(here: Town, name: str = "acc-1", reason: str = "Connected") -> Obj:
    """Have an account started, running and linked; gives its pod."""
    here.account(name, owner=f"{name}@example.test")
    await here.until(lambda: here.pods(name))
    pod = here.run(name)
    await here.settle()
    here.tell(reason, name, paired=1)
    await here.until(lambda: reason == here.reason(name))
    await here.settle()
    return pod


def epoch(pod: Obj) -> int:
    """Give the epoch of a pod."""
    return int(pod["metadata"]["annotations"]["ponton.im/epoch"])


def there(fake: PodFake, plural: str) -> list[str]:
    """Give the names of the objects of a kind."""
    return sorted(key[2] for key in fake.objects if key[0] == plural)


async def test_a_start_costs_five_writes(here: Town, fake: PodFake) -> None:
    """Epoch, claim, Secret, pod; and one status for all that is told in the first five seconds."""
    here.account()
    await here.start(apart=5.0)
    await here.until(here.pods)
    assert sorted(START) == sorted(here.written())
    pod = here.run()
    assert (here.said()["epoch"], f"acc-1-{epoch(pod)}") == (epoch(pod), pod["metadata"]["name"])
    assert ["acc-1"] == there(fake, "persistentvolumeclaims")
    for reason in ("Starting", "WaitingForScan", "Connecting", "Connected"):
        here.tell(reason, paired=1)
        await here.settle()
    assert 4 == len(here.written())
    await here.until(lambda: "Connected" == here.reason())
    assert [*sorted(START), ("PATCH", "bridgeaccounts/status")] == [*sorted(here.written()[:4]), *here.written()[4:]]
    assert ("True", "Connected") == here.condition("Ready")


async def test_nothing_is_written_at_rest(here: Town) -> None:
    """Heartbeats that say the same, events that change nothing, a sweep: no write."""
    await here.start()
    await started(here)
    before = len(here.written())
    for _ in range(20):
        here.tell("Connected", paired=1)
        here.status(here.pod())
        await here.settle()
    await here.operator.sweep()
    await here.settle()
    assert before == len(here.written())


async def test_a_lagging_watch_makes_no_second_pod(here: Town) -> None:
    """What we made ourselves is known from the answer: planned five times on an old view, there is one pod."""
    await here.start()
    here.account()
    await here.watch()
    runtime = here.operator.gateways[NS, "wa"]
    for _ in range(5):
        runtime.touch("acc-1")
        await here.idle()
    assert 1 == len(here.pods())
    await here.settle()
    assert 1 == len(here.pods())
    assert 1 == here.written().count(("POST", "pods"))


async def test_old_news_is_no_news(here: Town, fake: PodFake) -> None:
    """A watch that tells again what was long ago changes nothing."""
    await here.start()
    await started(here)
    before, told = len(here.written()), here.seen
    here.seen = 0
    fake.events = [event for event in fake.events if event[0] <= told]
    await here.watch()
    await here.settle()
    assert before == len(here.written())
    assert "Connected" == here.reason()


async def test_a_restarted_operator_writes_nothing(here: Town) -> None:
    """One list each, and what runs goes on."""
    await here.start()
    await started(here)
    before = len(here.written())
    await here.restart()
    here.tell("Connected", paired=1)
    await here.settle()
    assert before == len(here.written())
    assert 1 == len(here.pods())


async def test_nothing_is_planned_before_all_shards_were_heard_of(here: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of thousands the heartbeats come one page after the other: nobody is told to start who has run all the time."""
    await here.start()
    await started(here)
    before, read = len(here.written()), asyncio.Event()

    class Slow(Coordination):
        async def run(self) -> None:
            await read.wait()
            here.tell("Connected", paired=1)
            self.looked.set()
            await super().run()

    monkeypatch.setattr(kube_runtime, "Coordination", Slow)
    restarting = asyncio.create_task(here.restart())
    await asyncio.wait([restarting], timeout=0.5)
    assert not restarting.done()
    read.set()
    await restarting
    await here.settle()
    assert before == len(here.written())
    assert "Connected" == here.reason()


async def test_a_crash_restarts_in_place_and_costs_nothing(here: Town) -> None:
    """The kubelet starts the container anew, with the same epoch and instance."""
    await here.start()
    pod = await started(here)
    before = len(here.written())
    here.status(pod, restartCount=1, state={"running": {"startedAt": pod["metadata"]["creationTimestamp"]}})
    await here.settle()
    assert before == len(here.written())
    assert [pod["metadata"]["name"]] == [p["metadata"]["name"] for p in here.pods()]


async def test_a_loop_of_crashes_is_told_once(here: Town, fake: PodFake) -> None:
    """The account says so, an event says so, the pod stays: the kubelet goes on."""
    await here.start()
    pod = await started(here)
    for _ in range(3):
        here.status(pod, state={"waiting": {"reason": "CrashLoopBackOff"}}, restartCount=4)
        await here.until(lambda: "Crashing" == here.reason())
        here.status(pod)
        await here.until(lambda: "Connected" == here.reason())
    assert 1 == len(there(fake, "events"))
    assert 1 == len(here.pods())


async def test_an_end_for_good_parks_the_account(here: Town, fake: PodFake) -> None:
    """Redis away: the reason comes from the container's last words. Pod and Secret go, claim and account stay."""
    await here.start()
    pod = await started(here)
    words = {"epoch": epoch(pod), "instance": pod["metadata"]["uid"], "reason": "LoggedOut", "since": time.time()}
    here.ended(pod, 0, message=json.dumps(words))
    await here.until(lambda: "LoggedOut" == here.reason() and not here.pods())
    await here.settle()
    assert (["gw"], ["acc-1"]) == (there(fake, "secrets"), there(fake, "persistentvolumeclaims"))
    assert ("False", "NotPaired") == here.condition("Paired")
    here.account(owner="acc-1@example.test", wake=1)
    await here.until(here.pods)
    assert epoch(here.pod()) > epoch(pod)


async def test_a_pod_that_somebody_deletes_is_followed_by_another(here: Town, fake: PodFake) -> None:
    """Not before it is gone; and with the next epoch."""
    await here.start()
    pod = await started(here)
    fake.answer("DELETE", f"/api/v1/namespaces/{NS}/pods/{pod['metadata']['name']}", {}, {})
    await here.settle()
    assert 1 == len(here.pods())
    here.gone(pod)
    await here.until(here.pods)
    assert epoch(here.pod()) > epoch(pod)
    await here.settle()
    assert [f"acc-1-{epoch(here.pod())}", "gw"] == there(fake, "secrets")


async def test_an_evicted_pod_is_replaced(here: Town) -> None:
    """A pod that failed is collected, and the next one made."""
    await here.start()
    pod = await started(here)
    here.fake.put(
        "pods", NS, {"metadata": {"name": pod["metadata"]["name"]}, "status": {"phase": "Failed", "reason": "Evicted"}}
    )
    await here.until(lambda: here.pods() and epoch(here.pods()[-1]) > epoch(pod))
    await here.settle()
    assert 1 == len(here.pods())


async def test_a_lost_node_is_waited_for(here: Town, fake: PodFake) -> None:
    """Nobody knows whether the shard runs: no second one, a condition, an event; it goes on when it is known."""
    here.node(away=False)
    await here.start()
    pod = await started(here)
    here.node(away=True)
    await here.until(lambda: "WaitingForNode" == here.reason())
    assert ("True", "WaitingForNode") == here.condition("WaitingForNode")
    await here.until(lambda: 1 == len(there(fake, "events")))
    fake.answer("DELETE", f"/api/v1/namespaces/{NS}/pods/{pod['metadata']['name']}", {}, {})
    await here.settle()
    assert 1 == len(here.pods())
    here.gone(pod)  # by force, or by the out-of-service taint
    await here.until(here.pods)
    assert epoch(here.pod()) > epoch(pod)


async def test_a_node_that_comes_back_keeps_its_shard(here: Town) -> None:
    """The pod is read anew, and all is as it was."""
    here.node(away=False)
    await here.start()
    pod = await started(here)
    here.node(away=True)
    await here.until(lambda: "WaitingForNode" == here.reason())
    here.node(away=False)
    await here.until(lambda: "Connected" == here.reason())
    assert [epoch(pod)] == [epoch(p) for p in here.pods()]


async def test_a_wrong_image_is_told_and_a_corrected_one_taken_at_once(here: Town, fake: PodFake) -> None:
    """Though the rollout is paused: nobody is served by the stuck one."""
    here.gateway(shard={"image": "nowhere.example/bridge:1"}, rollout={"paused": True})
    await here.start()
    here.account()
    await here.until(here.pods)
    stuck = here.pod()
    here.status(stuck, "Pending", state={"waiting": {"reason": "ImagePullBackOff"}})
    await here.until(lambda: "ImageUnavailable" == here.reason())
    assert ("False", "ImageUnavailable") == here.condition("PodScheduled")
    await here.until(lambda: there(fake, "events"))
    [event] = [obj for key, obj in fake.objects.items() if key[0] == "events"]
    assert ("ImageUnavailable", "acc-1") == (event["reason"], event["involvedObject"]["name"])
    here.gateway(shard={"image": "registry.example/bridge:1"}, rollout={"paused": True})
    await here.until(lambda: here.pod()["metadata"].get("deletionTimestamp"))
    here.gone(stuck)
    await here.until(here.pods)
    assert "registry.example/bridge:1" == here.pod()["spec"]["containers"][0]["image"]


async def test_a_full_quota_is_waited_for(here: Town, fake: PodFake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The account says so; the pod is made under the same epoch when there is room."""
    monkeypatch.setattr(kube_shards, "WAIT", {})
    monkeypatch.setattr(kube_shards, "WAIT_OTHERWISE", 0.1)
    full = Refused(403, "Forbidden", "pods is forbidden: exceeded quota: small")
    fake.refuse["POST", "pods"] = [full] * 1000
    await here.start()
    here.account()
    await here.until(lambda: "QuotaFull" == here.reason())
    promised = here.said()["epoch"]
    assert ("False", "QuotaFull") == here.condition("PodScheduled")
    assert not here.pods()
    fake.refuse.clear()
    await here.until(here.pods)
    assert promised == epoch(here.pod())


async def test_a_pending_start_can_be_given_up(here: Town, fake: PodFake) -> None:
    """Stopped while it waits: no pod is made any more, and its Secret goes."""
    fake.refuse["POST", "pods"] = [Refused(403, "Forbidden", "exceeded quota")] * 1000
    await here.start()
    here.account()
    await here.until(lambda: "QuotaFull" == here.reason())
    here.account(desired="Stopped")
    await here.until(lambda: "Stopped" == here.reason() and ["gw"] == there(fake, "secrets"))
    fake.refuse.clear()
    await here.settle()
    assert not here.pods()


async def test_an_answer_that_was_lost_makes_no_second_pod(
    here: Town, fake: PodFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pod was made, nobody heard: tried again under the same name, it is found."""
    monkeypatch.setattr(kube_shards, "WAIT_OTHERWISE", 0.1)
    make, lost = PodFake._made, [2]

    def deaf(self: PodFake, plural: str, namespace: str, body: Obj | None) -> Obj:
        made = make(self, plural, namespace, body)
        if plural == "pods" and lost[0]:
            lost[0] -= 1
            raise Refused(504, "Timeout")
        return made

    monkeypatch.setattr(PodFake, "_made", deaf)
    await here.start()
    here.account()
    await here.until(lambda: here.logged("shard_started"))
    await here.settle()
    assert [here.said()["epoch"]] == [epoch(pod) for pod in here.pods()]


async def test_of_two_of_one_owner_the_older_counts(here: Town) -> None:
    """The other says so and gets no pod; when the older one goes it gets one."""
    await here.start()
    here.account("acc-1")
    await here.until(lambda: here.pods("acc-1"))
    twin = here.account("acc-2")
    here.fake.put(
        "bridgeaccounts", NS, twin | {"metadata": twin["metadata"] | {"creationTimestamp": "2099-01-01T00:00:00Z"}}
    )
    await here.until(lambda: "Duplicate" == here.reason("acc-2"))
    assert not here.pods("acc-2")
    here.fake.remove("bridgeaccounts", NS, "acc-1")
    await here.until(lambda: here.pods("acc-2"))


async def test_a_deletion_leaves_nothing(here: Town, fake: PodFake, monkeypatch: pytest.MonkeyPatch) -> None:
    """With Redis and Prosody away: what could not be done is told by an event, and blocks nothing for ever."""
    for step in (Step.UNLINK, Step.RELEASE, Step.REDIS):
        monkeypatch.setitem(deletion.DEADLINE, step, 0.3)
    await here.start()
    pod = await started(here)
    here.delete()
    await here.until(lambda: here.pod()["metadata"].get("deletionTimestamp"))
    here.ended(pod)
    await here.until(lambda: fake.get("bridgeaccounts", NS, "acc-1") is None)
    await here.settle()
    assert ([], [], ["gw"]) == tuple(there(fake, kind) for kind in ("pods", "persistentvolumeclaims", "secrets"))
    [event] = [obj for key, obj in fake.objects.items() if key[0] == "events"]
    assert "AccountLeftovers" == event["reason"]
    assert "remove the device on the phone" in event["message"]


async def test_in_a_namespace_that_goes_the_finalizer_goes_at_once(here: Town, fake: PodFake) -> None:
    """One patch, nothing else is asked of anybody."""
    await here.start()
    await started(here)
    fake.put(
        "namespaces", "", {"metadata": {"name": NS, "deletionTimestamp": "2026-11-29T00:00:00Z", "finalizers": ["x"]}}
    )
    before = len(fake.asked)
    here.delete()
    await here.until(lambda: fake.get("bridgeaccounts", NS, "acc-1") is None)
    assert [("PATCH", "bridgeaccounts")] == here.written(before)


async def test_an_account_without_finalizer_gets_it_before_it_starts(here: Town, fake: PodFake) -> None:
    """One made by kubectl must not vanish before its device is unlinked."""
    await here.start()
    raw = here.account()
    fake.remove("bridgeaccounts", NS, "acc-1")
    metadata = {"name": "acc-1", "finalizers": ["somebody.example/else"]}
    fake.put(
        "bridgeaccounts",
        NS,
        {"apiVersion": raw["apiVersion"], "kind": raw["kind"], "metadata": metadata, "spec": raw["spec"]},
    )
    await here.until(here.pods)
    account = fake.get("bridgeaccounts", NS, "acc-1")
    assert account
    assert ["somebody.example/else", "ponton.im/unlink"] == account["metadata"]["finalizers"]


async def test_without_its_gateway_an_account_waits(here: Town, fake: PodFake) -> None:
    """And says so; when the gateway comes it starts. One that runs is left alone when the gateway goes."""
    fake.remove("bridgegateways", NS, "wa")
    await here.start()
    here.account()
    await here.until(lambda: "GatewayMissing" == here.reason())
    assert not here.pods()
    here.gateway()
    await here.until(here.pods)
    here.run()
    await here.settle()
    here.tell("Connected")
    fake.remove("bridgegateways", NS, "wa")
    await here.until(lambda: "Connected" == here.reason())
    assert 1 == len(here.pods())


async def test_a_missing_secret_is_told_and_its_coming_noticed(
    here: Town, fake: PodFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Secrets are not watched: they are looked at again now and then."""
    monkeypatch.setattr("ponton_operator.cluster.kube_runtime.KEEP", 0.1)
    monkeypatch.setattr("ponton_operator.cluster.kube_gateway.FRESH", 0.0)
    fake.remove("secrets", NS, "gw")
    await here.start()
    here.account()
    await here.until(lambda: "GatewayNotReady" == here.reason())
    assert here.logged("gateway_not_ready")
    here.gateway()
    await here.until(here.pods)


async def test_a_refused_store_is_emptied_by_a_fresh_claim(here: Town, fake: PodFake) -> None:
    """After StaleStore and a wake the old claim is removed, and another one made before the pod is."""
    await here.start()
    pod = await started(here)
    old = fake.objects["persistentvolumeclaims", NS, "acc-1"]["metadata"]["uid"]
    here.tell("StaleStore", paired=1)
    here.ended(pod)
    await here.until(lambda: "StaleStore" == here.reason() and not here.pods())
    here.account(owner="acc-1@example.test", wake=1)
    await here.until(here.pods)
    assert old != fake.objects["persistentvolumeclaims", NS, "acc-1"]["metadata"]["uid"]


async def test_what_the_scaler_writes_is_kept(here: Town, fake: PodFake) -> None:
    """Its part of the status stays as it is, and a decision made beside it is made again from what is then."""
    await here.start()
    here.account()
    scaled = {"scaling": {"tier": "big", "park": "", "parkWake": 0}}
    fake.put("bridgeaccounts", NS, {"metadata": {"name": "acc-1"}, "status": scaled})
    await here.until(here.pods)
    assert "big" == here.said()["scaling"]["tier"]
    here.fake.put("bridgeaccounts", NS, {"metadata": {"name": "acc-1"}, "status": {"scaling": {"park": "NeverPaired"}}})
    await here.until(lambda: not here.pods())
    assert "NeverPaired" == here.said()["scaling"]["park"]


async def test_a_decision_is_made_from_what_is(here: Town, fake: PodFake) -> None:
    """Somebody stopped the account, and our watch lags: the write of the epoch is refused, so no pod is made."""
    await here.start()
    here.account()
    stale = list(fake.events)
    here.account(desired="Stopped")
    fake.events, fresh = stale, list(fake.events)
    await here.watch()
    await here.until(lambda: "Stopped" == here.reason())
    fake.events = fresh
    await here.settle()
    assert not here.pods()
    assert ("POST", "pods") not in here.written()


async def test_what_is_asked_while_a_status_is_written_is_not_overlooked(
    here: Town, fake: PodFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to the write has it already, so the watch tells nothing new: it is planned from the answer."""
    await here.start()
    await started(here)
    answer, asked = fake.answer, list[str]()

    def meanwhile(method: str, path: str, query: dict[str, str], body: Obj | None) -> Obj:
        if method == "PATCH" and path.endswith("/acc-1/status") and not asked:
            asked.append(path)
            here.account(desired="Stopped")
        return answer(method, path, query, body)

    monkeypatch.setattr(fake, "answer", meanwhile)
    here.tell("ConnectionLost")
    await here.until(lambda: "Stopped" == here.reason())
    assert asked
    await here.until(lambda: not here.pods() or here.pod()["metadata"].get("deletionTimestamp"))


async def test_the_brake_stops_us(here: Town, fake: PodFake) -> None:
    """On the account or on its gateway: nothing is started, and it is shown."""
    gateway = here.gateway()
    fake.put(
        "bridgegateways",
        NS,
        gateway | {"metadata": gateway["metadata"] | {"annotations": {"ponton.im/paused": "true"}}},
    )
    await here.start()
    here.account()
    await here.until(lambda: ("True", "ReconcileDisabled") == here.condition("Paused"))
    assert not here.pods()
    fake.put("bridgegateways", NS, {"metadata": {"name": "wa", "annotations": {"ponton.im/paused": None}}})
    await here.until(here.pods)


async def test_a_sweep_finds_what_no_watch_told(here: Town, fake: PodFake) -> None:
    """A watch that broke off lists anew after a gap, and says nothing of what is missing."""
    await here.start()
    pod = await started(here)
    await started(here, "acc-2")
    events = list(fake.events)
    here.gone(pod)
    fake.remove("bridgeaccounts", NS, "acc-2")
    fake.events = events  # nobody tells
    await here.operator.sweep()
    await here.until(here.pods)
    assert epoch(here.pod()) > epoch(pod)
    assert "acc-2" not in here.operator.gateways[NS, "wa"].accounts.held
    assert (1, 1) == tuple(here.logged("swept")[0][what] for what in ("pods", "accounts"))


async def test_a_pod_that_should_be_gone_is_looked_at(
    here: Town, fake: PodFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event of its end was missed: after its time we read it ourselves."""
    monkeypatch.setattr("ponton_operator.plan.pods.OVERDUE", -28.0)  # a second or two after it was told
    await here.start()
    pod = await started(here)
    here.account(owner="acc-1@example.test", desired="Stopped")
    await here.until(lambda: here.pod()["metadata"].get("deletionTimestamp"))
    fake.objects.pop(("pods", NS, pod["metadata"]["name"]))  # without an event
    await here.until(lambda: ("False", "NoProcess") == here.condition("PodScheduled"))
    assert ["gw"] == there(fake, "secrets")


async def test_many_accounts_start_at_the_pace_of_the_api_server(fake: PodFake) -> None:
    """So many writes a second, shared by those that wait; every account gets its pod."""
    async with town(fake, writes=100.0) as here:
        for number in range(30):
            here.account(f"acc-{number}", owner=f"o{number}@example.test")
        await here.start(apart=5.0)
        began = time.monotonic()
        await here.until(lambda: 30 == len(there(fake, "pods")))
        assert time.monotonic() - began >= (30 * 4 - 100) / 100.0 * 0.5
        assert 30 * 4 == len(here.written())


async def test_starts_give_way_when_writes_are_late(fake: PodFake, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as there are turns while a write waits for half a second, hardly any when it waits long."""
    async with town(fake, writes=20.0) as here:
        await here.start()
        shares = []
        for seconds in (0.0, 0.5, 1.5, 9.0):
            monkeypatch.setattr(KubeApi, "late", lambda _, seconds=seconds: seconds)
            shares.append(here.operator._share())
        assert [1.25 * 20 / 5, 20 / 5, 0.5 * 20 / 5, 0.05 * 20 / 5] == pytest.approx(shares)


async def test_gateways_in_several_namespaces_are_served_by_one_process(fake: PodFake) -> None:
    """Each with its own secrets, accounts and turns."""
    async with town(fake, namespaces=(NS, "other")) as here:
        here.gateway("other")
        here.account()
        raw = here.account("acc-9", owner="z@example.test")
        fake.remove("bridgeaccounts", NS, "acc-9")
        head = {key: raw[key] for key in ("apiVersion", "kind", "spec")}
        fake.put("bridgeaccounts", "other", head | {"metadata": {"name": "acc-9", "finalizers": ["ponton.im/unlink"]}})
        await here.start()
        await here.until(lambda: {NS, "other"} == {key[1] for key in fake.objects if key[0] == "pods"})


async def test_what_cannot_be_read_is_left_alone(here: Town, fake: PodFake) -> None:
    """An account or a gateway of another version is logged, and holds up nobody."""
    await here.start()
    bad: dict[str, Any] = {"metadata": {"name": "acc-bad"}, "spec": {"owner": "canary@example.test", "new": True}}
    fake.put("bridgeaccounts", NS, bad)
    fake.put("bridgegateways", NS, {"metadata": {"name": "wb"}, "spec": {}})
    await started(here)
    assert (1, 1) == (len(here.logged("account_refused")), len(here.logged("gateway_refused")))
    assert "canary" not in here.log.getvalue()


async def test_nobody_elses_eyes_see_an_owner(here: Town, fake: PodFake) -> None:
    """Not in names, labels, annotations, environments, events or the log; the Secret and the account are the places."""
    await here.start()
    here.account("acc-1", owner="canary@example.test")
    await here.until(here.pods)
    here.status(here.pod(), "Pending", state={"waiting": {"reason": "ErrImagePull"}})
    await here.until(lambda: "ImageUnavailable" == here.reason())
    await here.settle()
    seen: dict[Key, Obj] = {
        key: obj for key, obj in fake.objects.items() if key[0] not in {"secrets", "bridgeaccounts"}
    }
    assert "canary" not in json.dumps(list(seen.values())) + json.dumps([list(key) for key in fake.objects])
    assert "canary" not in here.log.getvalue()
    assert "canary" not in json.dumps([path for _, path in fake.asked])
