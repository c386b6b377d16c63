"""The local runtime killed by kill -9: its children end with it, and the next run waits until that is sure."""

import asyncio
import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ponton_operator.cluster.local_spawn import started_at
from tests.integration.local_world import STAND_IN, World, alive, apart, kill, until


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world with one account."""
    made = World(tmp_path)
    made.put("acc-1")
    return made


async def test_children_end_with_their_parent(world: World) -> None:
    """Killed three times over, it leaves no child behind, and each run takes a higher epoch."""
    for count in (1, 2, 3):
        async with apart(world) as process:
            await until(lambda count=count: len(world.started("acc-1")) == count)  # type: ignore[misc]  # bound at once
            pid = world.started("acc-1")[-1]["pid"]
            process.kill()
            await process.wait()
            await until(lambda pid=pid: not alive(pid))  # type: ignore[misc]  # bound at once
    epochs = [told["epoch"] for told in world.started("acc-1")]
    assert sorted(set(epochs)) == epochs


async def test_terminated_it_ends_everything(world: World) -> None:
    """SIGTERM ends the child by its own exit, and then the runtime with 0."""
    async with apart(world) as process:
        await until(lambda: world.running("acc-1"))
    status = world.status("acc-1")
    assert 0 == process.returncode
    assert status
    assert status.status.shard
    assert 0 == status.status.shard.exit_code


def left_over(world: World) -> subprocess.Popen[bytes]:
    """Start a shard as an earlier run would have, which outlived it."""
    home = world.root / "state" / "shards" / "acc-1"
    for folder in (home / "store", home / "secrets"):
        folder.mkdir(parents=True)
    env = {"PONTON_ACCOUNT": "acc-1", "PONTON_STORE": str(home / "store"), "PONTON_SECRETS": str(home / "secrets")}
    env |= {"PONTON_EPOCH": "7", "PONTON_INSTANCE": "old", "HOME": "/"}
    return subprocess.Popen([sys.executable, "-I", str(STAND_IN), str(world.root / "orders"), "shard"], env=env)


async def test_a_leftover_is_ended_first(world: World) -> None:
    """A process of an earlier run is killed; the successor starts after it is gone."""
    old = left_over(world)
    try:
        await until(lambda: world.started("acc-1"))
        note = {"pid": old.pid, "start": started_at(old.pid), "epoch": 7}
        (world.root / "state" / "shards" / "acc-1" / "pid").write_text(json.dumps(note))
        async with world.up():
            assert -9 == await asyncio.to_thread(old.wait, 20)
            await until(lambda: len(world.started("acc-1")) == 2)
            assert world.events("leftover_found")
        assert world.started("acc-1")[1]["epoch"] > 7
    finally:
        kill(old.pid)
        old.wait()


async def test_another_process_of_that_pid_is_left_alone(world: World) -> None:
    """A pid file that names a process with another start time is out of date: that process is somebody else's."""
    stranger = await asyncio.create_subprocess_exec("sleep", "60")
    home = world.root / "state" / "shards" / "acc-1"
    home.mkdir(parents=True)
    (home / "pid").write_text(json.dumps({"pid": stranger.pid, "start": 1, "epoch": 7}))
    try:
        async with world.up():
            await until(lambda: world.running("acc-1"))
            assert stranger.returncode is None
            assert not world.events("leftover_found")
    finally:
        stranger.kill()
        await stranger.wait()


async def test_a_locked_store_is_waited_for(world: World) -> None:
    """As long as anybody holds the store's lock no shard starts, whoever it is; then it does."""
    store = world.root / "state" / "shards" / "acc-1" / "store"
    store.mkdir(parents=True)
    lock = os.open(store / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    async with world.up():
        await until(lambda: world.events("leftover_found"))
        await asyncio.sleep(0.5)
        assert not world.started("acc-1")
        os.close(lock)
        await until(lambda: world.running("acc-1"))


@pytest.mark.parametrize("note", ["", "{}", "[1]", '{"pid": "x"}', '{"pid": 1, "start": null, "epoch": 2}'])
async def test_a_bad_pid_file_stops_nothing(world: World, note: str) -> None:
    """Whatever stands in a pid file, the account starts."""
    home = world.root / "state" / "shards" / "acc-1"
    home.mkdir(parents=True)
    (home / "pid").write_text(note)
    async with world.up():
        await until(lambda: world.running("acc-1"))


async def test_processes_of_forgotten_accounts_are_ended(world: World) -> None:
    """A leftover whose account is gone altogether is ended, too."""
    old = left_over(world)
    (world.accounts / "acc-1.yaml").unlink()
    try:
        await until(lambda: world.started("acc-1"))
        note = {"pid": old.pid, "start": started_at(old.pid), "epoch": 7}
        (world.root / "state" / "shards" / "acc-1" / "pid").write_text(json.dumps(note))
        async with world.up():
            assert -9 == await asyncio.to_thread(old.wait, 20)
    finally:
        kill(old.pid)
        old.wait()
