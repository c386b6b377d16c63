"""The program `ponton shard` from outside: how it ends, and what it leaves behind."""

import asyncio
import io
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from ponton_bridge.coordination.client.door import DoorClient
from ponton_bridge.model.errors import WhatsAppError
from ponton_bridge.model.states import Reason
from ponton_bridge.shard.config import EX_CONFIG, EX_OK, EX_SOFTWARE, EX_TEMPFAIL, Config
from ponton_bridge.shard.logs import Log
from ponton_bridge.shard.program import serve
from ponton_bridge.store.opening import open_store
from ponton_bridge.whatsapp import port
from tests.harness.fake_port import FakeWhatsApp
from tests.harness.prosody import Prosody, running_prosody, until
from tests.harness.redis import RedisServer, running_redis
from tests.harness.shard import ACCOUNT, GATEWAY, config_for
from tests.harness.xmpp import logged_in


@pytest.fixture
async def prosody(tmp_path: Path) -> AsyncIterator[Prosody]:
    """A private Prosody."""
    async with running_prosody(tmp_path / "prosody", users={"alice": "pw"}) as server:
        yield server


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A private Redis."""
    async with running_redis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def config(prosody: Prosody, redis: RedisServer, tmp_path: Path) -> Config:
    """The configuration of alice's shard."""
    return config_for(prosody, redis.url, tmp_path)


def link(config: Config) -> None:
    """Let the store remember that there is a link."""
    journal = open_store(config.store, config.epoch)
    journal.set("linked", "1")
    journal.close()


async def ponton(*arguments: str, **environment: str) -> tuple[int, str]:
    """Run the command line; gives exit code and stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "ponton_bridge.cli", *arguments),
        env={"PATH": "/usr/bin", **environment},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, error = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, error.decode()


async def test_says_what_is_wrong_with_its_configuration() -> None:
    """Ends with 78 and one line per fault."""
    code, error = await ponton("shard", PONTON_EPOCH="0")
    assert EX_CONFIG == code
    assert error.startswith("config_refused")
    assert "PONTON_EPOCH is not a number from 1" in error


async def test_takes_no_arguments() -> None:
    """Ends with 78 when secrets or settings are put on the command line."""
    code, error = await ponton("shard", "--secret", "x")
    assert EX_CONFIG == code
    assert "takes no arguments" in error


class Run:
    """One run of the program inside this process; `out` is its log."""

    def __init__(self, config: Config, make: object) -> None:
        self.out = io.StringIO()
        self.task = asyncio.create_task(serve(config, Log("debug", out=self.out), make))  # type: ignore[arg-type]

    async def code(self) -> int:
        """Wait for its end."""
        return await asyncio.wait_for(self.task, 30)

    def events(self) -> list[str]:
        """Give the names of what was logged."""
        return [json.loads(line)["event"] for line in self.out.getvalue().splitlines()]


async def test_a_locked_store_is_tried_again(config: Config) -> None:
    """Ends with 75 while another process has the store, and touches neither Prosody nor WhatsApp."""
    journal = open_store(config.store, 1)
    try:
        run = Run(config, FakeWhatsApp().make)
        assert EX_TEMPFAIL == await run.code()
        assert ["store_refused"] == run.events()
    finally:
        journal.close()


async def test_a_stale_store_ends_for_good_and_says_so(config: Config, redis: RedisServer) -> None:
    """Ends with 0 on a restored copy, and leaves the reason in the file and at Redis."""
    (config.store / "whatsapp.db").touch()
    open_store(config.store, 3).close()
    run = Run(replace(config, epoch=9, previous_epoch=5), FakeWhatsApp().make)
    assert EX_OK == await run.code()
    left = json.loads((config.store / "last-state.json").read_text())
    assert ("StaleStore", 9, "instance-1") == (left["reason"], left["epoch"], left["instance"])
    door = DoorClient(redis.url, GATEWAY)
    try:
        changes = await door.states("0", 1.0)
        assert [(ACCOUNT, 9, "StaleStore")] == [(change.account, change.epoch, change.reason) for _, change in changes]
    finally:
        await door.close()


async def test_a_store_of_a_newer_epoch_is_left_alone(config: Config) -> None:
    """Ends with 0 as fenced when a newer epoch has used the store."""
    open_store(config.store, 5).close()
    assert EX_OK == await Run(config, FakeWhatsApp().make).code()
    assert "Fenced" == json.loads((config.store / "last-state.json").read_text())["reason"]


async def test_a_damaged_store_is_not_run(config: Config) -> None:
    """Ends as a crash, with the file left as it is, when the journal cannot be read."""
    (config.store / "journal.db").write_bytes(b"this is no database" * 1000)
    run = Run(config, FakeWhatsApp().make)
    assert EX_SOFTWARE == await run.code()
    assert ["store_refused"] == run.events()
    assert (config.store / "journal.db").read_bytes().startswith(b"this is no database")


async def test_a_part_that_fails_ends_it_with_one_clear_event(config: Config) -> None:
    """Ends as a crash when a part fails, names the error's class and place, and shows no text of it."""

    def broken(_database: Path) -> port.WhatsApp:
        raise LookupError("alice@example.test")

    (config.store / "whatsapp.db").touch()
    link(config)
    run = Run(config, broken)
    assert EX_SOFTWARE == await run.code()
    (line,) = [json.loads(line) for line in run.out.getvalue().splitlines() if "shard_crashed" in line]
    assert "LookupError" == line["error"]
    assert "driver.py" in line["at"]
    assert "alice" not in run.out.getvalue()


