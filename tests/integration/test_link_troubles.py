"""Troubles of a link that pass by themselves, on the whole system: nothing is lost, nobody is alarmed without need.

The slow ones wait for real timers of a minute or two; they all begin at once and are looked at one by one.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from slixmpp.stanza import Message

from ponton_bridge.core.link import PATIENCE as LINK_PATIENCE
from ponton_bridge.core.link_table import LINGER
from ponton_bridge.model.states import TABLE, Reason
from ponton_operator.cluster.local_pulse import HUNG
from ponton_operator.selfservice import words
from tests.harness.prosody import until
from tests.integration.link_bed import PATIENCE, Bed, Owner, built_bed

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def bed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bed]:
    """One stage for all tests of this module."""
    async with built_bed(tmp_path_factory.mktemp("bed")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def owner(bed: Bed) -> AsyncIterator[Owner]:
    """An owner who is linked; all knobs are turned back afterwards."""
    async with bed.owner() as made:
        await made.link()
        yield made
        await bed.sandbox.clear_faults()


async def back(owner: Owner, logins: int) -> None:
    """Wait for so many logins in all, and for the link that the last of them made."""

    async def enough() -> bool:
        return await owner.logins() >= logins

    await until(enough, timeout=PATIENCE, what=f"{logins} logins")
    await owner.stands(Reason.CONNECTED)


async def refusal(owner: Owner, sent: str) -> Message:
    """Wait for the error that answers a message."""
    return await owner.client.message(lambda m: m["type"] == "error" and m["id"] == sent)


@pytest.mark.parametrize("knob", ["drop", "unavailable", "restart"])
async def test_flaps_are_not_told(owner: Owner, knob: str) -> None:
    """Three short losses in a row: messages of both sides arrive, the owner hears nothing of it."""
    devices = await owner.devices()
    for turn in range(3):
        await owner.fault(knob)
        await owner.talk(f"{knob} {turn}")
        await back(owner, 2 + turn)
    assert ([], 4, devices) == (owner.told(), await owner.logins(), await owner.devices())


async def test_login_fails_for_a_moment(owner: Owner) -> None:
    """WhatsApp's own failure at a login is tried again without a word."""
    await owner.fault("fail_login", value=503, count=1)
    await owner.fault("drop")
    await owner.talk("after 503")
    await back(owner, 3)
    assert ([], 3) == (owner.told(), await owner.logins())


async def test_messages_wait_while_refused(owner: Owner) -> None:
    """No connection can be made for some seconds: what is written meanwhile arrives once, nobody is alarmed."""
    turned = await owner.bed.sandbox.fault("refuse", value=503, count=2)
    assert 2 == turned["left"]
    await owner.fault("drop")
    await until(lambda: owner.status()["reason"] == Reason.CONNECTION_LOST, what="the loss")
    await owner.stands(Reason.CONNECTION_LOST)
    await owner.says(Reason.CONNECTION_LOST)
    owner.client.say(owner.contact, "written meanwhile")
    await owner.bob.send_text(owner.phone, "from Bob meanwhile")
    await back(owner, 2)
    await owner.talk("after")
    assert ["written meanwhile", "after there"] == await owner.bob.texts(2)
    assert ["from Bob meanwhile", "after back"] == owner.client.bodies(owner.contact)
    assert ([], 2) == (owner.told(), await owner.logins())


async def test_refused_login_of_an_unheard_of_kind(owner: Owner) -> None:
    """A failure that the library does not try again is tried by us, after a pause, without a word."""
    await owner.fault("fail_login", value=418, count=1)
    await owner.fault("drop")
    owner.client.say(owner.contact, "written meanwhile")
    await back(owner, 3)
    await owner.bob.wait_for("message", text="written meanwhile")
    assert ([], 3) == (owner.told(), await owner.logins())


