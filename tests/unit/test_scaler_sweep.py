"""One look of the scaler at a gateway: what it writes, what it leaves to the next look, what it never touches."""

from dataclasses import replace

import pytest

from ponton_bridge.model.states import Reason
from ponton_operator.cluster.kube_beats import FRESH, PAGE
from ponton_operator.cluster.kube_errors import Conflict, Forbidden, Invalid, KubeError, NotFound, Unavailable
from ponton_operator.cluster.kube_fleet import Fleet
from ponton_operator.cluster.kube_kinds import ACCOUNTS, GATEWAYS, PODS, SECRETS
from ponton_operator.cluster.kube_resize import FULL_FOR, REFUSED_FOR, Resizer
from ponton_operator.cluster.kube_rollout import write_turn
from ponton_operator.cluster.kube_sweep import RECREATES_MOST, WRITES_MOST, Sweep
from ponton_operator.plan.resizing import DEFERRED_FOR
from ponton_operator.plan.rollout import Turn
from ponton_operator.plan.scaling import SWEEP
from ponton_operator.plan.tiers import QUIET_AFTER
from ponton_operator.resources.account import ScalingStatus
from ponton_operator.resources.base import Truth, moment
from ponton_operator.resources.conditions import Type
from tests.unit.fleet_kit import EPOCH, NOW, beat, marked, parked, served, shard, turned, wished
from tests.unit.scaler_bed import LARGE, PLACE, Bed, pod_object

KEY = (PLACE, "wa")


class World:
    """A bed with a sweep in it."""

    def __init__(self, bed: Bed) -> None:
        self.bed, self.api = bed, bed.api
        self.fleet = Fleet(bed.log)
        self.resizer = Resizer(bed.api, bed.log, bed.clock)
        context = bed.context()
        self.sweep = Sweep(bed.api, self.fleet, bed.make_beats(), self.resizer, context.metrics, context.log, bed.clock)

    async def look(self, *beats: tuple[str, float]) -> None:
        """Let SWEEP go by and look, at shards that use so many MiB and say nothing."""
        self.bed.now += SWEEP
        for name, mib in beats:
            self.bed.beats[name] = beat(mib, self.bed.now)
        await self.sweep.look(KEY)

    @property
    def written(self) -> list[str]:
        """What was written."""
        return [where for where, _, _ in self.api.writes]


async def world(bed: Bed) -> World:
    """Let the scaler have seen everything."""
    made = World(bed)
    await made.fleet.load(bed.api, PLACE)
    return made


def large(name: str = "acc-1", **scaling: object) -> ScalingStatus:
    """What the scaler has written of an account that needs much."""
    del name
    return ScalingStatus(tier="large", since=moment(NOW - 5000)).model_copy(update=scaling)


async def test_a_fleet_at_rest_costs_no_write() -> None:
    """Whatever is read, nothing is written."""
    here = await world(Bed.of(served("acc-1"), served("acc-2"), pods=[pod_object("acc-1"), pod_object("acc-2")]))
    for _ in range(5):
        await here.look(("acc-1", 60), ("acc-2", 70))
    assert [] == here.written


async def test_a_shard_that_needs_more_gets_it_where_it_runs() -> None:
    """Two beats above the mark: the tier is written, the pod is resized, and the next looks find nothing to do."""
    here = await world(Bed.of(served(), pods=[pod_object("acc-1")]))
    await here.look(("acc-1", 230))
    assert [] == here.written
    for _ in range(4):
        await here.look(("acc-1", 231))
    assert ["bridgeaccounts/acc-1/status", f"pods/acc-1-{EPOCH}/resize"] == here.written
    scaling = here.api.status("acc-1")["scaling"]
    assert ("large", "", 0) == (scaling["tier"], scaling["park"], scaling["recreate"])
    assert ("shard", LARGE) == here.api.writes[1][1:]
    assert '"event":"tier_changed"' in here.bed.out.getvalue()
    told = [entry for door in here.bed.doors for entry in door.happened]
    assert [("acc-1", "large")] == [(name, happening.tier) for name, happening in told]


async def test_only_its_own_part_of_the_status_is_written() -> None:
    """A merge patch of status.scaling, without a version: nobody else writes there."""
    here = await world(Bed.of(served(), pods=[pod_object("acc-1")]))
    await here.look(("acc-1", 230))
    await here.look(("acc-1", 231))
    _, _, body = here.api.writes[0]
    assert [["status"], ["scaling"]] == [list(body), list(body["status"])]


