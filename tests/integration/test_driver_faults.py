"""Every driver when WhatsApp misbehaves: every way in which a link can change is told with its reason."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from ponton_bridge.model.address import Address
from ponton_bridge.model.errors import WhatsAppError
from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp import port
from tests.integration.driver_bed import KINDS, Scene, scene, still_works, until, who
from tests.sandbox.client import SandboxClient
from tests.sandbox.harness import running_sandbox

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SandboxClient]:
    """One sandbox for all tests of this module."""
    async with running_sandbox(tmp_path_factory.mktemp("sandbox"), fresh_count=100) as running:
        yield running


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each driver in turn."""
    return str(request.param)


@pytest_asyncio.fixture(loop_scope="module")
async def fresh(sandbox: SandboxClient, tmp_path: Path, kind: str) -> AsyncIterator[Scene]:
    """Alice and Bob, and a driver that is not started; all knobs are turned back afterwards."""
    async with scene(sandbox, tmp_path, kind) as made:
        yield made
    await sandbox.clear_faults()


@pytest_asyncio.fixture(loop_scope="module")
async def linked(fresh: Scene) -> Scene:
    """The same, linked."""
    await fresh.link()
    return fresh


async def stays_down(linked: Scene) -> None:
    """No connection, no send, and no session at WhatsApp."""
    with pytest.raises(port.NotConnected):
        await linked.driver.send(who(linked.bob), "x")

    async def gone() -> bool:
        return not any(device["connected"] for device in await linked.alice.linked())

    await until(gone)


@pytest.mark.parametrize("knob", ["drop", "unavailable", "restart"])
async def test_lost_connection_comes_back(linked: Scene, knob: str) -> None:
    """The loss and the return are told; what was written meanwhile arrives."""
    before = len(linked.driver.heard)
    await linked.sandbox.fault(knob, linked.alice)
    await linked.driver.link(Reason.CONNECTED, since=before)
    await still_works(linked)


async def test_cut_is_told_as_lost(linked: Scene) -> None:
    """A connection that is cut without a word is lost first, then connected."""
    before = len(linked.driver.heard)
    await linked.sandbox.fault("drop", linked.alice)
    await linked.driver.link(Reason.CONNECTED, since=before)
    links = [event.reason for event in linked.driver.heard[before:] if isinstance(event, port.Link)]
    assert [Reason.CONNECTION_LOST, Reason.CONNECTED] == links


async def test_replaced_link_stops(linked: Scene) -> None:
    """Another place took the link: we never fight for it."""
    await linked.sandbox.fault("replaced", linked.alice)
    await linked.driver.link(Reason.REPLACED)
    await stays_down(linked)


async def test_removed_on_the_phone(linked: Scene) -> None:
    """Logged out while connected; the next start shows a code."""
    await linked.alice.unlink()
    await linked.driver.link(Reason.LOGGED_OUT)
    before = len(linked.driver.heard)
    await linked.driver.call("start")
    await linked.driver.hear(port.Code, since=before)


LOGINS = {401: Reason.LOGGED_OUT, 403: Reason.PHONE_GONE, 406: Reason.LOGGED_OUT, 405: Reason.OUTDATED}


@pytest.mark.parametrize("number", LOGINS)
async def test_refused_login(linked: Scene, number: int) -> None:
    """What WhatsApp says at the next login is the reason, and nothing is tried again."""
    await linked.sandbox.fault("fail_login", linked.alice, value=number)
    await linked.sandbox.fault("drop", linked.alice)
    await linked.driver.link(LOGINS[number])
    await stays_down(linked)


async def test_ban_says_until_when(linked: Scene) -> None:
    """A ban for an hour ends in an hour."""
    await linked.sandbox.fault("ban", linked.alice, value=3600)
    await linked.sandbox.fault("drop", linked.alice)
    banned = await linked.driver.link(Reason.BANNED)
    trace = await linked.sandbox.trace(who=linked.alice)
    assert abs(banned.until - trace[-1]["at"] - 3600) < 60
    await stays_down(linked)


@pytest.mark.parametrize("number", [500, 503])
async def test_login_that_fails_for_a_while(linked: Scene, number: int) -> None:
    """The library tries again by itself after a failure of WhatsApp's own."""
    before = len(linked.driver.heard)
    await linked.sandbox.fault("fail_login", linked.alice, value=number, count=1)
    await linked.sandbox.fault("drop", linked.alice)
    await linked.driver.link(Reason.CONNECTED, since=before)
    await still_works(linked)


