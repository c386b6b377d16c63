"""What a shard accepts as its configuration, and what it says about the rest."""

import os
from pathlib import Path

import pytest

from ponton_bridge.coordination.contract import Choices
from ponton_bridge.shard.config import Config, ConfigError, Limits, read_config


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A complete environment with its files."""
    secrets, store = tmp_path / "secrets", tmp_path / "store"
    for folder in (secrets, store):
        folder.mkdir(mode=0o700)
    files = {"owner": "alice@example.test\n", "component-secret": "5e\n", "redis-url": "redis://u:p@127.0.0.1:6379/0"}
    for name, value in files.items():
        write(secrets / name, value)
    return {
        "PONTON_GATEWAY": "whatsapp",
        "PONTON_ACCOUNT": "acc-1a2b",
        "PONTON_DOMAIN": "whatsapp.example.test",
        "PONTON_EPOCH": "1763900000000",
        "PONTON_INSTANCE": "0d3c-1",
        "PONTON_STORE": str(store),
        "PONTON_SECRETS": str(secrets),
        "PONTON_XMPP_HOST": "127.0.0.1",
        "PONTON_XMPP_PORT": "5348",
        "PATH": "/usr/bin",
    }


def write(path: Path, value: str, mode: int = 0o600) -> None:
    """Write a secret file with its mode."""
    path.touch(mode=mode)
    path.chmod(mode)
    path.write_text(value)


def faults(environment: dict[str, str]) -> list[str]:
    """Give what is wrong with an environment, line by line."""
    with pytest.raises(ConfigError) as refused:
        read_config(environment)
    return refused.value.sentence.splitlines()


def test_reads_what_it_needs(environment: dict[str, str]) -> None:
    """Takes the environment and the secret files, with the defaults for the rest."""
    config = read_config(environment)
    expected = Config(
        gateway="whatsapp",
        account="acc-1a2b",
        domain="whatsapp.example.test",
        epoch=1763900000000,
        instance="0d3c-1",
        store=Path(environment["PONTON_STORE"]),
        xmpp_host="127.0.0.1",
        xmpp_port=5348,
        owner="alice@example.test",
        secret="5e",
        redis_url="redis://u:p@127.0.0.1:6379/0",
    )
    assert expected == config
    assert 6 == config.codes
    assert Limits(60, 30, 5, 20) == config.limits


def test_reads_what_it_may_be_told(environment: dict[str, str], tmp_path: Path) -> None:
    """Takes the optional settings."""
    ca = tmp_path / "ca.crt"
    ca.write_text("")
    config = read_config(
        environment
        | {
            "PONTON_XMPP_CA": str(ca),
            "PONTON_UPLOAD_HOST": "upload.example.test",
            "PONTON_UPLOAD_CA": str(ca),
            "PONTON_CODES": "3",
            "PONTON_SEND_PER_MINUTE": "7.5",
            "PONTON_SEND_BURST": "0",
            "PONTON_NEW_CONTACTS_PER_HOUR": "1",
            "PONTON_NEW_CONTACTS_PER_DAY": "2",
            "PONTON_LOG_LEVEL": "debug",
            "PONTON_CHOICES": Choices(4, typing=0).to_json(),
        }
    )
    assert Choices(4, typing=0) == config.choices
    assert (ca, ca, "upload.example.test") == (config.xmpp_ca, config.upload_ca, config.upload_host)
    assert (3, Limits(7.5, 0, 1, 2), "debug") == (config.codes, config.limits, config.log_level)


def test_says_everything_that_is_wrong_at_once() -> None:
    """Lists each missing setting in one go, so that a host mends them in one go."""
    said = faults({})
    assert 9 == len(said)
    for name in ("GATEWAY", "ACCOUNT", "DOMAIN", "EPOCH", "INSTANCE", "STORE", "SECRETS", "XMPP_HOST", "XMPP_PORT"):
        assert 1 == sum(f"PONTON_{name} is not" in line for line in said), name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EPOCH", "0"),
        ("EPOCH", "-1"),
        ("EPOCH", "1.5"),
        ("EPOCH", "1" * 16),
        ("INSTANCE", "x" * 65),
        ("INSTANCE", "a b"),
        ("DOMAIN", "WhatsApp.example.test"),
        ("DOMAIN", "a b"),
        ("DOMAIN", "a..b"),
        ("GATEWAY", "Alice"),
        ("ACCOUNT", "alice@example.test"),
        ("XMPP_PORT", "0"),
        ("XMPP_PORT", "65536"),
        ("XMPP_PORT", "xmpp"),
        ("CODES", "7"),
        ("CODES", "0"),
        ("SEND_PER_MINUTE", "nan"),
        ("SEND_PER_MINUTE", "inf"),
        ("SEND_BURST", "1e3"),
        ("LOG_LEVEL", "loud"),
        ("CHOICES", "typing off"),
        ("CHOICES", '{"typing":0}'),
        ("CHOICES", '{"typing":"no"}'),
        ("CHOICES", '{"typing":"0"'),
        ("CHOICES", '{"typing":"0",}'),
        ("XMPP_CA", "/nonexistent/ca.crt"),
        ("UPLOAD_HOST", "https://upload.example.test"),
        ("STORE", "/nonexistent/folder"),
        ("SEND_PER_MINIT", "5"),
    ],
)
def test_refuses_what_it_does_not_understand(environment: dict[str, str], name: str, value: str) -> None:
    """Names the one setting that is malformed or unknown."""
    (said,) = faults(environment | {f"PONTON_{name}": value})
    assert f"PONTON_{name} is not" in said


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("owner", "alice", "does not hold a bare JID"),
        ("owner", "Alice@example.test", "does not hold a prepared bare JID"),
        ("owner", "", "empty"),
        ("component-secret", " \n", "empty"),
        ("redis-url", "x" * 5000, "too long"),
    ],
)
def test_refuses_secrets_that_are_none(environment: dict[str, str], name: str, value: str, sentence: str) -> None:
    """Says which file is wrong, without showing what is in it."""
    write(Path(environment["PONTON_SECRETS"]) / name, value)
    (said,) = faults(environment)
    assert sentence in said
    assert name in said


def test_refuses_secrets_that_everybody_may_read(environment: dict[str, str]) -> None:
    """Wants secret files closed to others; a group is allowed, for volumes of Kubernetes."""
    path = Path(environment["PONTON_SECRETS"]) / "redis-url"
    path.chmod(0o604)
    assert ["The secret file 'redis-url' may be read by everybody: its mode has to be 0600 or 0640."] == faults(
        environment
    )
    path.chmod(0o640)
    assert "redis://u:p@127.0.0.1:6379/0" == read_config(environment).redis_url


def test_refuses_a_secret_file_that_is_not_there(environment: dict[str, str]) -> None:
    """Names the file that cannot be read."""
    os.unlink(Path(environment["PONTON_SECRETS"]) / "component-secret")  # noqa: PTH108 - as short
    assert ["The secret file 'component-secret' in PONTON_SECRETS cannot be read."] == faults(environment)


def test_shows_no_secret(environment: dict[str, str]) -> None:
    """Keeps owner, secret and Redis password out of whatever prints the configuration."""
    shown = repr(read_config(environment))
    for hidden in ("alice", "5e", "redis://"):
        assert hidden not in shown