async def test_sizes_that_the_host_changes_reach_the_pods() -> None:
    """A tier's limit was edited: pods are resized, the account's status stays."""
    here = await world(
        Bed.of(served(), pods=[pod_object("acc-1")], scaling={"tiers": [{"name": "s", "memoryLimit": "1Gi"}]})
    )
    await here.look(("acc-1", 60))
    await here.look(("acc-1", 60))
    assert [f"pods/acc-1-{EPOCH}/resize"] == here.written


@pytest.mark.parametrize("refusal", [Invalid("Invalid"), NotFound("NotFound")], ids=["no shrinking", "no subresource"])
async def test_a_pod_that_cannot_be_resized_is_made_anew_when_quiet(refusal: KubeError) -> None:
    """The refusal is remembered, not asked for again; the mark comes after ten minutes without a message."""
    here = await world(Bed.of(wished(served(), large()), pods=[pod_object("acc-1")]))
    here.api.refuses = refusal
    while here.bed.now < NOW + QUIET_AFTER:
        await here.look(("acc-1", 60))
        assert [] == here.written
    await here.look(("acc-1", 60))
    await here.look(("acc-1", 60))
    assert ["bridgeaccounts/acc-1/status"] == here.written
    assert EPOCH == here.api.status("acc-1")["scaling"]["recreate"]
    assert 1 == here.bed.out.getvalue().count("resize_refused")


async def test_a_full_quota_makes_no_pod_anew() -> None:
    """A new one would find no room either; the resize is tried again later."""
    here = await world(Bed.of(wished(served(), large()), pods=[pod_object("acc-1")]))
    here.api.refuses = Forbidden("Forbidden")
    while here.bed.now < NOW + QUIET_AFTER + 3 * SWEEP:
        await here.look(("acc-1", 60))
    assert [] == here.written
    here.api.refuses = None
    here.bed.now += FULL_FOR
    await here.look(("acc-1", 60))
    assert [f"pods/acc-1-{EPOCH}/resize"] == here.written


async def test_a_refusal_is_forgotten_with_time_and_pod() -> None:
    """After an hour the cluster is asked again, for another tier at once."""
    here = await world(Bed.of(wished(served(), large()), pods=[pod_object("acc-1")]))
    pod = here.fleet.pods[PLACE, "acc-1"]
    small, big = here.fleet.gateways[KEY].spec.scaling.tiers
    here.api.refuses = Invalid("Invalid")
    assert None is await here.resizer.resize(pod, big)
    assert (True, False) == (here.resizer.cannot(pod, big), here.resizer.cannot(pod, small))
    here.bed.now += REFUSED_FOR
    assert not here.resizer.cannot(pod, big)
    assert None is await here.resizer.resize(pod, big)
    here.resizer.forget(PLACE, pod.name)
    assert not here.resizer.waits(pod, big)
    here.api.refuses = Unavailable()
    assert None is await here.resizer.resize(pod, big)
    assert not here.resizer.waits(pod, big)


@pytest.mark.parametrize(("reason", "after"), [("Infeasible", 0.0), ("Deferred", DEFERRED_FOR)])
async def test_a_resize_that_never_comes_ends_in_a_new_pod(reason: str, after: float) -> None:
    """More than the node has: at once; no room at the moment: after a while. Each when it is quiet."""
    since = NOW + QUIET_AFTER
    pending = {"type": "PodResizePending", "status": "True", "reason": reason}
    pending["lastTransitionTime"] = moment(since).isoformat()
    pod = pod_object("acc-1", resources=LARGE, conditions=[pending])
    here = await world(Bed.of(wished(served(), large()), pods=[pod]))
    await here.look(("acc-1", 60))
    here.bed.now = since + after - 2 * SWEEP
    await here.look(("acc-1", 60))
    assert reason == "Infeasible" or [] == here.written
    here.bed.now += SWEEP
    await here.look(("acc-1", 60))
    assert EPOCH == here.api.status("acc-1")["scaling"]["recreate"]


async def test_an_account_without_use_is_parked() -> None:
    """Written with the wake that it counts for; its pod is the accounts operator's to end."""
    idle = served(paired=False, reason=Reason.WAITING_FOR_OWNER, shard=shard(started=NOW - 7200))
    here = await world(Bed.of(idle, pods=[pod_object("acc-1")]))
    await here.look(("acc-1", 60))
    await here.look(("acc-1", 60))
    assert ["bridgeaccounts/acc-1/status"] == here.written
    assert "NeverPaired" == here.api.status("acc-1")["scaling"]["park"]


async def test_what_cannot_be_written_is_decided_again() -> None:
    """With the API server away nothing is lost: the next look finds the same."""
    here = await world(Bed.of(served(), pods=[pod_object("acc-1")]))
    here.api.fails = Unavailable()
    for _ in range(3):
        await here.look(("acc-1", 230))
    here.api.fails = None
    await here.look(("acc-1", 230))
    assert "large" == here.api.status("acc-1")["scaling"]["tier"]


