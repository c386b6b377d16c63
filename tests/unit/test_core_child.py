"""The core's process as the shard keeps it: calls, acknowledgements, crashes, hangs, and never two on one store."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponton_bridge.whatsapp.core_driver import child as child_module
from ponton_bridge.whatsapp.core_driver import keeper as keeper_module
from ponton_bridge.whatsapp.core_driver.child import CallFailed, Child, Frame, Gone, command
from ponton_bridge.whatsapp.core_driver.keeper import Fall, Keeper
from ponton_bridge.whatsapp.core_driver.restarts import FIRST, HEALTHY, LONGEST, STORM, Restarts
from tests.unit import fake_core

PATIENCE = 20.0  # seconds


class Ear:
    """What was heard, and how to wait for more."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.falls: list[Fall] = []

    def heard(self, _child: Child, frame: Frame) -> None:
        """Note a frame."""
        self.frames.append(frame)

    async def until(self, true: Callable[[], object]) -> None:
        """Wait until something is true."""
        async with asyncio.timeout(PATIENCE):
            while not true():  # noqa: ASYNC110 - the child tells nobody
                await asyncio.sleep(0.01)


@asynccontextmanager
async def running(folder: Path, *script: str) -> AsyncIterator[tuple[Child, Ear, "asyncio.Task[int]"]]:
    """A child that has greeted."""
    ear = Ear()
    program, store = fake_core.make(folder, "hello", *script)
    one = Child(command(program, store, "Test"), ear.heard)
    run = asyncio.create_task(one.run())
    try:
        await ear.until(lambda: ear.frames)
        yield one, ear, run
    finally:
        one.kill()
        await asyncio.wait([run])


async def test_calls_are_answered(tmp_path: Path) -> None:
    """A value, an error of the core's own, and no answer in time are three things."""
    async with running(tmp_path) as (one, _, _):
        assert {"x": [1]} == await one.call("any", seconds=PATIENCE, v={"x": [1]})
        with pytest.raises(CallFailed) as failed:
            await one.call("fail", seconds=PATIENCE)
        assert "no" == failed.value.text
        with pytest.raises(TimeoutError):
            await one.call("never", seconds=0.05)
        assert "after" == await one.call("any", seconds=PATIENCE, v="after")


async def test_core_knows_nothing_of_the_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets the way out (proxy, authorities) and Go's limits, and none of the shard's own settings."""
    monkeypatch.setenv("PONTON_SECRETS", "/secrets")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    async with running(tmp_path) as (one, _, _):
        raw = (tmp_path.joinpath("/proc", str(one.pid), "environ")).read_bytes()
    given = dict(each.split("=", 1) for each in raw.decode().split("\0") if "=" in each)
    assert ("http://proxy", "50", "16MiB", "1") == tuple(
        given[name] for name in ("HTTPS_PROXY", "GOGC", "GOMEMLIMIT", "GOMAXPROCS")
    )
    assert [] == [name for name in given if name.startswith("PONTON_")]


async def test_large_frames(tmp_path: Path) -> None:
    """An address book of megabytes comes through in one piece."""
    async with running(tmp_path) as (one, _, _):
        large = "x" * 3_000_000
        assert large == await one.call("any", seconds=PATIENCE, v=large)


async def test_acknowledgements(tmp_path: Path) -> None:
    """Safe and not safe are said by the event's own number."""
    async with running(tmp_path, "echo") as (one, ear, _):
        one.acknowledge(7, safe=True)
        one.acknowledge(8, safe=False)
        await ear.until(lambda: len(ear.frames) == 3)
        assert [{"a": 7}, {"a": 8, "ok": False}] == [frame["d"]["frame"] for frame in ear.frames[1:]]


async def test_crash_ends_what_waits(tmp_path: Path) -> None:
    """A call that the core died of is told so; later ones are, too, and an acknowledgement is nothing."""
    async with running(tmp_path) as (one, _, run):
        with pytest.raises(Gone):
            await one.call("die", seconds=PATIENCE)
        assert 2 == await run
        with pytest.raises(Gone):
            await one.call("any", seconds=PATIENCE)
        one.acknowledge(1, safe=True)


async def test_nonsense_ends_the_child(tmp_path: Path) -> None:
    """What is no JSON is no core: it is let go rather than believed."""
    async with running(tmp_path, "nonsense") as (_, _, run):
        assert await asyncio.wait_for(run, PATIENCE) in {0, -signal.SIGKILL}


