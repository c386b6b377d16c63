"""The local runtime when its own machine is in trouble: full disks, failed starts, faults of ours, strange states."""

import asyncio
import errno
import json
import os
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ponton_bridge.coordination.contract import StateChange
from ponton_operator.cluster import deeds, local_backend, local_pulse, local_runtime, local_shards, prosody, reconcile
from ponton_operator.cluster.local_files import write_whole
from ponton_operator.cluster.local_runtime import LocalRuntime
from ponton_operator.plan.account import plan_account
from ponton_operator.plan.values import Clean, Outcome, Step
from tests.integration.local_world import World, until


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world of its own."""
    return World(tmp_path)


def says(world: World, runtime: LocalRuntime, name: str, reason: str, **fields: Any) -> None:  # noqa: ANN401  # of a state
    """Let a state arrive as Redis would bring it."""
    told = world.started(name)[-1]
    usual = {"epoch": told["epoch"], "instance": told["instance"], "since": time.time()}
    runtime._accounts.told(StateChange(account=name, reason=reason, **usual | fields))


async def test_nothing_starts_before_it_is_written(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a full disk the status cannot be written, so no shard starts; with space again it does, by itself."""
    full = True

    def write(path: Path, text: str, **more: Any) -> None:  # noqa: ANN401  # handed on
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        write_whole(path, text, **more)

    monkeypatch.setattr(local_backend, "write_whole", write)
    monkeypatch.setattr(reconcile, "TRY_AGAIN", 0.05)
    async with world.up():
        world.put("acc-1")
        await until(lambda: len(world.events("plan_failed")) >= 3)
        assert [] == world.started("acc-1")
        full = False
        await until(lambda: world.running("acc-1"))
        status = world.status("acc-1")
        assert status
        assert status.status.epoch == world.started("acc-1")[0]["epoch"]


