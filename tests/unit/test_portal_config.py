"""What the portal is told, where it is in the web, and how it ends when it cannot run."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ponton_bridge.cli import main
from ponton_bridge.model.errors import HostError
from ponton_operator.plan.environment import OIDC_CA, OIDC_SECRET, Places, portal_environment, portal_references
from ponton_operator.programs.portal import _prepared, read_config
from ponton_operator.resources.gateway import BridgeGateway
from ponton_operator.resources.yamlfile import BadResource, dump, load
from ponton_operator.selfservice.service import read_limits
from ponton_operator.selfservice.web.settings import Site

REF = {"name": "a", "key": "b"}


def gateway(portal: dict[str, object] | None) -> BridgeGateway:
    """Make a gateway with this portal."""
    spec = {
        "domain": "wa.example.org",
        "prosody": {"url": "http://127.0.0.1:1/shards", "tokenRef": REF},
        "redis": {"urlRef": REF},
        "secrets": {"masterRef": REF},
        "selfservice": {"portal": portal} if portal else {},
    }
    head = {"apiVersion": "ponton.im/v1alpha1", "kind": "BridgeGateway", "metadata": {"name": "wa"}}
    return load(BridgeGateway, yaml.safe_dump(head | {"spec": spec}))


def told(folder: Path, portal: dict[str, object] | None) -> dict[str, str]:
    """Give the environment that the plan makes, with its files in a folder."""
    made = gateway(portal)
    (folder / "gateway.yaml").write_text(dump(made))
    (folder / "redis-url").write_text("redis://192.0.2.1/0\n")
    local = {"PONTON_GATEWAY_FILE": str(folder / "gateway.yaml"), "PONTON_ACCOUNTS": "/accounts"}
    return portal_environment(made, 7, "i", Places("", str(folder)), local)


def test_what_the_plan_tells_is_what_the_program_reads(tmp_path: Path) -> None:
    """Nothing is missing, and nothing of the XMPP stream is told."""
    environment = told(tmp_path, {"url": "https://example.org/wa", "port": 9000})
    assert [] == [name for name in environment if "XMPP" in name]
    config = read_config(environment)
    assert ("https://example.org/wa", 9000, "127.0.0.1", 0) == (
        config.spec.url,
        config.spec.port,
        config.address,
        config.metrics,
    )
    assert ("redis://192.0.2.1/0", Path("/accounts"), "info") == (config.redis_url, config.accounts, config.log_level)
    assert "192.0.2.1" not in repr(config)


LOGIN = {"issuer": "https://login.example.org/realms/main", "clientId": "ponton", "jid": "{xmpp}"}


def test_the_secret_of_the_login_server_is_a_file(tmp_path: Path) -> None:
    """It comes among the portal's own secrets, as does the authority; what is not set is not looked for."""
    page: dict[str, object] = {"url": "https://example.org", "oidc": LOGIN | {"clientSecretRef": REF, "caRef": REF}}
    environment = told(tmp_path, page)
    assert {OIDC_SECRET: "a", OIDC_CA: "a"} == {
        file: ref.name for file, ref in portal_references(gateway(page)).items()
    }
    with pytest.raises(HostError, match="oidc-secret cannot be read"):
        read_config(environment)
    (tmp_path / OIDC_SECRET).write_text("a secret \n")
    config = read_config(environment)
    assert ("a secret ", tmp_path / OIDC_CA) == (config.oidc_secret, config.oidc_ca)
    assert "a secret" not in repr(config) + str(environment)
    bare = read_config(told(tmp_path, {"url": "https://example.org", "oidc": LOGIN}))
    assert ("", None) == (bare.oidc_secret, bare.oidc_ca)
    assert {} == portal_references(gateway({"url": "https://example.org"})) == portal_references(gateway(None))


