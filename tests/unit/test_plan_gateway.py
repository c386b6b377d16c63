"""The plan of a gateway: what is made, what is left alone, what is said."""

from dataclasses import replace
from typing import Any

import pytest

from ponton_operator.plan.desk_epochs import SPARE
from ponton_operator.plan.gateway import (
    Apply,
    Delete,
    Held,
    NeedsHost,
    ObservedGateway,
    WriteGatewayStatus,
    plan_gateway,
)
from ponton_operator.plan.gateway_status import OWN, Part
from ponton_operator.plan.manifests_base import Component, Key
from ponton_operator.plan.manifests_prosody import Shared
from ponton_operator.plan.secrets import front_desk_secret
from ponton_operator.plan.tally import Counts
from ponton_operator.resources.base import PAUSED, Condition, Truth, moment
from ponton_operator.resources.conditions_gateway import GatewayType
from ponton_operator.resources.gateway import PortalStatus
from tests.unit.gateway_world import INSTALLATION, MASTER, MATERIAL, NOW, Cluster, applied, gateway, observed, text

PEERS: dict[str, Any] = {"xmpp": {"cidr": "192.0.2.10/32"}, "redis": {"cidr": "192.0.2.20/32"}}
ALL = {
    Key("NetworkPolicy", "wa-shards"), Key("NetworkPolicy", "wa-frontdesk"),
    Key("Secret", "wa-prosody"), Key("ConfigMap", "wa-prosody-module"),
    Key("ServiceAccount", "wa-frontdesk"), Key("Lease", "wa-frontdesk"), Key("Role", "wa-frontdesk"),
    Key("RoleBinding", "wa-frontdesk"), Key("RoleBinding", "wa-frontdesk-accounts"),
    Key("ConfigMap", "wa-frontdesk"), Key("Secret", "wa-frontdesk"), Key("PodDisruptionBudget", "wa-frontdesk"),
    Key("Deployment", "wa-frontdesk"),
}  # fmt: skip


def serving(**spec: Any) -> Cluster:  # noqa: ANN401  # as in YAML
    """Make a cluster whose gateway serves, with everything there and told."""
    cluster = Cluster(gateway(**spec))
    cluster.turn(desk_ready=2)
    cluster.turn(desk_ready=2)
    return cluster


def test_a_fresh_gateway_gets_everything() -> None:
    """All objects are made at once, and it is said that they start."""
    cluster = Cluster(gateway())
    actions = cluster.turn()
    assert ALL == applied(actions).keys()
    assert ("False", "Starting") == cluster.condition("Ready")


def test_at_rest_nothing_is_written() -> None:
    """Once everything is there a later look changes nothing, however much later."""
    cluster = serving()
    assert ("True", "Serves") == cluster.condition("Ready")
    for later in (1.0, 3600.0, 1e7):
        assert [] == cluster.turn(NOW + later, desk_ready=2)


def test_only_what_changed_is_written() -> None:
    """Another peer changes policies, another epoch the front desk's Secret, nothing else."""
    cluster = serving()
    network = {"redis": {"podLabels": {"app": "redis"}}}
    cluster.resource = cluster.resource.model_copy(update={"spec": gateway(network=network).spec})
    assert {Key("NetworkPolicy", "wa-shards"), Key("NetworkPolicy", "wa-frontdesk")} == applied(
        cluster.turn(desk_ready=2)
    ).keys()
    cluster.spent = min(cluster.stock())
    assert {Key("Secret", "wa-frontdesk")} == applied(cluster.turn(desk_ready=2)).keys()
    assert [] == cluster.turn(desk_ready=2)


def test_the_stock_of_epochs_follows_the_lease() -> None:
    """Spent epochs go, new ones come behind; each has the secret that Prosody derives for it."""
    cluster = serving()
    first = tuple(cluster.stock())
    cluster.spent = first[1]
    cluster.turn(desk_ready=2)
    second = cluster.stock()
    assert first[2:] == tuple(second)[: SPARE - 2]
    assert {epoch: front_desk_secret(MASTER, "wa.example.org", epoch) for epoch in second} == second