@pytest.mark.parametrize("number", [400, 418])
async def test_login_refused_for_an_unheard_of_reason(linked: Scene, number: int) -> None:
    """A failure that the library does not try again, known to it or not, is told; a start connects."""
    await linked.sandbox.fault("fail_login", linked.alice, value=number, count=1)
    await linked.sandbox.fault("drop", linked.alice)
    await linked.driver.link(Reason.CONNECTION_REFUSED)
    before = len(linked.driver.heard)
    await linked.driver.call("start")
    await linked.driver.link(Reason.CONNECTED, since=before)
    await still_works(linked)


async def test_first_connection_refused(fresh: Scene) -> None:
    """WhatsApp cannot be reached at all: told at once, and the next start shows a code."""
    await fresh.sandbox.fault("refuse", value=503)
    await fresh.driver.call("start")
    await fresh.driver.link(Reason.CONNECTION_REFUSED)
    await fresh.sandbox.clear_faults()
    await fresh.driver.call("start")
    await fresh.driver.hear(port.Code)


async def test_store_that_cannot_be_opened(fresh: Scene) -> None:
    """Keys that cannot be read are no lost connection."""
    (fresh.driver.folder / "whatsapp.db").write_bytes(b"this is no database, and long enough to be looked at" * 99)
    await fresh.driver.call("start")
    await fresh.driver.link(Reason.FAILED)


async def test_message_without_an_answer(linked: Scene) -> None:
    """No word from the server in our time is uncertain, and the next message goes."""
    await linked.sandbox.fault("missing_ack", linked.alice, count=1)
    with pytest.raises(port.SendUncertain):
        await linked.driver.send(who(linked.bob), "who knows", seconds=0.5)
    before = len(linked.driver.heard)
    await linked.sandbox.fault("drop", linked.alice)  # neonize sends nothing more for 75 s on this connection
    await linked.driver.link(Reason.CONNECTED, since=before)
    await still_works(linked)


@pytest.mark.parametrize(("number", "error"), [(463, port.NewContactsBlocked), (479, port.SendRefused)])
async def test_refused_message(linked: Scene, number: int, error: type[Exception]) -> None:
    """WhatsApp's refusal is told by its kind; the next message goes."""
    await linked.sandbox.fault("refuse_message", linked.alice, value=number, count=1)
    with pytest.raises(error):
        await linked.driver.send(who(linked.bob), "no")
    await still_works(linked)


async def test_repeated_delivery_is_one_message(linked: Scene) -> None:
    """A message that WhatsApp delivers twice is heard once."""
    await still_works(linked)
    await linked.sandbox.fault("duplicate", linked.alice, count=1)
    id_ = await linked.bob.send_text(linked.alice, "twice")
    await linked.driver.text("twice")
    await still_works(linked, "after")
    assert 1 == sum(message.id == id_ for message in linked.driver.all(port.Message))


async def test_unanswered_question_ends_in_an_error(linked: Scene) -> None:
    """A failing query is an error with a sentence of ours."""
    await linked.sandbox.fault("query_error", linked.alice, match="usync")
    with pytest.raises(WhatsAppError) as raised:
        await linked.driver.call("lookup", ["33699999999"])
    assert "500" not in raised.value.sentence
    with pytest.raises(WhatsAppError):
        await linked.driver.send(Address(number="33699999998"), "x")


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_silent_connection_is_noticed(linked: Scene) -> None:
    """A connection on which nothing is read or written is told as silent; thawed, it is connected again."""
    await linked.sandbox.fault("freeze", linked.alice)
    await linked.driver.link(Reason.KEEPALIVE_LOST, patience=60)  # the library asks every 20 to 30 s
    before = len(linked.driver.heard)
    await linked.sandbox.clear_faults()
    await linked.driver.link(Reason.CONNECTED, since=before, patience=60)
    await still_works(linked)


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_nobody_scans(tmp_path: Path, kind: str) -> None:
    """The only code of a server that gives one runs out; this is told, and a new attempt shows a new code."""
    async with (
        running_sandbox(tmp_path, fresh_count=100, qr_refs=1) as sandbox,
        scene(sandbox, tmp_path, kind) as fresh,
    ):
        await fresh.driver.call("start")
        first = await fresh.driver.hear(port.Code)
        failed = await fresh.driver.hear(port.PairingFailed, patience=90)  # a minute of the library's own clock
        assert Reason.CODES_USED_UP is failed.reason
        before = len(fresh.driver.heard)
        await fresh.driver.call("start")
        again = await fresh.driver.hear(port.Code, since=before)
        assert (1, True) == (again.number, first.text != again.text)
