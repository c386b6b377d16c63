"""`ponton local` on its command line: arguments, sentences, exit codes."""

import asyncio
import logging
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ponton_bridge.model.errors import HostError
from ponton_operator.programs import local
from tests.integration.local_world import World, until


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """Give pytest its root logger back: the program takes it over."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:], logging.root.level = handlers, level


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Folders without a runtime."""
    return World(tmp_path)


def run(world: World, *more: str) -> int:
    """Run the program in this process, as far as it comes without being told to end."""
    return local.run(["-f", str(world.root / "gateway.yaml"), "--uids", "none", *more], world.spawn)


@pytest.mark.parametrize("arguments", [[], ["-f"], ["-f", "x", "--log", "nowhere"], ["-f", "x", "more"]])
def test_wrong_arguments_are_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """What the parser does not know ends with 64 and one line that says so."""
    assert 64 == local.main(arguments)
    assert "ponton local: " in capsys.readouterr().err


def test_help_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    """Asked for help it says what there is, and ends with 0."""
    assert 0 == local.main(["--help"])
    assert "--accounts" in capsys.readouterr().out


def test_a_bad_gateway_is_told_in_sentences(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """The host is told file, field and what is expected, without a traceback, and the exit code is 78."""
    world.write_gateway(xmpp={"prot": 1})
    assert 78 == run(world)
    assert "gateway.yaml: spec.xmpp.prot: there is no such field; did you mean port?\n" == capsys.readouterr().err


def test_a_lax_secret_is_told(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A secret that others can read ends it before anything starts."""
    world.secret("master", "m", mode=0o644)
    assert 78 == run(world)
    assert "chmod 600 secrets/a/master" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_told(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A file where a folder should be is named."""
    (world.root / "x").touch()
    assert 78 == run(world, "--state", str(world.root / "x"))
    assert f"{world.root / 'x'}: File exists." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [("none", range(0)), ("2000-2000", range(2000, 2001)), ("300000-300009", range(300_000, 300_010))],
)
def test_reads_a_range_of_users(text: str, expected: range) -> None:
    """Two numbers are a range, both ends included."""
    assert expected == local.read_uids(text)


@pytest.mark.parametrize("text", ["", "x", "5", "0-10", "2000-1999", "2000-", "-5", "2000-99999999999", "²-³"])
def test_refuses_a_range_that_is_none(text: str) -> None:
    """Anything else is refused, and so are the users of the system."""
    with pytest.raises(HostError, match="--uids"):
        local.read_uids(text)


async def start(world: World) -> asyncio.subprocess.Process:
    """Start the real program, with real programs for its children, which find no servers."""
    command = [sys.executable, "-m", "ponton_bridge.cli", "local", "-f", str(world.root / "gateway.yaml")]
    log = (world.root / "log").open("ab")
    with log:
        return await asyncio.create_subprocess_exec(*command, "--uids", "none", stderr=log)


async def test_the_program_serves_until_told_to_end(world: World) -> None:
    """The real program starts real children, a second one with the same state does not run, SIGTERM ends all."""
    world.write_gateway(selfservice={"frontDesk": True})
    world.put("acc-1")
    first = await start(world)
    try:
        log = world.root / "log"
        await until(lambda: "shard_started" in log.read_text() and "front_desk_started" in log.read_text())
        second = await start(world)
        assert 75 == await asyncio.wait_for(second.wait(), 20)
        assert "Another ponton local runs" in log.read_text()
    finally:
        first.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(first.wait(), 60)
    assert 0 == code
    assert "runtime_stopped" in log.read_text()