def test_a_plain_secret_takes_the_place_of_epochs() -> None:
    """With a secret of its own the front desk gets that, and Prosody is told it."""
    cluster = Cluster(gateway())
    cluster.turn(material=replace(MATERIAL, shared=Shared(MASTER, "t" * 16, "plain")))
    secret = cluster.objects[Key("Secret", "wa-frontdesk")]
    assert ("plain", {}) == (text(secret, "component-secret"), cluster.stock())
    assert '"plain"' in text(cluster.objects[Key("Secret", "wa-prosody")], "gateway.cfg.lua")


def test_the_operators_url_and_the_master_stay_here() -> None:
    """What the front desk mounts holds neither; only Prosody's half has the master."""
    cluster = serving()
    for key, manifest in cluster.objects.items():
        whole = str(manifest) + "".join(text(manifest, k) for k in manifest.get("data", {}) if key.kind == "Secret")
        assert "admin:word" not in whole
        assert (MASTER in whole) == (key == Key("Secret", "wa-prosody"))


def test_switched_off_the_front_desk_goes() -> None:
    """Its objects and its policy are removed, the rest stays; that is no trouble."""
    cluster = serving()
    spec = gateway(selfservice={"frontDesk": False}).spec
    cluster.resource = cluster.resource.model_copy(update={"spec": spec})
    gone = {action.key for action in cluster.turn() if isinstance(action, Delete)}
    assert {key for key in ALL if key.name.startswith("wa-frontdesk")} == gone
    assert ("False", "SwitchedOff") == cluster.condition("FrontDeskRunning")
    assert ("True", "Serves") == cluster.condition("Ready")


PAGE: dict[str, Any] = {"portal": {"url": "https://example.org"}}
OF_PAGE = {Key(kind, "wa-portal") for kind in (
    "ServiceAccount", "ConfigMap", "Secret", "Service", "PodDisruptionBudget", "Deployment", "NetworkPolicy",
)} | {Key("RoleBinding", "wa-portal-accounts")}  # fmt: skip


def test_a_portal_comes_and_goes_with_the_hosts_word() -> None:
    """All of its objects; that it starts is no trouble of the gateway; switched off, nothing of it stays."""
    cluster = serving()
    assert ("False", "SwitchedOff") == cluster.condition("PortalRunning")
    cluster.resource = cluster.resource.model_copy(update={"spec": gateway(selfservice=PAGE).spec})
    # The front desk's file names the page, so that its help does.
    assert OF_PAGE <= applied(cluster.turn(desk_ready=2)).keys()
    assert ("False", "NotRunning") == cluster.condition("PortalRunning")
    cluster.turn(desk_ready=2, portal_ready=1)
    assert (("True", "Running"), ("True", "Serves")) == (cluster.condition("PortalRunning"), cluster.condition("Ready"))
    assert [] == cluster.turn(NOW + 3600.0, desk_ready=2, portal_ready=2)
    cluster.resource = cluster.resource.model_copy(update={"spec": gateway().spec})
    assert OF_PAGE == {action.key for action in cluster.turn(desk_ready=2) if isinstance(action, Delete)}
    assert ("False", "SwitchedOff") == cluster.condition("PortalRunning")


def test_the_scalers_word_changes_the_number_of_replicas_alone() -> None:
    """One write, and the word itself is never written over."""
    cluster = serving(selfservice=PAGE)
    cluster.turn(desk_ready=2, portal_ready=2)
    said = PortalStatus(replicas=4, since=moment(NOW))
    status = cluster.resource.status.model_copy(update={"portal": said})
    cluster.resource = cluster.resource.model_copy(update={"status": status})
    made = applied(cluster.turn(desk_ready=2, portal_ready=2))
    assert {Key("Deployment", "wa-portal")} == made.keys()
    assert 4 == made[Key("Deployment", "wa-portal")]["spec"]["replicas"]
    assert said == cluster.resource.status.portal
    assert [] == cluster.turn(desk_ready=2, portal_ready=4)


