"""What the core adds to the contract: acknowledgement after the shard, and an end that costs nothing.

The same scene as in the contract's tests, with the core alone: killed, stopped, crashed, left alone, and refused.
"""

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp import port
from ponton_bridge.whatsapp.core_driver import place
from ponton_bridge.whatsapp.core_driver.driver import CoreDriver
from tests.integration.driver_bed import PATIENCE, Scene, scene, still_works, until, who
from tests.integration.local_world import alive
from tests.integration.odd_stanzas import odd
from tests.sandbox.client import SandboxClient
from tests.sandbox.harness import running_sandbox
from tests.sandbox.launch import CORE_FOLDER, environment

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEED = 7
REPLACED = 15.0  # seconds; a core that hangs is found within 6.5, and this machine may be busy


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SandboxClient]:
    """One sandbox for all tests of this module."""
    async with running_sandbox(tmp_path_factory.mktemp("sandbox"), fresh_count=100) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def linked(sandbox: SandboxClient, tmp_path: Path) -> AsyncIterator[Scene]:
    """Alice linked by the core, and Bob; all knobs are turned back afterwards."""
    async with scene(sandbox, tmp_path, place.CORE) as made:
        await made.link()
        yield made
    await sandbox.clear_faults()


async def gone(process: int) -> None:
    """Wait until a process is no more."""

    async def ended() -> bool:
        return not alive(process)

    await until(ended)


async def another(linked: Scene, before: int) -> None:
    """Wait until a core other than this one runs, and is connected."""

    async def there() -> bool:
        return linked.driver.core not in {0, before}

    await until(there)


def texts(linked: Scene) -> list[str]:
    """The texts heard so far, in order, repeats included."""
    return [m.content.body for m in linked.driver.all(port.Message) if isinstance(m.content, port.Text)]


async def test_whatsapp_hears_nothing_before_the_shard_has_it(linked: Scene) -> None:
    """A message that is not acknowledged waits at WhatsApp, whatever becomes of the core, and comes again."""
    await linked.driver.call("hold", on=True)
    await linked.bob.send_text(linked.alice, "not yet")
    await linked.driver.text("not yet")
    [device] = await linked.alice.linked()
    assert device["waiting"] > 0
    await linked.driver.call("hold", on=False)
    before = linked.driver.core
    os.kill(before, signal.SIGKILL)
    await another(linked, before)

    async def twice() -> bool:
        return texts(linked).count("not yet") == 2

    async def taken() -> bool:
        [device] = await linked.alice.linked()
        return bool(device["waiting"] == 0)

    await until(twice)
    await until(taken)


async def test_refused_message_comes_again(linked: Scene) -> None:
    """What the shard could not keep is brought by the next connection."""
    await linked.driver.call("hold", on=True)
    await linked.bob.send_text(linked.alice, "no room")
    await linked.driver.text("no room")
    await linked.driver.call("hold", on=False)
    await linked.sandbox.fault("drop", linked.alice)

    async def again() -> bool:
        return texts(linked).count("no room") == 2

    await until(again)


async def test_killed_core_is_back_at_once(linked: Scene) -> None:
    """The loss and the return are told; what was written meanwhile arrives, and what is sent goes out."""
    before, core = len(linked.driver.heard), linked.driver.core
    os.kill(core, signal.SIGKILL)
    await linked.driver.link(Reason.CONNECTED, since=before)
    links = [event.reason for event in linked.driver.heard[before:] if isinstance(event, port.Link)]
    assert [Reason.CONNECTION_LOST, Reason.CONNECTED] == links
    assert core != linked.driver.core
    await still_works(linked)


async def test_stopped_core_is_replaced(linked: Scene) -> None:
    """A core that hangs is found by its silence; nothing is lost."""
    before, core = len(linked.driver.heard), linked.driver.core
    began = time.monotonic()
    os.kill(core, signal.SIGSTOP)
    await linked.bob.send_text(linked.alice, "while it hung")
    await linked.driver.link(Reason.CONNECTED, since=before, patience=REPLACED * 2)
    assert time.monotonic() - began < REPLACED * 2
    await linked.driver.text("while it hung")
    await gone(core)


