"""The local runtime with real children: their life follows the files, whatever happens on the way."""

import asyncio
from pathlib import Path

import pytest

from ponton_operator.cluster.local_registry import GONE_AFTER
from ponton_operator.plan.secrets import front_desk_secret, redis_password, shard_secret
from ponton_operator.resources.account import Desired
from tests.integration.local_world import World, account_yaml, alive, kill, until


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world of its own."""
    return World(tmp_path)


async def test_a_file_becomes_a_process(world: World) -> None:
    """A new file is a running shard at once, told what it must know by environment and private files, and no more."""
    async with world.up():
        world.put("acc-1")
        await until(lambda: world.started("acc-1"))
        told = world.started("acc-1")[0]
        status = world.status("acc-1")
        assert status
        assert status.status.epoch == told["epoch"]
    environment = {k: v for k, v in told["environment"].items() if k.startswith("PONTON_")}
    home = world.root / "state" / "shards" / "acc-1"
    expected = {
        "PONTON_GATEWAY": "wa",
        "PONTON_ACCOUNT": "acc-1",
        "PONTON_DOMAIN": "wa.example.test",
        "PONTON_EPOCH": str(told["epoch"]),
        "PONTON_INSTANCE": told["instance"],
        "PONTON_STORE": str(home / "store"),
        "PONTON_SECRETS": str(home / "secrets"),
        "PONTON_XMPP_HOST": "127.0.0.1",
        "PONTON_XMPP_PORT": "1",
        "PONTON_CODES": "6",
        "PONTON_SEND_PER_MINUTE": "60",
        "PONTON_SEND_BURST": "30",
        "PONTON_NEW_CONTACTS_PER_HOUR": "5",
        "PONTON_NEW_CONTACTS_PER_DAY": "20",
        "PONTON_LOG_LEVEL": "info",
    }
    assert expected == environment
    password = redis_password("m", "wa", "acc-1", told["epoch"])
    secrets = {
        "owner": "alice@example.test",
        "component-secret": shard_secret("m", "wa.example.test", "alice@example.test", told["epoch"]),
        "redis-url": f"redis://ponton-wa-acc-1:{password}@127.0.0.1:1/0",
    }
    assert secrets == told["secrets"]
    assert {0o600} == {told["modes"][name] for name in secrets}
    assert {0o700} == {told["modes"][name] for name in ("secrets", "store")}
    assert str(home / "store") == told["cwd"]


async def test_nothing_of_our_environment_leaks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable of the runtime does not reach a child."""
    monkeypatch.setenv("PLANTED_SECRET", "canary")
    async with world.up():
        world.put("acc-1")
        await until(lambda: world.started("acc-1"))
    assert "PLANTED_SECRET" not in world.started("acc-1")[0]["environment"]


async def test_crashes_are_restarted_with_new_epochs(world: World) -> None:
    """A shard that crashes comes back with a higher epoch, in the same store, and never two at a time."""
    async with world.up():
        world.put("acc-1")
        for count in (1, 2, 3):
            await until(lambda count=count: len(world.started("acc-1")) == count)  # type: ignore[misc]  # bound at once
            kill(world.started("acc-1")[-1]["pid"])
        await until(lambda: len(world.started("acc-1")) == 4)
        status = world.status("acc-1")
    epochs = [told["epoch"] for told in world.started("acc-1")]
    assert sorted(set(epochs)) == epochs
    assert [False, True, True, True] == [told["kept"] for told in world.started("acc-1")]
    assert 4 == len({told["instance"] for told in world.started("acc-1")})
    assert status
    assert 3 == status.status.retry.failures
    assert [-9, -9, -9] == [e["exit_code"] for e in world.events("shard_ended") if e["level"] == "warning"]


async def test_a_shard_that_ended_for_good_is_parked_and_woken(world: World) -> None:
    """Codes used up parks the account, a wake by a door starts it again; the reason came by the file, Redis is away."""
    async with world.up():
        account = await world.store().create("alice@example.test")
        name = account.metadata.name
        await until(lambda: world.running(name))
        world.order(name, "say CodesUsedUp", "exit 0")
        await until(lambda: world.reason(name) == "CodesUsedUp")
        await asyncio.sleep(0.3)
        assert not world.running(name)
        await world.store().wake(name)
        await until(lambda: len(world.started(name)) == 2)
        await until(lambda: world.reason(name) == "Starting")