def test_the_login_servers_secret_comes_with_the_portal() -> None:
    """As files beside the URL of Redis; another secret starts the pods anew."""
    cluster = serving(selfservice=PAGE)
    cluster.turn(desk_ready=2, portal_ready=2)
    files = {"oidc-secret": "s3cret", "oidc-ca.pem": "PEM"}
    made = applied(cluster.turn(desk_ready=2, portal_ready=2, material=replace(MATERIAL, portal_files=files)))
    assert {Key("Secret", "wa-portal"), Key("Deployment", "wa-portal")} == made.keys()
    assert "s3cret" == text(made[Key("Secret", "wa-portal")], "oidc-secret")
    assert "s3cret" not in str(made[Key("Deployment", "wa-portal")])


def test_a_portal_on_the_port_of_the_metrics_is_told() -> None:
    """What there was of it stays, and the rest of the gateway serves."""
    cluster = serving(selfservice=PAGE)
    spec = gateway(selfservice={"portal": PAGE["portal"] | {"port": 9090}}).spec
    cluster.resource = cluster.resource.model_copy(update={"spec": spec})
    actions = cluster.turn(desk_ready=2, portal_ready=2)
    assert [] == [action for action in actions if isinstance(action, Delete)]
    assert ("False", "Problems") == cluster.condition("Accepted")
    assert "9090" in cluster.resource.status.problems[0]


def test_with_policies_off_they_go_and_it_is_said() -> None:
    """The host's own policies count then; the gateway says that it makes none."""
    cluster = serving()
    cluster.resource = cluster.resource.model_copy(update={"spec": gateway(network={"policies": False}).spec})
    gone = {action.key for action in cluster.turn(desk_ready=2) if isinstance(action, Delete)}
    assert {Key("NetworkPolicy", "wa-shards"), Key("NetworkPolicy", "wa-frontdesk")} == gone
    assert ("True", "PoliciesOff") == cluster.condition("NetworkOpen")


def test_a_server_without_an_address_is_told() -> None:
    """A policy that has to leave a port open says for which server; named, it does so no more."""
    cluster = serving(xmpp={"host": "prosody.example"})
    (said,) = [c for c in cluster.resource.status.conditions if c.type == "NetworkOpen"]
    assert "AddressesNotKnown" == said.reason
    assert said.message.endswith("Not said: spec.network.xmpp.")
    cluster.resource = cluster.resource.model_copy(
        update={"spec": gateway(xmpp={"host": "prosody.example"}, network=PEERS).spec}
    )
    cluster.turn(desk_ready=2)
    assert None is cluster.condition("NetworkOpen")


TROUBLES: list[tuple[dict[str, Any], str, str]] = [
    (
        {"material": None, "missing": True, "problems": ("Secret redis: there is none.",)},
        "SecretMissing",
        "Secret redis",
    ),
    ({"material": None, "problems": ("Secret prosody: its key master is not text.",)}, "Problems", "not text"),
    ({"material": replace(MATERIAL, redis_url="nonsense")}, "Problems", "This is no URL of Redis"),
    ({"shard_image": False}, "ImageMissing", ""),
    ({"twin": "bridges/old"}, "DomainTaken", ""),
]


@pytest.mark.parametrize(("fields", "reason", "problem"), TROUBLES)
def test_a_bad_gateway_is_told_and_what_runs_goes_on(fields: dict[str, Any], reason: str, problem: str) -> None:
    """Whatever is wrong, no object that is there is changed or removed; mended, everything is as it was."""
    cluster = serving()
    actions = cluster.turn(desk_ready=2, **fields)
    assert all(isinstance(action, WriteGatewayStatus) for action in actions)
    assert (("False", reason), ("False", "NotAccepted")) == (cluster.condition("Accepted"), cluster.condition("Ready"))
    assert problem in " ".join(cluster.resource.status.problems)
    assert [] == cluster.turn(desk_ready=2, **fields)
    cluster.turn(desk_ready=2)
    assert ("True", "Serves") == cluster.condition("Ready")
    assert () == cluster.resource.status.problems