@pytest.mark.parametrize("page", [{}, {"oidc": LOGIN}])
def test_what_a_login_server_needs_is_loaded_only_where_there_is_one(tmp_path: Path, page: dict[str, object]) -> None:
    """Its libraries take more memory than half of the portal without them."""
    environment = told(tmp_path, {"url": "https://example.org", **page})
    code = (
        "import os, sys; from ponton_operator.programs import portal as p; c = p.read_config(os.environ);"
        "p.build(c, None, None, None); print(*sorted({'aiohttp', 'authlib', 'joserfc'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert (["aiohttp", "authlib", "joserfc"] if page else []) == done.stdout.split()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"PONTON_GATEWAY_FILE": ""}, "PONTON_GATEWAY_FILE is not set"),
        ({"PONTON_ACCOUNTS": ""}, "PONTON_ACCOUNTS is not set"),
        ({"PONTON_SECRETS": "/nowhere"}, "The file redis-url cannot be read"),
        ({"PONTON_METRICS_PORT": "x"}, "PONTON_METRICS_PORT is not a number"),
        ({"PONTON_LOG_LEVEL": "loud"}, "PONTON_LOG_LEVEL is not one of"),
    ],
)
def test_what_is_wrong_is_told_in_words(tmp_path: Path, change: dict[str, str], sentence: str) -> None:
    """Each fault has a sentence for the host."""
    with pytest.raises(HostError, match=sentence):
        read_config(told(tmp_path, {"url": "https://example.org"}) | change)


def test_without_a_place_in_the_web_it_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The program says which field is missing and ends with the code for it."""
    for name, value in told(tmp_path, None).items():
        monkeypatch.setenv(name, value)
    assert 78 == main(["portal"])
    assert "spec.selfservice.portal of the gateway is not set" in capsys.readouterr().err


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org",
        "https://example.org/",
        "ftp://localhost",
        "https://user:pw@example.org",
        "https://a/?q",
        "",
    ],
)
def test_addresses_that_are_unsafe_or_no_use_are_refused(url: str) -> None:
    """TLS everywhere but on loopback, no login, no end that is left open."""
    with pytest.raises(BadResource, match="write the address of the page"):
        gateway({"url": url})


@pytest.mark.parametrize(
    ("url", "origin", "prefix", "secure", "cookie"),
    [
        ("https://example.org/wa", "https://example.org", "/wa", True, "__Host-ponton-gw"),
        ("https://example.org:8443", "https://example.org:8443", "", True, "__Host-ponton-gw"),
        ("http://localhost:8480", "http://localhost:8480", "", False, "ponton-gw"),
        ("http://127.0.0.1:1/a/b", "http://127.0.0.1:1", "/a/b", False, "ponton-gw"),
    ],
)
def test_knows_its_place(url: str, origin: str, prefix: str, secure: bool, cookie: str) -> None:  # noqa: FBT001  # a row
    """Origin, path and cookie follow from the one address."""
    assert gateway({"url": url}).spec.selfservice.portal
    site = Site(url, "gw")
    assert (origin, prefix, secure, cookie) == (site.origin, site.prefix, site.secure, site.cookie)
    assert f"{prefix}/login" == site.path("/login")


def test_the_hosts_people_are_prepared_as_logins_are() -> None:
    """Whoever is named with capitals is found; what is no address is told."""
    assert {"admin@example.org"} == _prepared(["Admin@Example.ORG"])
    with pytest.raises(HostError, match=r"spec\.selfservice\.portal\.hosts"):
        _prepared(["a@-"])


def test_help_names_the_page_only_where_there_is_one() -> None:
    """Nobody is sent to a page that the gateway has not."""
    assert "https://example.org" == read_limits(gateway({"url": "https://example.org"})).page
    assert "" == read_limits(gateway(None)).page


def test_on_a_cluster_there_is_no_folder(tmp_path: Path) -> None:
    """The accounts come from the API; which pod it is has to be said."""
    environment = told(tmp_path, {"url": "https://example.org"}) | {"PONTON_CLUSTER": "1", "PONTON_ACCOUNTS": ""}
    config = read_config(environment)
    assert (None, "i") == (config.accounts, config.replica)
    with pytest.raises(HostError, match="PONTON_INSTANCE is not set"):
        read_config(environment | {"PONTON_INSTANCE": ""})
    assert "" == read_config(told(tmp_path, {"url": "https://example.org"})).replica