async def test_a_shard_that_hangs_is_replaced(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped in mid work it is ended by force, and only then its successor starts; others are left alone."""
    monkeypatch.setattr(local_pulse, "HUNG", 1.0)
    monkeypatch.setattr(local_runtime, "LOOK", 0.05)
    world.put("acc-1")
    world.put("acc-2", owner="bob@example.test")
    async with world.up():
        await until(lambda: world.running("acc-1") and world.running("acc-2"))
        for name in ("acc-1", "acc-2"):
            world.order(name, "pulse")
        home = world.root / "state" / "shards" / "acc-1" / "store"
        before = local_pulse.stamp(home / "lock")
        await until(lambda: local_pulse.stamp(home / "lock") > before)
        await asyncio.sleep(0.2)  # so that the runtime has seen a pulse
        os.kill(world.started("acc-1")[0]["pid"], signal.SIGSTOP)
        await until(lambda: len(world.started("acc-1")) == 2)
        assert ["acc-1"] == [event["account"] for event in world.events("shard_hung")]
        assert not (world.root / "orders" / "overlaps").exists()
        first, second = world.started("acc-1")
        assert first["epoch"] < second["epoch"]
        assert 1 == len(world.started("acc-2"))


async def test_one_accounts_trouble_is_its_own(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours in the plan of one account holds up no other, and is logged without its text."""

    def faulty(account: Any, *rest: Any) -> Any:  # noqa: ANN401  # handed on
        if account.metadata.name == "acc-1":
            raise RuntimeError("canary")
        return plan_account(account, *rest)

    monkeypatch.setattr(reconcile, "plan_account", faulty)
    async with world.up():
        world.put("acc-1")
        world.put("acc-2", owner="bob@example.test")
        await until(lambda: world.running("acc-2") and world.events("plan_failed"))
        monkeypatch.setattr(reconcile, "plan_account", plan_account)
        await until(lambda: world.running("acc-1"))
    assert "canary" not in world.log.getvalue()


async def test_a_program_that_cannot_be_run(world: World) -> None:
    """When the system cannot start the program, it is tried again ever slower, and told."""
    good, world.python = world.python, "/no/such/python"
    async with world.up():
        world.put("acc-1")
        await until(lambda: len(world.events("start_failed")) >= 3)
        assert "No such file" in str(world.gateway_status().get("problems"))
        await until(lambda: world.reason("acc-1") == "Crashing")
        world.python = good
        await until(lambda: world.running("acc-1"))
        await until(lambda: not world.gateway_status().get("problems"))
    ended = [event["exit_code"] for event in world.events("shard_ended") if event["level"] == "warning"]
    assert {71} == set(ended)


async def test_only_the_newest_state_of_the_own_process_counts(world: World) -> None:
    """Older, foreign and unknown states change nothing."""
    async with world.up() as runtime:
        world.put("acc-1")
        await until(lambda: world.running("acc-1"))
        says(world, runtime, "acc-1", "WaitingForScan", since=100.0, xmpp=1)
        await until(lambda: world.reason("acc-1") == "WaitingForScan")
        says(world, runtime, "acc-1", "Starting", since=99.0)
        says(world, runtime, "acc-1", "Banned", since=101.0, instance="guess")
        says(world, runtime, "acc-1", "Banned", since=101.0, epoch=7)
        runtime._accounts.told(StateChange("nobody", 1, "i", "Banned", 101.0))
        await asyncio.sleep(0.2)
        assert "WaitingForScan" == world.reason("acc-1")
        says(world, runtime, "acc-1", "Connected", since=100.0, xmpp=1, paired=1)
        await until(lambda: world.reason("acc-1") == "Connected")


async def test_the_file_counts_when_redis_was_away(world: World) -> None:
    """Ended for good while Redis is away: the reason in the store parks it; one of an earlier epoch does not."""
    async with world.up():
        world.put("acc-1")
        await until(lambda: world.running("acc-1"))
        store = world.root / "state" / "shards" / "acc-1" / "store"
        told = world.started("acc-1")[0]
        stale = {"epoch": 7, "instance": told["instance"], "reason": "Banned", "since": 1.0, "paired": 1}
        (store / "last-state.json").write_text(json.dumps(stale))
        world.order("acc-1", "exit 0")
        await until(lambda: len(world.started("acc-1")) == 2)
        told = world.started("acc-1")[1]
        told_last = stale | {"epoch": told["epoch"], "instance": told["instance"], "until": 2_000_000_000}
        (store / "last-state.json").write_text(json.dumps(told_last))
        world.order("acc-1", "exit 0")
        await until(lambda: world.reason("acc-1") == "Banned")
        status = world.status("acc-1")
        assert status
        assert status.status.paired
        assert status.status.parking
        assert status.status.parking.until
        assert 2_000_000_000 == status.status.parking.until.timestamp()


async def test_a_last_state_that_makes_no_sense(world: World) -> None:
    """Whatever the shard wrote there, its end is judged by what can be read."""
    async with world.up():
        world.put("acc-1")
        for count, since in ((1, "x"), (2, None), (3, [1])):
            await until(lambda count=count: len(world.started("acc-1")) == count)  # type: ignore[misc]  # bound at once
            told = world.started("acc-1")[-1]
            state = {"epoch": told["epoch"], "instance": told["instance"], "reason": "Banned", "since": since}
            store = world.root / "state" / "shards" / "acc-1" / "store"
            (store / "last-state.json").write_text(json.dumps(state))
            world.order("acc-1", "exit 0")
        await until(lambda: len(world.started("acc-1")) == 4)


async def test_a_step_that_hangs_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of a deletion has its seconds; then it is a failure with a sentence, and the loop was never held up."""
    async with world.up() as runtime:
        world.put("acc-1")
        await until(lambda: world.running("acc-1"))
        account = runtime._registry.held["acc-1"].account

        async def hang(*_: object) -> str:
            await asyncio.sleep(60)
            return ""

        monkeypatch.setattr(local_shards.Shards, "_forget", hang)
        monkeypatch.setattr(deeds, "SLACK", 0.0)
        outcome = await runtime._shards.clean(account, Clean(Step.REDIS, 3, 0.0), 0.05)
        assert Outcome(Step.REDIS, 3, ok=False, sentence="TimeoutError") == outcome


async def test_steps_say_what_was_wrong(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Prosody and Redis the steps fail with a sentence; with the store locked in place, too."""
    async with world.up() as runtime:
        world.put("acc-1", desired="Stopped")
        await until(lambda: world.status("acc-1"))
        account = runtime._registry.held["acc-1"].account
        for step, expected in (
            (Step.UNLINK, "cannot be reached"),
            (Step.RELEASE, "does not answer"),
            (Step.REDIS, "cannot be reached"),
        ):
            outcome = await runtime._shards.clean(account, Clean(step, 0, 0.0), 5.0)
            assert not outcome.ok
            assert expected in outcome.sentence

        def refuse(_: object) -> None:
            raise PermissionError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr("ponton_operator.cluster.local_layout.remove", refuse)
        outcome = await runtime._shards.clean(account, Clean(Step.STORE, 0, 0.0), 5.0)
        assert (False, "Operation not permitted") == (outcome.ok, outcome.sentence.partition("] ")[2])


async def test_a_run_that_ends_while_starting(world: World) -> None:
    """Told to end in the middle of many starts, it leaves no process behind."""
    for number in range(20):
        world.put(f"acc-{number}", owner=f"u{number}@example.test")
    async with world.up():
        await until(lambda: world.events("shard_started"))
    assert [] == [n for n in range(20) if world.running(f"acc-{n}")]
    assert len(world.events("shard_started")) >= 1


async def test_a_prosody_that_hangs_holds_up_no_files(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """While every call to Prosody hangs, accounts start all the same, and edits are seen."""
    monkeypatch.setattr(prosody, "SECONDS", 120.0)
    monkeypatch.setattr(deeds, "START_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/shards"
        world.write_gateway(prosody={"url": url, "tokenRef": {"name": "a", "key": "token"}})
        async with world.up():
            for number in range(20):
                world.put(f"acc-{number}", owner=f"u{number}@example.test")
            await until(lambda: all(world.running(f"acc-{n}") for n in range(20)))
            world.put("acc-0", owner="u0@example.test", desired="Stopped")
            await until(lambda: world.reason("acc-0") == "Stopped")
        silent.settimeout(0.5)
        with suppress(TimeoutError):  # let those who wait go, so that the test can end
            while True:
                silent.accept()[0].close()


async def test_a_gateway_that_is_removed_changes_nothing(world: World) -> None:
    """Without its file the gateway goes on as it was, and says so where it can."""
    async with world.up():
        world.put("acc-1")
        await until(lambda: world.running("acc-1"))
        (world.root / "gateway.yaml").unlink()
        await until(lambda: "No such file" in str(world.gateway_status().get("problems")))
        world.put("acc-2", owner="bob@example.test")
        await until(lambda: world.running("acc-2"))
        world.write_gateway()
        await until(lambda: not world.gateway_status().get("problems"))
    assert 1 == len(world.started("acc-1"))


async def test_the_accounts_folder_may_go_away(world: World) -> None:
    """A folder that cannot be read leaves every shard as it is, until it is back."""
    async with world.up():
        world.put("acc-1")
        await until(lambda: world.running("acc-1"))
        world.accounts.rename(world.root / "unmounted")
        await until(lambda: "cannot be read" in str(world.gateway_status().get("problems")))
        assert world.running("acc-1")
        (world.root / "unmounted").rename(world.accounts)
        await until(lambda: not world.gateway_status().get("problems"))
        world.put("acc-1", desired="Stopped")
        await until(lambda: world.reason("acc-1") == "Stopped")
    assert 1 == len(world.started("acc-1"))