def test_a_bad_proxy_stops_the_policies_alone() -> None:
    """Policies stay as they are, the rest follows the spec."""
    cluster = serving()
    spec = gateway(shard={"egress": {"proxy": "http://:3128"}}, accounts={"max": 3}).spec
    cluster.resource = cluster.resource.model_copy(update={"spec": spec})
    actions = cluster.turn(desk_ready=2)
    assert {Key("ConfigMap", "wa-frontdesk"), Key("Deployment", "wa-frontdesk")} == applied(actions).keys()
    assert ("This is no URL of a proxy: http://host:3128 is one.",) == cluster.resource.status.problems


def test_without_an_image_there_is_no_front_desk_yet() -> None:
    """An operator that knows no image says so, once for both doors; what was made before stays."""
    bare = replace(INSTALLATION, doors=replace(INSTALLATION.doors, image=""))
    (status, *actions) = plan_gateway(gateway(), observed(), bare, NOW)
    assert isinstance(status, WriteGatewayStatus)
    assert (NeedsHost.NO_IMAGE,) == status.status.problems
    assert "Deployment" not in {key.kind for key in applied(list(actions))}
    held = {Key("Deployment", "wa-frontdesk"): Held("frontdesk", "h")}
    assert not [a for a in plan_gateway(gateway(), observed(objects=held), bare, NOW) if isinstance(a, Delete)]
    (status, *_) = plan_gateway(gateway(selfservice=PAGE), observed(), bare, NOW)
    assert isinstance(status, WriteGatewayStatus)
    assert (NeedsHost.NO_IMAGE,) == status.status.problems


def test_a_loopback_server_is_told() -> None:
    """A Prosody on the pod's own address is none: the default of one machine does not do here."""
    cluster = serving(xmpp={})
    assert (NeedsHost.LOOPBACK,) == cluster.resource.status.problems


@pytest.mark.parametrize("metadata", [{"annotations": {PAUSED: "true"}}, {"deletionTimestamp": "2026-11-29T12:00:00Z"}])
def test_hands_off(metadata: dict[str, Any]) -> None:
    """A gateway that is paused, or goes, is looked at and told of, and nothing of it is touched."""
    actions = plan_gateway(gateway(metadata), observed(), INSTALLATION, NOW)
    (write,) = actions
    assert isinstance(write, WriteGatewayStatus)
    kinds = {c.type: c.reason for c in write.status.conditions}
    assert kinds.get("Paused") == ("PausedByHost" if "annotations" in metadata else None)
    assert (kinds["Ready"] == "Deleting") == ("deletionTimestamp" in metadata)


def test_foreign_objects_are_none_of_ours() -> None:
    """Objects of shards carry the gateway's labels too; they are never removed."""
    shard = {Key("Secret", "acc-x-7"): Held(Component.SHARD, "h")}
    actions = plan_gateway(gateway(selfservice={"frontDesk": False}), observed(objects=shard), INSTALLATION, NOW)
    assert not [action for action in actions if isinstance(action, Delete)]


def test_an_object_that_somebody_changed_is_made_again() -> None:
    """One whose hash is not ours is written; one that is gone, too."""
    cluster = serving()
    key = Key("NetworkPolicy", "wa-shards")
    cluster.objects[key] = cluster.objects[key] | {
        "metadata": cluster.objects[key]["metadata"] | {"annotations": {"ponton.im/hash": "x"}}
    }
    del cluster.objects[Key("Role", "wa-frontdesk")]
    assert {key, Key("Role", "wa-frontdesk")} == applied(cluster.turn(desk_ready=2)).keys()


