"""The plan of a gateway under anything that may be seen: it settles, it forgets no epoch, and it hurts nothing."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ponton_operator.plan.desk_epochs import spend as spend_next
from ponton_operator.plan.gateway import Delete, WriteGatewayStatus
from ponton_operator.plan.gateway_status import OWN, Part
from ponton_operator.plan.manifests_base import key_of
from ponton_operator.plan.tally import Counts
from ponton_operator.resources.conditions_gateway import GATEWAY_ABNORMAL
from tests.unit.gateway_world import MATERIAL, NOW, Cluster, gateway

SPECS = st.fixed_dictionaries(
    {},
    optional={
        "selfservice": st.sampled_from([{"frontDesk": True}, {"frontDesk": False}]),
        "network": st.sampled_from([
            {}, {"policies": False}, {"blocked": ["203.0.113.0/24"]},
            {"redis": {"podLabels": {"app": "redis"}}},
        ]),
        "accounts": st.sampled_from([{"max": 1}, {"allowedOwners": ["a.example", "b.example"]}]),
        "xmpp": st.sampled_from([{"host": "prosody.example"}, {"host": "192.0.2.10", "port": 5349}]),
        "shard": st.sampled_from([
            {"egress": {"proxy": "http://:3128"}},
            {"egress": {"proxy": "http://p.example:3128"}},
            {"upload": {"host": "up.example"}}]),
    },
)  # fmt: skip
SIGHTS = st.fixed_dictionaries({
    "material": st.sampled_from([MATERIAL, MATERIAL, None]),
    "missing": st.booleans(),
    "problems": st.sampled_from([(), ("Secret x: there is none.",)]),
    "desk_ready": st.integers(0, 2),
    "desk_stream": st.sampled_from([True, False, None]),
    "redis": st.sampled_from(Part),
    "redis_forgets": st.booleans(),
    "prosody": st.sampled_from(Part),
    "counts": st.builds(Counts, st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)),
    "twin": st.sampled_from(["", "", "bridges/old"]),
    "shard_image": st.booleans(),
})  # fmt: skip
STEPS = st.lists(st.tuples(SPECS, SIGHTS, st.integers(0, 3)), min_size=1, max_size=8)


@given(STEPS)
@settings(deadline=None, max_examples=40)
def test_it_settles_whatever_is_seen(steps: list[tuple[dict[str, Any], dict[str, Any], int]]) -> None:
    """After each change of the spec and of what is seen two turns are enough; epochs only rise."""
    cluster, now, last = Cluster(gateway()), NOW, 0
    for spec, sight, spend in steps:
        now += 10.0
        cluster.resource = cluster.resource.model_copy(update={"spec": gateway(**spec).spec})
        for _ in range(spend):
            epoch = spend_next(cluster.stock(), last)
            if epoch is not None:
                assert epoch > last
                cluster.spent = last = epoch
        before = dict(cluster.objects)
        actions = cluster.turn(now, **sight)
        if sight["material"] is None or sight["twin"]:
            assert before == cluster.objects
        assert not {a.key for a in actions if isinstance(a, Delete)} & {key_of(m) for m in cluster.objects.values()}
        cluster.turn(now + 1.0, **sight)  # the first made what the second finds
        assert [] == cluster.turn(now + 2.0, **sight)


@given(SPECS, SIGHTS, SIGHTS)
@settings(deadline=None, max_examples=40)
def test_conditions_are_whole(spec: dict[str, Any], first: dict[str, Any], second: dict[str, Any]) -> None:
    """Each normal condition of ours is there once, an abnormal one at most once; all have sentences."""
    cluster = Cluster(gateway(**spec))
    for sight in (first, second):
        cluster.turn(**sight)
        kinds = [c.type for c in cluster.resource.status.conditions]
        assert len(kinds) == len(set(kinds))
        assert OWN - GATEWAY_ABNORMAL <= set(kinds) <= OWN
        assert all(c.message for c in cluster.resource.status.conditions)


@given(SPECS, SIGHTS)
@settings(deadline=None, max_examples=40)
def test_trouble_that_is_over_leaves_no_trace(spec: dict[str, Any], sight: dict[str, Any]) -> None:
    """A gateway that saw trouble ends with the same objects as one that never did, but for its epochs."""
    calm, troubled = Cluster(gateway(**spec)), Cluster(gateway(**spec))
    troubled.turn(**sight)
    for cluster in (calm, troubled):
        cluster.turn(desk_ready=2)
        cluster.turn(desk_ready=2)
    assert calm.objects == troubled.objects
    reasons = [{c.type: c.reason for c in cluster.resource.status.conditions} for cluster in (calm, troubled)]
    assert reasons[0] == reasons[1]
    assert not any(isinstance(action, WriteGatewayStatus) for action in troubled.turn(desk_ready=2))