async def test_a_driver_that_is_worn_out_ends_it(config: Config) -> None:
    """Ends as a crash when the driver's event stream raises, so that the process is made anew."""
    whatsapp = FakeWhatsApp(linked=True)
    link(config)
    run = Run(config, whatsapp.make)
    await until(lambda: whatsapp.running)
    assert whatsapp.live is not None
    whatsapp.live.fail(WhatsAppError("worn out"))
    assert EX_SOFTWARE == await run.code()
    assert "shard_crashed" in run.events()


async def test_a_shard_that_is_replaced_at_whatsapp_never_fights(config: Config, redis: RedisServer) -> None:
    """Ends with 0 when another process has taken the link, and leaves the reason where the operator looks."""
    whatsapp = FakeWhatsApp(linked=True)
    link(config)
    run = Run(config, whatsapp.make)
    await until(lambda: "link_changed" in run.events() and whatsapp.running)
    whatsapp.lose(Reason.REPLACED)
    assert EX_OK == await run.code()
    assert 1 == whatsapp.drivers
    door = DoorClient(redis.url, GATEWAY)
    try:
        (_, last) = (await door.states("0", 1.0))[-1]
        assert "Replaced" == last.reason
    finally:
        await door.close()


async def test_whatsapp_waits_for_the_fence(prosody: Prosody, config: Config) -> None:
    """Makes no driver before Prosody has accepted the epoch, however long that takes."""
    await prosody.stop()
    whatsapp = FakeWhatsApp(linked=True)
    link(config)
    run = Run(config, whatsapp.make)
    await until(lambda: run.events().count("stream_closed") >= 2)
    assert 0 == whatsapp.drivers
    await prosody.start()
    await whatsapp.until(lambda: whatsapp.running)
    run.task.cancel()
    await asyncio.gather(run.task, return_exceptions=True)


async def test_doors_see_the_live_code_and_the_load(prosody: Prosody, config: Config, redis: RedisServer) -> None:
    """Publishes the code that can be used now, and how the shard is; takes the code back when it is linked."""
    whatsapp = FakeWhatsApp()
    door = DoorClient(redis.url, GATEWAY)
    async with logged_in(prosody, "alice", "pw"):
        run = Run(config, whatsapp.make)
        try:

            async def live() -> bool:
                code = await door.live_code(ACCOUNT)
                return code is not None and ("qr", "2@code-1-1", 1, 6) == (
                    code.kind,
                    code.text,
                    code.number,
                    code.total,
                )

            await until(live)
            whatsapp.scan()

            async def connected() -> bool:
                beat = await door.heartbeat(ACCOUNT)
                return beat is not None and ("Connected", 1, 1) == (beat.reason, beat.paired, beat.xmpp)

            await until(connected, timeout=20)
            beat = await door.heartbeat(ACCOUNT)
            assert beat is not None
            assert (1, "instance-1") == (beat.epoch, beat.instance)
            assert beat.rss > 10_000
            assert None is await door.live_code(ACCOUNT)
        finally:
            await door.close()
            run.task.cancel()
            await asyncio.gather(run.task, return_exceptions=True)
