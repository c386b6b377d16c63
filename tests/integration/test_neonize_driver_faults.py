"""What neonize alone does wrong, and how its driver contains it: a dead event stream, a queue behind one send."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp import port
from ponton_bridge.whatsapp.core_driver import place
from tests.integration.driver_bed import Scene, scene, still_works, who
from tests.sandbox.client import SandboxClient
from tests.sandbox.harness import running_sandbox

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SandboxClient]:
    """One sandbox for all tests of this module."""
    async with running_sandbox(tmp_path_factory.mktemp("sandbox"), fresh_count=100) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def linked(sandbox: SandboxClient, tmp_path: Path) -> AsyncIterator[Scene]:
    """Alice linked by neonize, and Bob; all knobs are turned back afterwards."""
    async with scene(sandbox, tmp_path, place.NEONIZE) as made:
        await made.link()
        yield made
    await sandbox.clear_faults()


ODD: dict[str, dict[str, Any]] = {
    "typing of a new kind": {
        "tag": "chatstate",
        "content": [{"tag": "composing", "attrs": {"media": "video"}}],
    },
    "receipt of a new kind": {"tag": "receipt", "attrs": {"type": "view", "id": "3EB0", "t": "1795000000"}},
}


@pytest.mark.parametrize("name", ODD)
async def test_odd_stanza_does_not_leave_us_deaf(linked: Scene, name: str) -> None:
    """The library's event stream dies of it; this is seen at once, counted, and a start hears again."""
    odd = ODD[name] | {"attrs": ODD[name].get("attrs", {}) | {"from": {"jid": linked.bob.lid}}}
    before = len(linked.driver.heard)
    await linked.sandbox.stanza(linked.alice, odd, linked.device)
    await linked.driver.link(Reason.EVENTS_STALLED)
    assert port.Lost("event_stream") in linked.driver.heard[before:]
    before = len(linked.driver.heard)
    await linked.driver.call("start")
    await linked.driver.link(Reason.CONNECTED, since=before)
    await still_works(linked)


async def test_odd_stanzas_without_end(linked: Scene) -> None:
    """Somebody who sends them again and again costs a little each time, and never the link."""
    odd = ODD["typing of a new kind"] | {"attrs": {"from": {"jid": linked.bob.lid}}}
    first = 0
    for round_ in range(12):
        before = len(linked.driver.heard)
        await linked.sandbox.stanza(linked.alice, odd, linked.device)
        await linked.driver.link(Reason.EVENTS_STALLED, since=before)
        await linked.driver.call("start")
        await linked.driver.link(Reason.CONNECTED, since=before)
        first = first or linked.driver.descriptors
        await still_works(linked, f"round {round_}")
    assert linked.driver.descriptors <= first + 5 * 12  # the library never closes its store: 4 each were measured


async def test_nothing_is_acknowledged_once_the_stream_is_dead(linked: Scene) -> None:
    """Messages behind an odd stanza wait at WhatsApp for the new client."""
    odd = ODD["typing of a new kind"] | {"attrs": {"from": {"jid": linked.bob.lid}}}
    await linked.sandbox.stanza(linked.alice, odd, linked.device)
    await linked.driver.link(Reason.EVENTS_STALLED)
    await linked.bob.burst(linked.alice, 5, prefix="behind ")
    await linked.driver.call("start")
    for number in range(5):
        await linked.driver.text(f"behind {number}")


async def test_message_behind_one_without_an_answer(linked: Scene) -> None:
    """A message that waited behind an uncertain one was surely not sent, and is not sent later."""
    await linked.sandbox.fault("missing_ack", linked.alice, count=1)
    with pytest.raises(port.SendUncertain):
        await linked.driver.send(who(linked.bob), "who knows", seconds=0.5)
    with pytest.raises(port.NotConnected):
        await linked.driver.send(who(linked.bob), "surely not", seconds=0.5)
    assert "surely not" not in str(await linked.bob.inbox(kinds="message"))