async def test_program_that_is_not_there(tmp_path: Path) -> None:
    """It is an error of the start, and no socket stays open."""

    def opened() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - nothing that blocks

    before = opened()
    with pytest.raises(OSError, match="missing"):
        await Child(command(tmp_path / "missing", tmp_path / "db", "Test"), lambda *_: None).run()
    await Ear().until(lambda: opened() == before)


async def test_stopped_core_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that gives no sign of life is ended, whatever it hangs in."""
    monkeypatch.setattr(child_module, "PING_EVERY", 0.05)
    monkeypatch.setattr(child_module, "PING_PATIENCE", 0.4)
    async with running(tmp_path) as (one, _, run):
        os.kill(one.pid, signal.SIGSTOP)
        assert -signal.SIGKILL == await asyncio.wait_for(run, PATIENCE)


async def test_deaf_core_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that runs and answers nothing is as good as stopped."""
    monkeypatch.setattr(child_module, "PING_EVERY", 0.05)
    monkeypatch.setattr(child_module, "PING_PATIENCE", 0.4)
    async with running(tmp_path, "ignore") as (_, _, run):
        assert -signal.SIGKILL == await asyncio.wait_for(run, PATIENCE)


# ---- restarts -------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 2 * HEALTHY), max_size=60))
def test_restarts_are_paced_and_end(lives: list[float]) -> None:
    """At once after a life, never later than half a minute, given up only after as many early ends as a storm has."""
    restarts, early = Restarts(), 0
    for lived in lives:
        pause = restarts.ended(lived)
        early = 0 if lived >= HEALTHY else early + 1
        if early > STORM:
            assert pause is None
            early = 0
        elif early <= 1:
            assert pause == 0.0
        else:
            assert pause == min(LONGEST, FIRST * 2 ** (early - 2))


class Hasty(Restarts):
    """The same without pauses."""

    def ended(self, lived: float) -> float | None:
        """Give no pause, or none at all."""
        return None if super().ended(lived) is None else 0.0


@asynccontextmanager
async def kept(folder: Path, *script: str) -> AsyncIterator[tuple[Keeper, Ear]]:
    """A keeper with a fake core."""
    ear = Ear()
    keeper = Keeper(command(*fake_core.make(folder, *script), "Test"), heard=ear.heard, fell=ear.falls.append)
    keeper.begin()
    try:
        yield keeper, ear
    finally:
        await keeper.end()


async def test_killed_core_is_started_again(tmp_path: Path) -> None:
    """The next one greets, with another process; a second `begin` changes nothing."""
    async with kept(tmp_path, "hello") as (keeper, ear):
        await ear.until(lambda: len(ear.frames) == 1)
        assert keeper.child is not None
        first = keeper.child.pid
        keeper.begin()
        os.kill(first, signal.SIGKILL)
        await ear.until(lambda: len(ear.frames) == 2)
        assert [Fall.RESTARTED] == ear.falls
        assert first != keeper.child.pid


async def test_storm_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A core that never lives is given up, once, and told; whoever begins again begins anew."""
    monkeypatch.setattr(keeper_module, "Restarts", Hasty)
    async with kept(tmp_path, "exit 2") as (keeper, ear):
        await ear.until(lambda: Fall.STORM in ear.falls)
        assert [Fall.RESTARTED] * STORM + [Fall.STORM] == ear.falls
        keeper.begin()
        await ear.until(lambda: ear.falls.count(Fall.RESTARTED) == STORM + 1)


@pytest.mark.parametrize("code", [64, 65])
async def test_what_no_restart_cures(tmp_path: Path, code: int) -> None:
    """A store that cannot be opened is told once, and not tried again by itself."""
    async with kept(tmp_path, f"exit {code}") as (keeper, ear):
        await ear.until(lambda: ear.falls)
        assert ([Fall.UNUSABLE], 1) == (ear.falls, keeper.started)


async def test_end_leaves_no_process(tmp_path: Path) -> None:
    """After the end nothing runs, and a core that does not go is killed."""
    async with kept(tmp_path, "hello") as (keeper, ear):
        await ear.until(lambda: ear.frames)
        assert keeper.child is not None
        process = keeper.child.pid
        os.kill(process, signal.SIGSTOP)
        await keeper.end()
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