async def test_new_contacts_blocked(owner: Owner) -> None:
    """WhatsApp refuses a message to a stranger: its sender is told, the owner once; known people go on."""
    await owner.talk("before")
    carol = await owner.bed.sandbox.contact("Carol")
    for turn in range(2):
        await owner.fault("refuse_message", count=1)
        sent = owner.client.say(f"{carol.number}@{owner.contact.partition('@')[2]}", f"hello {turn}")
        refused = await refusal(owner, sent)
        assert "new contacts" in refused["error"]["text"]
    await owner.hears(Reason.NEW_CONTACTS_BLOCKED)
    await owner.stands(Reason.NEW_CONTACTS_BLOCKED)
    await owner.says(Reason.NEW_CONTACTS_BLOCKED)
    assert ("True", "NewContactsBlocked") == owner.conditions()["Ready"]
    await owner.talk("after")
    assert [] == await carol.inbox(kinds="message")
    assert ([TABLE[Reason.NEW_CONTACTS_BLOCKED].sentence], 1) == (owner.told(), await owner.logins())


async def test_says_its_state_while_the_process_hangs(owner: Owner) -> None:
    """A shard that does not move any more does not keep the desk from answering, and works on when it does."""
    await owner.phone.unlink()
    await owner.hears(Reason.LOGGED_OUT)
    await owner.stands(Reason.LOGGED_OUT)
    os.kill(owner.pid() or 0, signal.SIGSTOP)
    try:
        await owner.says(Reason.LOGGED_OUT)
        before = len(owner.client.messages)
        assert words.NO_ANSWER == await owner.ask("code")
    finally:
        os.kill(owner.pid() or 0, signal.SIGCONT)
    await owner.phone.scan(await owner.code(before))
    await owner.stands(Reason.CONNECTED)
    await owner.talk("again")


# ---- the slow ones, side by side ------------------------------------------------------------------------------------


async def keepalive_lost(owner: Owner, thawed: asyncio.Event) -> None:
    """Nothing is answered on a connection that stands: told after a minute of it, and the end of it, too."""
    await owner.fault("freeze")
    await owner.hears(Reason.KEEPALIVE_LOST, seconds=150)
    await owner.stands(Reason.KEEPALIVE_LOST)
    await owner.says(Reason.KEEPALIVE_LOST)
    owner.client.say(owner.contact, "into the ice")
    thawed.set()
    await owner.hears(Reason.CONNECTED, seconds=60)
    await owner.stands(Reason.CONNECTED)
    await owner.bob.wait_for("message", text="into the ice", patience=60)
    await owner.talk("thawed")
    assert [TABLE[Reason.KEEPALIVE_LOST].sentence, TABLE[Reason.CONNECTED].sentence] == owner.told()
    assert 1 == sum(record["text"] == "into the ice" for record in await owner.bob.inbox(kinds="message"))


async def connection_refused(owner: Owner, thawed: asyncio.Event) -> None:
    """WhatsApp cannot be reached for longer than a minute: told once, tried with pauses, and so is the end of it."""
    began = time.monotonic()
    await owner.bed.sandbox.fault("refuse", value=503, count=1000)
    await owner.fault("drop")
    owner.client.say(owner.contact, "while refused")
    await owner.hears(Reason.CONNECTION_REFUSED, seconds=LINK_PATIENCE + PATIENCE)
    assert LINK_PATIENCE <= time.monotonic() - began
    await owner.stands(Reason.CONNECTION_REFUSED)
    await owner.says(Reason.CONNECTION_REFUSED)
    (refusing,) = await owner.bed.sandbox.faults()
    assert 1000 - refusing["left"] < 40  # dials in a minute
    await thawed.wait()
    await owner.bed.sandbox.clear_faults()
    await owner.hears(Reason.CONNECTED, seconds=100)
    await owner.stands(Reason.CONNECTED)
    await owner.bob.wait_for("message", text="while refused")
    await owner.talk("reached")
    assert [TABLE[Reason.CONNECTION_REFUSED].sentence, TABLE[Reason.CONNECTED].sentence] == owner.told()
    assert 2 == await owner.logins()