@pytest.mark.parametrize("stopped", [False, True])
async def test_core_ends_with_its_shard(linked: Scene, *, stopped: bool) -> None:
    """However the shard dies, no core is left on the store, a stopped one neither."""
    core = linked.driver.core
    if stopped:
        os.kill(core, signal.SIGSTOP)
    await linked.driver.kill()
    await gone(core)
    await linked.driver.again()
    await linked.driver.link(Reason.CONNECTED)


async def test_odd_stanzas_change_nothing(linked: Scene) -> None:
    """Malformed or unheard-of, one after the other: the same process goes on, and nothing behind them is lost."""
    core, chance = linked.driver.core, random.Random(SEED)
    for number in range(60):
        await linked.sandbox.stanza(linked.alice, odd(chance, linked.bob.lid), linked.device)
        if number % 20 == 19:
            await still_works(linked, f"behind {number}")
    assert core == linked.driver.core
    assert [] == linked.driver.all(port.Lost)


async def test_repeat_after_a_crash_keeps_its_id(linked: Scene) -> None:
    """A send that its core died of is uncertain; sent again it is the same message, once or twice, and readable."""
    for round_ in range(4):
        id_ = f"3EB0{round_:018X}"
        before = len(linked.driver.heard)
        sending = asyncio.create_task(linked.driver.send(who(linked.bob), f"kept {round_}", message_id=id_))
        await asyncio.sleep(0.002 * round_)
        os.kill(linked.driver.core, signal.SIGKILL)
        with contextlib.suppress(port.SendUncertain, port.NotConnected):  # or it was answered in time
            await sending
        await linked.driver.link(Reason.CONNECTED, since=before)
        assert id_ == (await linked.driver.send(who(linked.bob), f"kept {round_}", message_id=id_)).id
        await linked.bob.wait_for("message", text=f"kept {round_}", id=id_)
    ids = {record["id"] for record in await linked.bob.inbox(kinds="message") if record["text"].startswith("kept")}
    assert {f"3EB0{round_:018X}" for round_ in range(4)} == ids


async def test_address_book_is_whole_after_crashes(linked: Scene) -> None:
    """Names that the phone wrote while the core was killed again and again are all there afterwards."""
    names = [f"Person {number}" for number in range(6)]  # more early ends would be paused for seconds
    for name in names:
        await linked.alice.add_contacts(name)
        before = len(linked.driver.heard)
        os.kill(linked.driver.core, signal.SIGKILL)
        await linked.driver.link(Reason.CONNECTED, since=before)

    async def known() -> bool:
        return set(names) <= {entry.name for entry in (await linked.driver.call("contacts")).entries}

    await until(known)


async def test_backlog_longer_than_the_library_s_queue_keeps_its_order(linked: Scene) -> None:
    """Messages that waited at WhatsApp come in the order in which they were written, however many."""
    await linked.driver.kill()
    count = 2300  # whatsmeow's own queue holds 2,048
    await linked.bob.burst(linked.alice, count, prefix="b")
    await linked.driver.again()
    await linked.driver.hear(port.Message, lambda m: m.content == port.Text(f"b{count - 1}"), patience=120)
    assert [f"b{number}" for number in range(count)] == texts(linked)


@pytest.mark.parametrize(("build", "expected"), [("core-sandbox", port.Code), ("core", port.Link)])
async def test_release_refuses_the_sandbox(
    sandbox: SandboxClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build: str, expected: type[port.Event]
) -> None:
    """The core as it is shipped trusts WhatsApp's key alone, whatever its environment says; its twin shows a code."""
    program = CORE_FOLDER.with_name(build) / place.PROGRAM
    assert program.exists(), "The core is not built: make core."
    for name, value in environment(os.environ, sandbox.config_file or Path()).items():
        monkeypatch.setenv(name, value)
    driver = CoreDriver(tmp_path / "whatsapp.db", program)
    await driver.start()
    heard = driver.events()
    assert port.Link(Reason.CONNECTING) == (await anext(heard)).event
    async with asyncio.timeout(PATIENCE):
        told = (await anext(heard)).event
    assert isinstance(told, expected)
    assert told == port.Link(Reason.CONNECTION_REFUSED) or isinstance(told, port.Code)
    await driver.stop()
