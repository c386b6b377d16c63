"""docs/shard.md says all that there is: variables, files, events, exit codes, verbs."""

import re
from pathlib import Path

import pytest

from ponton_bridge.coordination.contract import Verb
from ponton_bridge.shard import config
from ponton_bridge.shard.events import Event

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "shard.md").read_text()
CODE = "\n".join(path.read_text() for path in (ROOT / "bridge" / "ponton_bridge" / "shard").glob("*.py"))


def test_every_variable_is_documented_and_every_documented_one_is_read() -> None:
    """Lists the variables that the configuration reads, and no others."""
    source = Path(config.__file__).read_text()
    read = {f"PONTON_{name}" for name in re.findall(r'read\.\w+\("([A-Z_]+)"', source)}
    assert read == set(re.findall(r"PONTON_[A-Z_]+", PAGE))


def test_every_secret_file_is_documented() -> None:
    """Lists the files of the secrets folder."""
    source = Path(config.__file__).read_text()
    for name in re.findall(r'read\.secret\(secrets, "([a-z-]+)"\)', source):
        assert f"| `{name}` |" in PAGE


@pytest.mark.parametrize("event", list(Event))
def test_every_event_is_documented_and_logged_somewhere(event: Event) -> None:
    """Keeps the registry, the page and the code in step."""
    assert f"`{event}`" in PAGE
    assert f"Event.{event.name}" in CODE


def test_no_event_is_documented_that_does_not_exist() -> None:
    """Lists no event of former times."""
    table = PAGE.partition("| event | level | when |")[2].partition("\n\n")[0]
    listed = {
        name for row in table.splitlines() for name in re.findall(r"`([a-z_]+)`", row.split("|")[1] if row else "")
    }
    assert {str(event) for event in Event} == listed


def test_every_exit_code_is_documented() -> None:
    """Names the exit codes that the program uses."""
    for code in (config.EX_OK, config.EX_TEMPFAIL, config.EX_CONFIG):
        assert f"| {code} |" in PAGE


def test_every_verb_is_documented() -> None:
    """Names what doors may ask."""
    for verb in (Verb.NEW_CODE, Verb.PAIR_PHONE, Verb.UNLINK, Verb.STATUS, Verb.ASKED, Verb.PASSKEY, Verb.COMPARED):
        assert f"| `{verb}` |" in PAGE
