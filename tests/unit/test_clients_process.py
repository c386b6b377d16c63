"""Programs of the lab are started, waited for and ended; conditions have deadlines and names."""

import itertools
from pathlib import Path

import pytest

from tests.clients import process
from tests.clients.process import LabError, Program, output, until


def said(log: Path) -> str:
    """What a program has written so far."""
    return log.read_text()


async def running(log: Path, script: str) -> Program:
    """A shell script that has said that it is ready."""
    program = await Program.start("sh", "-c", script, log=log)

    async def ready() -> bool:
        return "ready" in said(log)

    await until("the script is ready", ready, 10, step=0.01)
    return program


async def test_a_program_ends_when_told(tmp_path: Path) -> None:
    """Is running until it is stopped, and reaped then."""
    program = await running(tmp_path / "log", "echo ready; exec sleep 60")
    assert program.running
    await program.stop()
    assert not program.running


async def test_a_stubborn_program_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Does not wait for ever for a program that ignores SIGTERM."""
    monkeypatch.setattr(process, "_GRACE", 0.1)
    program = await running(tmp_path / "log", "trap '' TERM; echo ready; exec sleep 60")
    await program.stop()
    assert not program.running


async def test_stopping_twice_is_harmless(tmp_path: Path) -> None:
    """Accepts that the program has ended already."""
    program = await running(tmp_path / "log", "echo ready")
    await program.stop()
    await program.stop()
    assert not program.running


async def test_what_a_program_says_is_kept(tmp_path: Path) -> None:
    """Writes both of its outputs to the log, after what is there."""
    log = tmp_path / "log"
    log.write_text("before\n")
    await (await running(log, "echo ready; echo trouble >&2; exec sleep 60")).stop()
    assert ["before", "ready", "trouble"] == said(log).splitlines()


async def test_a_program_has_the_given_environment_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hands nothing of ours to a client."""
    monkeypatch.setenv("OF_OURS", "1")
    out = await output("env", environ={"PATH": "/usr/bin:/bin", "GIVEN": "yes"})
    assert b"GIVEN=yes" in out
    assert b"OF_OURS" not in out


async def test_a_command_reads_what_it_is_given() -> None:
    """Passes standard input on, where secrets belong."""
    assert b"planted" == await output("cat", data=b"planted")


async def test_a_command_that_fails_says_why() -> None:
    """Raises with the command's own words."""
    with pytest.raises(LabError, match="sh failed: no such dinosaur"):
        await output("sh", "-c", "echo no such dinosaur >&2; exit 3")


async def test_a_condition_is_awaited() -> None:
    """Looks again until it holds."""
    looks = itertools.count()

    async def third_time() -> bool:
        return next(looks) == 2

    await until("the third look", third_time, 10, step=0.001)
    assert 3 == next(looks)


async def test_a_condition_that_never_holds_is_named() -> None:
    """Gives up at the deadline with the name of what was awaited."""

    async def never() -> bool:
        return False

    with pytest.raises(LabError, match=r"not within 0\.02 s: pigs fly"):
        await until("pigs fly", never, 0.02, step=0.005)