async def test_one_look_does_so_much_and_no_more() -> None:
    """Writes are bounded, the next looks do the rest; and of pods to be made anew a handful."""
    names = [f"acc-{n}" for n in range(WRITES_MOST + 10)]
    here = await world(Bed.of(*(served(name) for name in names)))
    for _ in range(2):
        await here.look(*((name, 230) for name in names))
    assert WRITES_MOST == len(here.written)
    await here.look(*((name, 230) for name in names))
    assert len(names) == len(here.written)
    stuck = [wished(served(name), large()) for name in names[:10]]
    there = await world(Bed.of(*stuck, pods=[pod_object(name) for name in names[:10]]))
    there.api.refuses = Invalid("Invalid")
    for step in (0.0, QUIET_AFTER):
        there.bed.now += step
        await there.look(*((name, 60) for name in names[:10]))
    assert RECREATES_MOST == len(there.written)


@pytest.mark.parametrize("paused", ["gateway", "account"])
async def test_the_brake_keeps_the_scaler_away(paused: str) -> None:
    """Paused by its annotation, an account, or all of a gateway, is left as it is."""
    brake = {"ponton.im/paused": "true"}
    account = wished(served(paired=False, reason=Reason.WAITING_FOR_OWNER), large())
    bed = Bed.of(marked(account, annotations=brake) if paused == "account" else account, pods=[pod_object("acc-1")])
    if paused == "gateway":
        bed.api.objects[GATEWAYS, PLACE, "wa"]["metadata"]["annotations"] = brake
    here = await world(bed)
    await here.look(("acc-1", 230))
    await here.look(("acc-1", 230))
    assert [] == here.written


async def test_a_wave_of_bans_shows_at_the_gateway() -> None:
    """Among the conditions of others, with the version that was read; and goes when it is over."""
    bans = [
        served(
            f"b{n}",
            parking=parked(Reason.BANNED, NOW),
            shard=shard(ended=NOW),
            conditions=turned(Type.BANNED, NOW, Truth.TRUE),
        )
        for n in range(3)
    ]
    bed = Bed.of(*bans)
    other = {"type": "Ready", "status": "True", "reason": "Serves", "lastTransitionTime": moment(NOW).isoformat()}
    bed.api.objects[GATEWAYS, PLACE, "wa"]["status"] = {"conditions": [other]}
    here = await world(bed)
    await here.look()
    await here.look()
    assert ["bridgegateways/wa/status"] == here.written
    assert "1" == here.api.writes[0][2]["metadata"]["resourceVersion"]
    told = here.fleet.gateways[KEY].status.conditions
    assert [("Ready", "Serves"), ("BanWave", "StartsHeldBack")] == [(c.type, c.reason) for c in told]
    here.bed.now += 3600
    await here.look()
    assert ["Ready"] == [c.type for c in here.fleet.gateways[KEY].status.conditions]


async def test_somebody_elses_write_is_read_first() -> None:
    """A conflict changes nothing; the next look with what was seen by then writes."""
    bans = [served(f"b{n}", conditions=turned(Type.BANNED, NOW, Truth.TRUE)) for n in range(3)]
    here = await world(Bed.of(*bans))
    here.api.fails = Conflict("Conflict")
    await here.look()
    here.api.fails = None
    assert () == here.fleet.gateways[KEY].status.conditions
    await here.look()
    assert ["BanWave"] == [c.type for c in here.fleet.gateways[KEY].status.conditions]


async def test_heartbeats_come_in_pages_from_the_secrets_redis() -> None:
    """No page is larger than PAGE; the Secret is read once, and again after a while, when another URL is taken up."""
    here = await world(Bed.of(*(served(f"acc-{n}") for n in range(PAGE + 1))))
    await here.look()
    await here.look()
    assert [PAGE, 1, PAGE, 1] == here.bed.pages
    assert ["redis://control:secret@redis:6379/0"] == here.bed.urls
    assert 1 == here.api.reads.count("secrets/redis")
    here.bed.now += FRESH
    await here.look()
    assert (2, 1) == (here.api.reads.count("secrets/redis"), len(here.bed.urls))
    here.api.objects[SECRETS, PLACE, "redis"]["data"]["url"] = "cmVkaXM6Ly9vdGhlci8w"
    here.bed.now += FRESH
    await here.look()
    assert "redis://other/0" == here.bed.urls[-1]
    assert [True, False] == [door.closed for door in here.bed.doors]