SEEN: list[tuple[dict[str, Any], dict[str, tuple[str, str] | None]]] = [
    ({}, {"RedisReachable": ("True", "Reachable"), "ProsodyReachable": ("True", "Reachable")}),
    ({"redis": Part.AWAY}, {"RedisReachable": ("False", "Unreachable"), "Ready": ("False", "PartsAway")}),
    ({"redis": Part.UNKNOWN}, {"RedisReachable": ("Unknown", "NotKnown"), "Ready": ("False", "Starting")}),
    (
        {"redis": Part.REFUSES},
        {
            "RedisWithoutUsers": ("True", "NoAcl"),
            "RedisReachable": ("False", "Unreachable"),
            "Ready": ("True", "Serves"),
        },
    ),
    ({"redis_forgets": True}, {"RedisWithoutUsers": ("True", "Forgets"), "Ready": ("True", "Serves")}),
    ({"prosody": Part.AWAY}, {"ProsodyReachable": ("False", "Unreachable"), "Ready": ("False", "PartsAway")}),
    ({"prosody": Part.REFUSES}, {"ProsodyReachable": ("False", "Refused"), "Ready": ("False", "PartsAway")}),
    ({"desk_ready": 0}, {"FrontDeskRunning": ("False", "NotRunning"), "Ready": ("False", "PartsAway")}),
    ({"desk_stream": False}, {"FrontDeskRunning": ("False", "NotRunning")}),
    ({"desk_stream": True}, {"FrontDeskRunning": ("True", "Running"), "PortalRunning": ("False", "SwitchedOff")}),
    ({"counts": Counts(accounts=1000)}, {"AccountsFull": ("True", "AtMaximum"), "Ready": ("True", "Serves")}),
    ({"counts": Counts(accounts=999)}, {"AccountsFull": None}),
]


@pytest.mark.parametrize(("fields", "expected"), SEEN)
def test_what_is_seen_is_said(fields: dict[str, Any], expected: dict[str, tuple[str, str] | None]) -> None:
    """Each observation has its conditions, and they go when it does."""
    cluster = serving()
    before = cluster.resource.status.conditions
    cluster.turn(**{"desk_ready": 2} | fields)
    assert expected == {kind: cluster.condition(kind) for kind in expected}
    cluster.turn(desk_ready=2)
    assert {c.type: c.reason for c in before} == {c.type: c.reason for c in cluster.resource.status.conditions}


def test_counts_may_wait_and_conditions_may_not() -> None:
    """A write of counts alone is not urgent; one with a condition is."""
    cluster = serving()
    (counts,) = cluster.turn(desk_ready=2, counts=Counts(5, 4, 3, 1, 0))
    assert isinstance(counts, WriteGatewayStatus)
    assert not counts.urgent
    status = counts.status
    assert (5, 4, 3, 1, 0) == (status.accounts, status.running, status.paired, status.parked, status.failed)
    (away,) = cluster.turn(desk_ready=2, redis=Part.AWAY)
    assert isinstance(away, WriteGatewayStatus)
    assert away.urgent


def test_what_others_write_stays() -> None:
    """Conditions of other programs keep their place, the rollout's fields are not touched."""
    other = Condition(type="ReconnectStorm", status=Truth.TRUE, reason="LoginsHeldBack", last_transition_time=moment(1))
    assert GatewayType.RECONNECT_STORM not in OWN
    cluster = serving()
    status = cluster.resource.status
    mixed = (*status.conditions[:2], other, *status.conditions[2:])
    cluster.resource = cluster.resource.model_copy(
        update={"status": status.model_copy(update={"conditions": mixed, "wave": "Wave1", "revision": "r"})}
    )
    assert [] == cluster.turn(desk_ready=2)
    cluster.turn(desk_ready=2, redis=Part.AWAY)
    after = cluster.resource.status
    assert [c.type for c in mixed] == [c.type for c in after.conditions]
    assert (other, "Wave1", "r") == (after.conditions[2], after.wave, after.revision)


def test_a_condition_that_stays_keeps_its_time() -> None:
    """Only what turned has a new time."""
    cluster = serving()
    cluster.turn(NOW + 50, desk_ready=2, redis=Part.AWAY)
    times = {c.type: c.last_transition_time for c in cluster.resource.status.conditions}
    assert (moment(NOW + 50), moment(NOW)) == (times["RedisReachable"], times["ProsodyReachable"])


def test_nothing_seen_is_no_reason_to_remove() -> None:
    """An empty observation leads to a status and nothing else."""
    actions = plan_gateway(gateway(), ObservedGateway(), INSTALLATION, NOW)
    assert [WriteGatewayStatus] == [type(action) for action in actions]
    assert not any(isinstance(action, Apply) for action in actions)
