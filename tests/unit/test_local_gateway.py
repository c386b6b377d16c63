"""The gateway's file as the runtime follows it; what processes are told; the gateway's status."""

from pathlib import Path

import pytest

from ponton_bridge.model.errors import HostError
from ponton_bridge.model.states import Phase
from ponton_operator.cluster.local_files import SecretUnreadable
from ponton_operator.cluster.local_gateway import Gateway
from ponton_operator.cluster.local_layout import Home
from ponton_operator.cluster.local_summary import FINDINGS, Seen, summary
from ponton_operator.plan.environment import Places, front_desk_environment, revision, shard_environment
from ponton_operator.resources.account import AccountStatus
from ponton_operator.resources.base import Truth
from ponton_operator.resources.conditions_gateway import GatewayType
from ponton_operator.resources.gateway import BridgeGateway, GatewayStatus, SelfService
from ponton_operator.resources.yamlfile import load
from tests.integration.local_world import World
from tests.unit.test_plan_account import make


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Folders without a runtime."""
    return World(tmp_path)


def opened(world: World) -> Gateway:
    """Open the gateway as the program does."""
    return Gateway.open(world.root / "gateway.yaml", world.root / "secrets")


def test_opens_what_is_complete(world: World) -> None:
    """A good file with its secrets is taken."""
    gateway = opened(world)
    assert ("wa", "m") == (gateway.resource.metadata.name, gateway.master)


def test_says_which_secret_is_missing(world: World) -> None:
    """Each secret that the file names must be there before anything starts, the optional ones too."""
    (world.root / "secrets" / "a" / "token").unlink()
    with pytest.raises(SecretUnreadable, match="secrets/a/token"):
        opened(world)
    world.secret("token", "t")
    world.write_gateway(shard={"upload": {"host": "up.test", "caRef": {"name": "a", "key": "ca"}}})
    with pytest.raises(SecretUnreadable, match="secrets/a/ca"):
        opened(world)


def test_says_what_is_wrong_with_the_file(world: World) -> None:
    """Every line of the error names the file."""
    world.write_gateway(shard={"codes": 1}, domain="Bad Domain")
    with pytest.raises(HostError) as caught:
        opened(world)
    assert ["gateway.yaml: spec.domain", "gateway.yaml: spec.shard.codes"] == sorted(
        ":".join(line.split(":")[:2]) for line in caught.value.sentence.splitlines()
    )
    (world.root / "gateway.yaml").unlink()
    with pytest.raises(HostError, match=r"gateway\.yaml: No such file"):
        opened(world)


def test_follows_good_edits_only(world: World) -> None:
    """An edit is taken once; a broken one, or another domain, is a problem and changes nothing."""
    gateway = opened(world)
    assert not gateway.refresh()
    before = gateway.revision
    world.write_gateway(shard={"codesPerAttempt": 2})
    assert (True, False) == (gateway.refresh(), gateway.refresh())
    assert before != gateway.revision
    for spec in ({"domain": "other.test"}, {"nonsense": 1}):
        world.write_gateway(**spec)
        assert not gateway.refresh()
        assert gateway.problem.startswith("gateway.yaml: ")
        assert "wa.example.test" == gateway.resource.spec.domain
    (world.root / "gateway.yaml").unlink()
    assert not gateway.refresh()
    assert "No such file" in gateway.problem
    world.write_gateway()
    assert gateway.refresh()
    assert "" == gateway.problem


def test_the_revision_is_what_a_shard_would_run() -> None:
    """Version, domain, server and template make it; accounts, scaling and secrets do not."""

    def with_(**spec: object) -> BridgeGateway:
        ref = {"name": "a", "key": "b"}
        needed = {"prosody": {"url": "http://x/s", "tokenRef": ref}, "redis": {"urlRef": ref}}
        raw = {"domain": "wa.test", **needed, "secrets": {"masterRef": ref}} | spec
        return BridgeGateway.model_validate({"metadata": {"name": "wa"}, "spec": raw})

    base = revision(with_(), "1")
    others = [
        revision(with_(), "2"),
        revision(with_(domain="wb.test"), "1"),
        revision(with_(xmpp={"port": 1}), "1"),
        revision(with_(shard={"image": "x"}), "1"),
        revision(with_(shard={"limits": {"burst": 1}}), "1"),
    ]
    assert 6 == len({base, *others})
    for same in ({"accounts": {"max": 1}}, {"scaling": {"startsBurst": 1}}, {"selfservice": {"frontDesk": False}}):
        assert base == revision(with_(**same), "1")


def test_a_shard_is_told_only_what_was_said(world: World) -> None:
    """Without TLS, upload and proxy their variables are left out; with them they are there, authorities as files."""
    home = Home(world.root / "state" / "shards" / "acc-1")
    plain = opened(world).tell_shard(make(), 7, "i", home, "redis://x")
    assert not {"PONTON_XMPP_CA", "PONTON_UPLOAD_HOST", "PONTON_UPLOAD_CA", "HTTPS_PROXY"} & plain.environment.keys()
    assert {"owner", "component-secret", "redis-url"} == plain.secrets.keys()
    world.secret("ca", "PEM")
    ref = {"name": "a", "key": "ca"}
    world.write_gateway(
        xmpp={"host": "x.test", "port": 5349, "tls": {"caRef": ref}},
        shard={
            "upload": {"host": "up.test", "caRef": ref},
            "egress": {"proxy": "http://proxy:3128"},
            "logLevel": "debug",
        },
    )
    full = opened(world).tell_shard(make(), 7, "i", home, "redis://x")
    expected = {
        "PONTON_XMPP_HOST": "x.test",
        "PONTON_XMPP_PORT": "5349",
        "PONTON_XMPP_CA": str(home.secrets / "xmpp-ca.pem"),
        "PONTON_UPLOAD_HOST": "up.test",
        "PONTON_UPLOAD_CA": str(home.secrets / "upload-ca.pem"),
        "HTTPS_PROXY": "http://proxy:3128",
        "PONTON_LOG_LEVEL": "debug",
    }
    assert expected.items() <= full.environment.items()
    assert ("PEM", "PEM") == (full.secrets["xmpp-ca.pem"], full.secrets["upload-ca.pem"])


def test_the_front_desk_may_have_a_plain_secret(world: World) -> None:
    """With a reference of its own the front desk gets that secret, and never the master."""
    home = Home(world.root / "state" / "frontdesk")
    derived = opened(world).tell_desk(7, "i", home, world.accounts)
    assert 64 == len(derived.secrets["component-secret"])
    world.secret("desk", "plain")
    ref = {key: {"name": "a", "key": key} for key in ("master", "desk")}
    world.write_gateway(secrets={"masterRef": ref["master"], "frontDeskRef": ref["desk"]})
    assert "plain" == opened(world).tell_desk(7, "i", home, world.accounts).secrets["component-secret"]
    assert "m" not in derived.secrets.values()


def test_the_portal_gets_the_secret_of_its_login_server(world: World) -> None:
    """As a file of its own; without the file the gateway is not complete, and without a login server there is none."""
    home = Home(world.root / "portal")
    assert {"redis-url"} == opened(world).tell_portal(7, "i", home, world.root).secrets.keys()
    oidc = {"issuer": "https://login.example.org", "clientId": "ponton", "jid": "{xmpp}"}
    page = {"url": "https://example.org", "oidc": oidc | {"clientSecretRef": {"name": "a", "key": "login"}}}
    world.write_gateway(selfservice={"portal": page})
    with pytest.raises(SecretUnreadable, match="secrets/a/login"):
        opened(world)
    world.secret("login", "s3cret")
    told = opened(world).tell_portal(7, "i", home, world.root)
    assert "s3cret" == told.secrets["oidc-secret"]
    assert "s3cret" not in str(told.environment)


def test_no_secret_is_in_an_environment(world: World) -> None:
    """Environments hold paths and names; owner and secrets are in files only."""
    gateway = opened(world)
    places = Places("/store", "/secrets")
    told = str(shard_environment(gateway.resource, make(), 7, "i", places))
    told += str(front_desk_environment(gateway.resource, 7, "i", places, {}))
    for canary in ("alice@example.test", "redis://", "acc-1@"):
        assert canary not in told


def test_the_status_sums_up(world: World) -> None:
    """Counts by phase; a condition keeps its time until it turns; problems are bounded."""
    gateway = opened(world)
    accounts = [
        make(AccountStatus(phase=phase, paired=phase is Phase.RUNNING))
        for phase in (Phase.RUNNING, Phase.RUNNING, Phase.PARKED, Phase.FAILED, Phase.PENDING)
    ]
    seen = Seen(problems=[f"p{n}" for n in range(99)], redis=True, desk=True, reduced="")
    first = summary(gateway.resource.spec, GatewayStatus(), accounts, seen, 1.0)
    assert (5, 2, 2, 1, 1, 50) == (
        first.accounts,
        first.running,
        first.paired,
        first.parked,
        first.failed,
        len(first.problems),
    )
    later = summary(gateway.resource.spec, first, accounts, Seen([], redis=True, desk=True, reduced="why"), 2.0)
    times = {c.type: c.last_transition_time.timestamp() for c in later.conditions}
    assert {
        "RedisReachable": 1.0,
        "FrontDeskRunning": 1.0,
        "PortalRunning": 1.0,
        "Isolated": 2.0,
        "Accepted": 2.0,
        "Progressing": 1.0,
    } == times
    truths = {c.type: c.status for c in later.conditions}
    assert (Truth.FALSE, Truth.TRUE) == (truths["Isolated"], truths["Accepted"])
    assert FINDINGS.keys() | {GatewayType.PROGRESSING} == truths.keys()
    assert "Why: why." in next(c.message for c in later.conditions if c.type == "Isolated")


def test_a_front_desk_that_nobody_wants_is_not_missed(world: World) -> None:
    """Switched off is told as such, and is no trouble."""
    spec = opened(world).resource.spec
    for wanted, reason in ((True, "NotRunning"), (False, "SwitchedOff")):
        given = spec.model_copy(update={"selfservice": SelfService(front_desk=wanted)})
        told = summary(given, GatewayStatus(), [], Seen([], redis=True, desk=False, reduced=""), 1.0)
        assert reason == next(c.reason for c in told.conditions if c.type == "FrontDeskRunning")


def test_the_status_is_written_beside(world: World) -> None:
    """The file beside holds the whole resource; it is written only when it changes; a read-only place is no end."""
    gateway = opened(world)
    file = world.root / "gateway.status.yaml"
    gateway.write_status(GatewayStatus(accounts=3))
    assert 3 == load(BridgeGateway, file.read_bytes()).status.accounts
    stamp = file.stat().st_mtime_ns
    gateway.write_status(GatewayStatus(accounts=3))
    assert stamp == file.stat().st_mtime_ns
    gateway.file = world.root / "nowhere" / "gateway.yaml"
    gateway.write_status(GatewayStatus(accounts=4))
    assert not (world.root / "nowhere").exists()