async def codes_used_up(owner: Owner, _thawed: asyncio.Event) -> None:
    """Nobody scans the one code of the attempt: told once, no other code is asked for, and the process goes."""
    await owner.ask("register")
    first = await owner.code(0)
    owner.since = len(owner.client.messages)
    await owner.hears(Reason.CODES_USED_UP, seconds=60 + PATIENCE)
    await owner.stands(Reason.CODES_USED_UP)
    await owner.says(Reason.CODES_USED_UP)
    await owner.gone(LINGER + PATIENCE)
    await owner.stands(Reason.CODES_USED_UP)
    await owner.says(Reason.CODES_USED_UP)
    before = len(owner.client.messages)
    told = [text for text in owner.told() if text == TABLE[Reason.CODES_USED_UP].sentence]
    assert ([TABLE[Reason.CODES_USED_UP].sentence], []) == (told, await owner.devices())
    await owner.ask("code")
    again = await owner.code(before)
    assert first != again


async def lingers_and_goes(owner: Owner, _thawed: asyncio.Event) -> None:
    """Logged out and left alone: the process goes after its time, and 'code' starts one that links."""
    await owner.phone.unlink()
    await owner.hears(Reason.LOGGED_OUT)
    began = time.monotonic()
    await owner.gone(LINGER + PATIENCE)
    assert LINGER - PATIENCE < time.monotonic() - began
    await owner.stands(Reason.LOGGED_OUT)
    await owner.says(Reason.LOGGED_OUT)
    assert ([TABLE[Reason.LOGGED_OUT].sentence], 1) == (owner.told(), await owner.logins())


async def hangs_for_long(owner: Owner, _thawed: asyncio.Event) -> None:
    """A process that hangs after its link has ended is ended by force: parked, told once, and no new attempt begins."""
    await owner.phone.unlink()
    await owner.hears(Reason.LOGGED_OUT)
    await owner.stands(Reason.LOGGED_OUT)
    pid = owner.pid() or 0
    os.kill(pid, signal.SIGSTOP)
    await until(lambda: owner.pid() != pid, timeout=HUNG + PATIENCE, what="the end of the hung process")
    await owner.says(Reason.LOGGED_OUT)
    await owner.stands(Reason.LOGGED_OUT)
    assert ([TABLE[Reason.LOGGED_OUT].sentence], 1, None) == (owner.told(), await owner.logins(), owner.pid())


Play = Callable[[Owner, asyncio.Event], Awaitable[None]]
LINKED: tuple[Play, ...] = (keepalive_lost, connection_refused, lingers_and_goes, hangs_for_long)
PLAYS: dict[str, Play] = {play.__name__: play for play in (codes_used_up, *LINKED)}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def plays(bed: Bed) -> AsyncIterator[dict[str, "asyncio.Future[None]"]]:
    """All slow plays, begun: those with a link first get it, then the faults come."""
    async with AsyncExitStack() as stack:
        owners = {name: await stack.enter_async_context(bed.owner()) for name in PLAYS}
        for play in LINKED:
            await owners[play.__name__].link()
        thawed = asyncio.Event()
        scanning = asyncio.ensure_future(codes_used_up(owners["codes_used_up"], thawed))
        await owners["codes_used_up"].code(0)  # before WhatsApp refuses connections
        tasks = {play.__name__: asyncio.ensure_future(play(owners[play.__name__], thawed)) for play in LINKED}
        yield {"codes_used_up": scanning, **tasks}
        for task in (scanning, *tasks.values()):
            task.cancel()
        await bed.sandbox.clear_faults()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", PLAYS)
async def test_plays(plays: dict[str, "asyncio.Future[None]"], name: str) -> None:
    """What the play of this name says."""
    await plays[name]