async def test_people_stop_and_start_it(world: World) -> None:
    """Parked and Stopped end the shard; Running brings it back."""
    store = world.store()
    async with world.up():
        name = (await store.create("alice@example.test")).metadata.name
        for desired in (Desired.PARKED, Desired.STOPPED):
            await until(lambda: world.running(name))
            await store.patch(name, desired=desired)
            await until(lambda desired=desired: world.reason(name) == desired)  # type: ignore[misc]  # bound at once
            await until(lambda: not world.running(name))
            await store.patch(name, desired=Desired.RUNNING)
        await until(lambda: world.running(name))


async def test_a_deaf_shard_is_killed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard that ignores TERM is killed after its grace, and its successor waits for that."""
    monkeypatch.setattr("ponton_operator.cluster.local_children.Children.stop.__defaults__", (0.3,))
    async with world.up():
        world.put("acc-1")
        await until(lambda: world.running("acc-1"))
        first = world.started("acc-1")[0]["pid"]
        world.order("acc-1", "deaf")
        await until(lambda: not (world.root / "orders" / "acc-1.do").exists())
        world.put("acc-1", desired="Stopped")
        await until(lambda: not alive(first))
        assert 1 == len(world.events("shard_killed"))
        world.put("acc-1")
        await until(lambda: len(world.started("acc-1")) == 2)


async def test_everything_ends_with_the_runtime(world: World) -> None:
    """Told to end, it ends its children and writes it down, so that the next run starts without counting a crash."""
    for round_ in (1, 2):
        async with world.up():
            world.put("acc-1")
            await until(lambda round_=round_: len(world.started("acc-1")) == round_)  # type: ignore[misc]  # bound at once
            pid = world.started("acc-1")[-1]["pid"]
        assert not alive(pid)
        status = world.status("acc-1")
        assert status
        assert status.status.shard
        assert (0, 0) == (status.status.shard.exit_code, status.status.retry.failures)
    first, second = (told["epoch"] for told in world.started("acc-1"))
    assert first < second


async def test_a_bad_edit_changes_nothing(world: World) -> None:
    """Broken YAML leaves the shard as it is, tells the host what is wrong, and a good edit is taken."""
    async with world.up():
        world.put("acc-1")
        await until(lambda: world.running("acc-1"))
        world.put("acc-1", "spec: [")
        await until(lambda: world.gateway_status().get("problems"))
        assert world.running("acc-1")
        assert "acc-1.yaml: This is not YAML" in world.gateway_status()["problems"][0]
        world.put("acc-1", account_yaml("acc-1", owner="mallory@example.test"))
        await until(lambda: "owner cannot be changed" in str(world.gateway_status().get("problems")))
        world.put("acc-1", desired="Stopped")
        await until(lambda: world.reason("acc-1") == "Stopped")
        await until(lambda: not world.gateway_status().get("problems"))
    assert 1 == len(world.started("acc-1"))


async def test_a_broken_file_at_the_start_deletes_nobody(world: World) -> None:
    """An account whose file cannot be read when the runtime starts runs on as it was wanted last."""
    async with world.up():
        world.put("acc-1")
        await until(lambda: world.running("acc-1"))
    world.put("acc-1", "broken: [")
    async with world.up():
        await until(lambda: world.gateway_status().get("problems"))
        await until(lambda: len(world.started("acc-1")) == 2)
        await asyncio.sleep(2 * GONE_AFTER)
        assert world.running("acc-1")
        status = world.status("acc-1")
        assert status
        assert status.metadata.deletion_timestamp is None


async def test_removing_the_file_deletes_the_account(world: World) -> None:
    """A file that goes takes shard, store, secrets and status with it; what could not be done is told."""
    async with world.up():
        file = world.put("acc-1")
        await until(lambda: world.running("acc-1"))
        file.unlink()
        await until(lambda: world.reason("acc-1") == "Deleting")
        await until(lambda: not world.running("acc-1"))


async def test_an_editor_may_replace_the_file(world: World) -> None:
    """A file that is removed and written anew at once is an edit, not a deletion."""
    async with world.up():
        file = world.put("acc-1")
        await until(lambda: world.running("acc-1"))
        file.unlink()
        await asyncio.sleep(0.15)
        world.put("acc-1")
        await asyncio.sleep(0.8)
        assert world.running("acc-1")
        assert 1 == len(world.started("acc-1"))


async def test_files_that_vanish_unlink_nobody(world: World) -> None:
    """When YAML and status both go (a folder that was unmounted), the shard ends and its store stays."""
    async with world.up():
        file = world.put("acc-1")
        await until(lambda: world.running("acc-1"))
        (world.accounts / "acc-1.status.yaml").unlink()
        file.unlink()
        await until(lambda: not world.running("acc-1"))
        assert world.events("account_vanished")
        assert (world.root / "state" / "shards" / "acc-1" / "store" / "kept").exists()


async def test_the_older_of_two_counts(world: World) -> None:
    """Two resources of one owner: the older one runs, the younger says Duplicate, and takes over when it is free."""
    async with world.up():
        old = world.put("old")
        await until(lambda: world.running("old"))
        world.put("young")
        await until(lambda: world.reason("young") == "Duplicate")
        assert not world.started("young")
        old.unlink()
        world.put("old", desired="Stopped")
        await asyncio.sleep(0.2)
        assert not world.started("young")


async def test_a_changed_template_reaches_the_shard(world: World) -> None:
    """A new template restarts the shard in its turn, with a new epoch; a bad one changes nothing."""
    async with world.up():
        world.put("acc-1")
        await until(lambda: world.running("acc-1"))
        world.write_gateway(shard={"codesPerAttempt": 99})
        await until(lambda: "codesPerAttempt" in str(world.gateway_status().get("problems")))
        world.write_gateway(shard={"codesPerAttempt": 3})
        await until(lambda: len(world.started("acc-1")) == 2)
        await until(lambda: not world.gateway_status().get("problems"))
        await until(lambda: world.gateway_status().get("wave") == "Done")
        assert world.gateway_status()["revision"] == world.gateway_status()["waveRevision"]
    assert ["6", "3"] == [told["environment"]["PONTON_CODES"] for told in world.started("acc-1")]


async def test_starts_are_rationed(world: World) -> None:
    """Many accounts at once start no faster than the gateway allows."""
    world.write_gateway(scaling={"startsPerSecond": 5, "startsBurst": 2})
    for number in range(6):
        world.put(f"acc-{number}", owner=f"u{number}@example.test")
    async with world.up():
        await until(lambda: all(world.running(f"acc-{n}") for n in range(6)))
    epochs = sorted(told["epoch"] for n in range(6) for told in world.started(f"acc-{n}"))
    assert epochs[5] - epochs[0] >= 750  # ms: two at once, four more at five a second


async def test_the_front_desk_is_kept_running(world: World) -> None:
    """It runs once, with a derived secret of its own epoch; after a crash a new epoch; not at all when switched off."""
    world.gateway["selfservice"] = {"frontDesk": True}
    world.write_gateway()
    async with world.up():
        await until(lambda: world.running("frontdesk"))
        kill(world.started("frontdesk")[0]["pid"])
        await until(lambda: len(world.started("frontdesk")) == 2)
        first, second = world.started("frontdesk")
        assert first["epoch"] < second["epoch"]
        assert front_desk_secret("m", "wa.example.test", second["epoch"]) == second["secrets"]["component-secret"]
        assert str(world.accounts) == second["environment"]["PONTON_ACCOUNTS"]
        world.write_gateway(selfservice={"frontDesk": False})
        await until(lambda: not world.running("frontdesk"))
    assert 2 == len(world.started("frontdesk"))


async def test_the_portal_is_kept_running(world: World) -> None:
    """With an address it runs, without a secret of the stream; a crash and an edit start it anew."""
    world.gateway["selfservice"] = {"frontDesk": False, "portal": {"url": "https://example.org/wa"}}
    world.write_gateway()
    async with world.up():
        await until(lambda: world.running("portal"))
        await until(lambda: _condition(world, "PortalRunning") == "True")
        kill(world.started("portal")[0]["pid"])
        await until(lambda: len(world.started("portal")) == 2)
        first, second = world.started("portal")
        assert first["epoch"] < second["epoch"]
        assert {"redis-url"} == set(second["secrets"])
        assert str(world.accounts) == second["environment"]["PONTON_ACCOUNTS"]
        world.write_gateway(selfservice={"frontDesk": False, "portal": {"url": "https://example.org/other"}})
        await until(lambda: len(world.started("portal")) == 3)
        world.write_gateway(selfservice={"frontDesk": False})
        await until(lambda: not world.running("portal"))
        await until(lambda: _condition(world, "PortalRunning") == "False")
    assert 3 == len(world.started("portal"))
    assert [] == world.started("frontdesk")


def _condition(world: World, kind: str) -> str:
    conditions = world.gateway_status().get("conditions", [])
    return next((str(condition["status"]) for condition in conditions if condition["type"] == kind), "")


async def test_a_front_desk_that_cannot_run_is_tried_slower(world: World) -> None:
    """One that ends again and again waits longer each time, and always takes a higher epoch."""
    world.gateway["selfservice"] = {"frontDesk": True}
    world.write_gateway()
    async with world.up():
        for count in range(1, 5):
            await until(lambda count=count: len(world.started("frontdesk")) == count)  # type: ignore[misc]  # bound at once
            world.order("frontdesk", "exit 1")
        await until(lambda: not world.running("frontdesk"))
    epochs = [told["epoch"] for told in world.started("frontdesk")]
    assert epochs[2] - epochs[1] >= 1000  # ms
    assert epochs[3] - epochs[2] >= 2000


async def test_a_front_desk_without_its_secret_is_told(world: World) -> None:
    """A secret that became unreadable is a problem for the host; when it is mended the front desk starts."""
    world.gateway["selfservice"] = {"frontDesk": True}
    world.write_gateway()
    async with world.up():
        await until(lambda: world.running("frontdesk"))
        world.secret("redis", "redis://127.0.0.1:1/0", mode=0o644)
        kill(world.started("frontdesk")[0]["pid"])
        await until(lambda: "The front desk cannot start" in str(world.gateway_status().get("problems")))
        world.secret("redis", "redis://127.0.0.1:1/0")
        await until(lambda: world.running("frontdesk"))
        await until(lambda: not world.gateway_status().get("problems"))


async def test_a_missing_secret_waits_for_the_host(world: World) -> None:
    """Without its master the shard does not start, the sentence is in the gateway's status, nothing crashes."""
    async with world.up():
        world.secret("master", "m", mode=0o644)
        world.put("acc-1")
        await until(lambda: "chmod 600" in str(world.gateway_status().get("problems")))
        assert "Failed" == world.reason("acc-1")
        world.secret("master", "m")
        world.put("acc-1", desired="Stopped")
        await until(lambda: world.reason("acc-1") == "Stopped")
        world.put("acc-1")
        await until(lambda: world.running("acc-1"))


async def test_output_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a child writes is kept in two files of bounded size."""
    monkeypatch.setattr("ponton_operator.cluster.local_logs.BoundedLog.__init__.__defaults__", (10_000,))
    home = world.root / "state" / "shards" / "acc-1"
    async with world.up():
        world.put("acc-1")
        await until(lambda: world.running("acc-1"))
        for _ in range(8):
            world.order("acc-1", "print 4000")
            await until(lambda: not (world.root / "orders" / "acc-1.do").exists())
        await until((home / "shard.log.1").exists)
    sizes = [file.stat().st_size for file in home.glob("shard.log*")]
    assert 2 == len(sizes)
    assert max(sizes) <= 10_000
