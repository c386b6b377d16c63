"""As root every account's process has a user id of its own; with real children, by an interpreter that all may run."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ponton_operator.cluster.local_files import make_private
from ponton_operator.cluster.local_isolation import Uids, UidsUsedUp, probe
from tests.integration.local_world import World, alive, apart, until

PYTHON = "/usr/bin/python3"  # ours may be in a folder that only root may enter
IDS = range(300_000, 300_002)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may change the user id of a child")


@pytest.fixture
def world() -> Iterator[World]:
    """A world that other users can reach."""
    root = Path(tempfile.mkdtemp(prefix="ponton-"))
    root.chmod(0o755)
    made = World(root, python=PYTHON, settings={"uids": IDS})
    for folder in (root / "state", root / "state" / "shards"):
        folder.chmod(0o711)
    yield made
    shutil.rmtree(root)


def readable(path: Path, uid: int) -> bool:
    """Whether a user can read a file."""
    done = subprocess.run(["cat", str(path)], user=uid, group=uid, extra_groups=[], capture_output=True, check=False)
    return done.returncode == 0


async def test_accounts_cannot_read_each_other(world: World) -> None:
    """Two accounts have two users; each reads its own secrets and store, neither the other's, nor the host's."""
    async with world.up():
        world.put("acc-1")
        world.put("acc-2", owner="bob@example.test")
        await until(lambda: world.running("acc-1") and world.running("acc-2"))
        uids = {name: world.started(name)[0]["uid"] for name in ("acc-1", "acc-2")}
        assert set(IDS) == set(uids.values())
        shards = world.root / "state" / "shards"
        for name, other in (("acc-1", "acc-2"), ("acc-2", "acc-1")):
            for file in ("secrets/owner", "secrets/component-secret", "secrets/redis-url", "store/kept"):
                assert readable(shards / name / file, uids[name])
                assert not readable(shards / other / file, uids[name])
        assert not readable(world.root / "secrets" / "a" / "master", uids["acc-1"])
        assert not readable(shards / "acc-1" / "shard.log", uids["acc-1"])


async def test_the_death_signal_outlives_the_change_of_user(world: World) -> None:
    """Killed by kill -9, the runtime takes children of other users with it; the ids stay for the next run."""
    for count in (1, 2):
        async with apart(world, uids="300000-300001") as process:
            world.put("acc-1")
            await until(lambda count=count: len(world.started("acc-1")) == count)  # type: ignore[misc]  # bound at once
            pid = world.started("acc-1")[-1]["pid"]
            process.kill()
            await process.wait()
            await until(lambda pid=pid: not alive(pid))  # type: ignore[misc]  # bound at once
    assert [300_000, 300_000] == [told["uid"] for told in world.started("acc-1")]


async def test_an_older_store_is_given_to_its_user(world: World) -> None:
    """What root wrote into a store before belongs to the account's user now; what a link points to does not."""
    outside = world.root / "outside"
    outside.write_text("not yours")
    store = world.root / "state" / "shards" / "acc-1" / "store"
    (store / "deep").mkdir(parents=True)
    (store / "deep" / "whatsapp.db").touch()
    (store / "link").symlink_to(outside)
    (store / "second-name").hardlink_to(outside)
    async with world.up():
        world.put("acc-1")
        await until(lambda: world.started("acc-1"))
    assert {300_000} == {path.lstat().st_uid for path in (store, *store.rglob("*")) if path.name != "second-name"}
    assert 0 == outside.stat().st_uid


async def test_what_a_shard_put_among_its_secrets_is_removed(world: World) -> None:
    """Links and folders in the place of secrets keep no successor from starting, and lead nowhere."""
    outside = world.root / "outside"
    outside.write_text("untouched")
    secrets = world.root / "state" / "shards" / "acc-1" / "secrets"
    (secrets / "owner" / "deep").mkdir(parents=True)
    (secrets / "redis-url").symlink_to(outside)
    async with world.up():
        world.put("acc-1")
        await until(lambda: world.started("acc-1"))
    assert {"owner", "component-secret", "redis-url"} == world.started("acc-1")[0]["secrets"].keys()
    assert "untouched" == outside.read_text()


async def test_an_account_too_many_is_told(world: World) -> None:
    """With all ids taken the next account does not start, and the host is told why; a free one is given again."""
    async with world.up():
        files = [world.put(f"acc-{n}", owner=f"u{n}@example.test") for n in (1, 2)]
        await until(lambda: world.running("acc-1") and world.running("acc-2"))
        world.put("acc-3", owner="u3@example.test")
        await until(lambda: "--uids" in str(world.gateway_status().get("problems")))
        assert not world.started("acc-3")
        assert files[0].exists()


async def test_the_trial_tells_whether_it_works(world: World, tmp_path: Path) -> None:
    """A trial process works where others may enter, and says what is wrong where they may not."""
    assert "" == await probe(world.spawn, {"PATH": "/usr/bin"}, world.root / "state", IDS[0])
    assert "may not enter" in await probe(world.spawn, {"PATH": "/usr/bin"}, tmp_path, IDS[0])  # pytest's is 0700
    world.python = "/usr/bin/no-such-python"
    assert "could not start" in await probe(world.spawn, {"PATH": "/usr/bin"}, world.root / "state", IDS[0])
    assert not (world.root / "state" / "probe").exists()


async def test_a_range_that_cannot_work_is_refused(world: World) -> None:
    """Ids that were asked for and cannot be used end the program with a sentence, instead of a quiet way round."""
    world.root.chmod(0o700)
    async with apart(world, uids="300000-300001") as process:
        assert 78 == await asyncio.wait_for(process.wait(), 20)
    assert "--uids: others may not enter" in (world.root / "runtime.log").read_text()


def test_ids_are_given_once(tmp_path: Path) -> None:
    """Each name keeps its id over restarts; a freed one is given again; the range is the end of it."""
    uids = Uids(tmp_path / "uids.json", IDS)
    uids.load()
    assert [300_000, 300_001, 300_000] == [uids.of(name) for name in ("a", "b", "a")]
    with pytest.raises(UidsUsedUp):
        uids.of("c")
    again = Uids(tmp_path / "uids.json", IDS)
    again.load()
    again.free("a")
    assert [300_000, 300_001] == [again.of("c"), again.of("b")]


def test_a_private_folder_is_private(tmp_path: Path) -> None:
    """Whatever modes were there before, only the owner may enter."""
    (tmp_path / "x").mkdir(mode=0o755)
    make_private(tmp_path / "x", 300_000)
    found = (tmp_path / "x").stat()
    assert (0o700, 300_000, 300_000) == (found.st_mode & 0o777, found.st_uid, found.st_gid)