@pytest.mark.parametrize("data", [{}, {"url": "%%%"}, {"other": "eA=="}], ids=["empty", "no base64", "another key"])
async def test_without_a_redis_nothing_is_decided_by_memory(data: dict[str, str]) -> None:
    """But accounts are parked all the same: their status says enough."""
    idle = served("acc-2", paired=False, reason=Reason.WAITING_FOR_OWNER, shard=shard(started=NOW - 7200))
    bed = Bed.of(served(), idle)
    bed.api.objects[SECRETS, PLACE, "redis"]["data"] = data
    here = await world(bed)
    for _ in range(3):
        await here.look(("acc-1", 250))
    assert ["bridgeaccounts/acc-2/status"] == here.written


async def test_accounts_that_are_gone_are_forgotten() -> None:
    """What was counted for them goes, too."""
    here = await world(Bed.of(served(), served("acc-2")))
    await here.look(("acc-1", 60), ("acc-2", 60))
    here.fleet.take(ACCOUNTS, here.api.objects[ACCOUNTS, PLACE, "acc-2"], gone=True)
    here.sweep.forget()
    assert {(PLACE, "acc-1")} == here.sweep._uses.keys()


async def test_a_rollouts_turn_is_written_when_it_is_news() -> None:
    """Wave, loss and conditions in one patch with the version; the same again costs nothing; a conflict is raised."""
    here = await world(Bed.of())
    gateway = here.fleet.gateways[KEY]
    stopped = Turn("Stopped", "r2", 1)
    answer = await write_turn(here.api, gateway, stopped, NOW)
    assert answer is not None
    told = tuple(answer["status"][key] for key in ("revision", "wave", "waveRevision", "pairingsLost"))
    assert ("r2", "Stopped", "r2", 1) == told
    assert ["RolloutStopped", "PairingsLost"] == [c["reason"] for c in answer["status"]["conditions"]]
    here.fleet.take(GATEWAYS, answer, gone=False)
    assert None is await write_turn(here.api, here.fleet.gateways[KEY], stopped, NOW + 5)
    with pytest.raises(Conflict):
        await write_turn(here.api, gateway, replace(stopped, wave="Canary", lost=0), NOW)
    done = await write_turn(here.api, here.fleet.gateways[KEY], Turn("Done", "r2", 1), NOW)
    assert done is not None
    assert [("Progressing", "Done")] == [(c["type"], c["reason"]) for c in done["status"]["conditions"]]


async def test_newer_words_win() -> None:
    """An older version of an object that comes late is dropped; a pod of a lower epoch is not ours to size."""
    here = await world(Bed.of(served(), pods=[pod_object("acc-1"), pod_object("acc-1", EPOCH - 1)]))
    assert EPOCH == here.fleet.pods[PLACE, "acc-1"].epoch
    late = pod_object("acc-1", resources=LARGE)
    late["metadata"]["resourceVersion"] = "0"
    here.fleet.take(PODS, late, gone=False)
    assert here.fleet.pods[PLACE, "acc-1"].has(here.fleet.gateways[KEY].spec.scaling.tiers[0])
    here.fleet.take(PODS, pod_object("acc-1", EPOCH - 1), gone=True)
    assert (PLACE, "acc-1") in here.fleet.pods
    here.fleet.take(PODS, pod_object("acc-1"), gone=True)
    assert {} == here.fleet.pods


async def test_what_vanished_unseen_is_dropped() -> None:
    """Accounts, pods and gateways whose deletion no watch told are found by their names; the others stay."""
    pods = [pod_object("acc-1"), pod_object("acc-2")]
    here = await world(Bed.of(served("acc-1"), served("acc-2"), pods=pods))
    assert 0 == await here.fleet.tidy(here.api, PLACE)
    del here.api.objects[ACCOUNTS, PLACE, "acc-2"]
    del here.api.objects[PODS, PLACE, f"acc-2-{EPOCH}"]
    assert 2 == await here.fleet.tidy(here.api, PLACE)
    assert ["acc-1"] == [account.metadata.name for account in here.fleet.accounts(KEY)]
    assert {(PLACE, "acc-1")} == here.fleet.pods.keys()
    del here.api.objects[GATEWAYS, PLACE, "wa"]
    assert 1 == await here.fleet.tidy(here.api, "")
    assert {} == here.fleet.gateways


async def test_what_cannot_be_read_is_left_alone() -> None:
    """A resource of a later version of the product is told in the log, without its contents, and not touched."""
    here = await world(Bed.of(served()))
    strange = here.api.objects[ACCOUNTS, PLACE, "acc-1"] | {"spec": {"owner": "alice@example.test"}}
    here.fleet.take(ACCOUNTS, strange, gone=False)
    assert [] == here.fleet.accounts(KEY)
    assert '"event":"resource_refused"' in here.bed.out.getvalue()
    assert "alice" not in here.bed.out.getvalue()
