"""Every way in which a link can end, on the whole system: what the host sees, what the owner is told, what goes on.

Each test has an owner of its own on one stage. What ends a link must be told once and in words, must not be tried again
by itself, must not log out a device that is still good, and 'code' must lead back to a link that works.
"""

import os
import shutil
import signal
import sqlite3
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from ponton_bridge.model.states import TABLE, Reason
from ponton_operator.plan.ends import CRASHING_FROM
from ponton_operator.selfservice import words
from tests.demo.stage import GATEWAY
from tests.harness.prosody import until
from tests.integration.link_bed import PATIENCE, Bed, Owner, built_bed

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def bed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bed]:
    """One stage for all tests of this module."""
    async with built_bed(tmp_path_factory.mktemp("bed")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def fresh(bed: Bed) -> AsyncIterator[Owner]:
    """An owner who has not registered; all knobs are turned back afterwards."""
    async with bed.owner() as made:
        yield made
        await bed.sandbox.clear_faults()


@pytest_asyncio.fixture(loop_scope="module")
async def owner(fresh: Owner) -> Owner:
    """An owner who is linked."""
    await fresh.link()
    return fresh


async def ended(owner: Owner, reason: Reason, *, logins: int, devices: list[int]) -> None:
    """The link has ended: told once, said by all doors, with so many logins since the start and these devices."""
    await owner.hears(reason)
    await owner.stands(reason)
    await owner.says(reason)
    assert [TABLE[reason].sentence] == [said.partition(" WhatsApp says:")[0] for said in owner.told()]
    assert (logins, devices) == (await owner.logins(), await owner.devices())


# ---- ended by WhatsApp or the phone ---------------------------------------------------------------------------------


async def test_removed_on_the_phone(owner: Owner) -> None:
    """The device is gone: parked, and 'code' links anew in the same process."""
    await owner.phone.unlink()
    await ended(owner, Reason.LOGGED_OUT, logins=1, devices=[])
    assert ("False", "NotPaired") == owner.conditions()["Paired"]
    before = owner.pid()
    await owner.link("code")
    assert before == owner.pid()
    await owner.talk("again")


@pytest.mark.parametrize(
    ("number", "reason"), [(401, Reason.LOGGED_OUT), (403, Reason.PHONE_GONE), (406, Reason.LOGGED_OUT)]
)
async def test_refused_at_login(owner: Owner, number: int, reason: Reason) -> None:
    """WhatsApp does not know the device any more: no second try, the process goes, 'code' starts one that links."""
    await owner.fault("fail_login", value=number)
    await owner.fault("drop")
    await owner.hears(reason)
    await owner.phone.unlink()  # WhatsApp had forgotten it; the phone's list follows
    await ended(owner, reason, logins=2, devices=[])
    await owner.evict()
    await ended(owner, reason, logins=2, devices=[])
    await owner.bed.sandbox.clear_faults()
    await owner.link("code")
    await owner.talk("again")
    assert ("True", "Paired") == owner.conditions()["Paired"]


async def test_replaced_at_another_place(owner: Owner) -> None:
    """Another place has the link: the shard stops at once and never fights; a wake takes the same device again."""
    await owner.fault("replaced")
    await owner.gone()
    await ended(owner, Reason.REPLACED, logins=1, devices=await owner.devices())
    assert ("True", "Paired") == owner.conditions()["Paired"]
    before = await owner.devices()
    assert words.GOES_ON == await owner.ask("code")
    await owner.stands(Reason.CONNECTED)
    await owner.talk("again")
    assert (2, before) == (await owner.logins(), await owner.devices())


@pytest.mark.parametrize("evicted", [False, True])
async def test_banned_for_an_hour(owner: Owner, evicted: bool) -> None:  # noqa: FBT001 - a parameter
    """A ban says until when, keeps the device, is not tried against; 'code' goes on with the same link."""
    before = await owner.devices()
    await owner.fault("ban", value=3600)
    await owner.fault("drop")
    said = await owner.hears(Reason.BANNED)
    until_ = datetime.strptime(said.partition("until ")[2], "%Y-%m-%d %H:%M UTC.").replace(tzinfo=UTC)
    assert abs(until_.timestamp() - time.time() - 3600) < 120
    await ended(owner, Reason.BANNED, logins=2, devices=before)
    assert ("True", "Banned") == owner.conditions()["Banned"]
    if evicted:
        await owner.evict()
        parked = datetime.fromisoformat(owner.status()["parking"]["until"])
        assert abs(parked.timestamp() - time.time() - 3600) < 120
        await ended(owner, Reason.BANNED, logins=2, devices=before)
    await owner.bed.sandbox.clear_faults()
    assert words.GOES_ON == await owner.ask("code")
    await owner.stands(Reason.CONNECTED)
    assert "Banned" not in owner.conditions()
    await owner.talk("again")
    assert (3, before) == (await owner.logins(), await owner.devices())


async def test_outdated(owner: Owner) -> None:
    """WhatsApp wants a newer version: the host's turn; the device stays, asking for a code explains it."""
    before = await owner.devices()
    await owner.fault("fail_login", value=405)
    await owner.fault("drop")
    await ended(owner, Reason.OUTDATED, logins=2, devices=before)
    assert TABLE[Reason.OUTDATED].sentence == await owner.ask("code")
    await owner.evict()
    await ended(owner, Reason.OUTDATED, logins=2, devices=before)
    await owner.bed.sandbox.clear_faults()
    assert words.GOES_ON == await owner.ask("code")
    await owner.stands(Reason.CONNECTED)
    await owner.talk("again")
    assert (3, before) == (await owner.logins(), await owner.devices())


async def test_unlinked_by_the_owner(owner: Owner) -> None:
    """Unlinking removes the device at WhatsApp and says so once."""
    await owner.ask("unlink")
    assert TABLE[Reason.UNLINKED].sentence == await owner.ask("unlink yes")
    await owner.stands(Reason.UNLINKED)
    await owner.says(Reason.UNLINKED)
    assert [] == await owner.devices()
    await owner.link("code")
    await owner.talk("again")


# ---- ended by us ----------------------------------------------------------------------------------------------------


async def test_fenced_by_a_higher_epoch(owner: Owner) -> None:
    """A newer epoch was assigned elsewhere: the shard stops for good without a word; a wake takes over again."""
    before = await owner.devices()
    await owner.bed.stage.prosody.control("assign", owner.jid, owner.status()["epoch"] + 1)
    await owner.gone()
    await until(lambda: owner.status()["reason"] == Reason.FENCED, what="the fence")
    assert ("True", "Fenced") == owner.conditions()["Fenced"]
    await owner.says(Reason.FENCED)
    assert [] == owner.told()
    assert (1, before) == (await owner.logins(), await owner.devices())
    assert words.GOES_ON == await owner.ask("code")
    await owner.stands(Reason.CONNECTED)
    await owner.talk("again")
    assert (2, before) == (await owner.logins(), await owner.devices())


async def test_old_copy_of_the_store(owner: Owner) -> None:
    """Restored keys are never run: told once, and 'code' begins with an empty store."""
    owner.want("Stopped")
    await owner.gone()
    copy = owner.store.with_name("copy")
    shutil.copytree(owner.store, copy)
    owner.want("Running")
    await owner.stands(Reason.CONNECTED)
    again = len(owner.client.messages)
    owner.want("Stopped")
    await owner.gone()
    await owner.hears(Reason.STOPPED, after=again)
    shutil.rmtree(owner.store)
    copy.rename(owner.store)
    owner.since = len(owner.client.messages)
    owner.want("Running")
    await ended(owner, Reason.STALE_STORE, logins=2, devices=await owner.devices())
    assert ("True", "StaleStore") == owner.conditions()["StaleStore"]
    await owner.gone()
    await owner.link("code")
    await owner.talk("again")


async def test_crashes_again_and_again(owner: Owner) -> None:
    """Killed at each start: tried again with growing pauses and told once; left alone it works again."""
    for _ in range(CRASHING_FROM):
        await until(lambda: owner.pid() is not None, timeout=PATIENCE, what="a start")
        pid = owner.pid() or 0
        os.kill(pid, signal.SIGKILL)
        await until(lambda pid=pid: owner.pid() != pid, what="its end")
    await owner.hears(Reason.CRASHING)
    await owner.stands(Reason.CONNECTED)
    assert 1 == [said.startswith(TABLE[Reason.CRASHING].sentence) for said in owner.told()].count(True)
    await owner.talk("again")
    assert await owner.logins() <= 1 + CRASHING_FROM + 1


async def test_stopped_by_the_host(owner: Owner) -> None:
    """The host stops the account: told once, the owner cannot wake it, and it comes back with its link."""
    before = await owner.devices()
    owner.want("Stopped")
    await owner.gone()
    await ended(owner, Reason.STOPPED, logins=1, devices=before)
    assert TABLE[Reason.STOPPED].sentence == await owner.ask("code")
    owner.want("Running")
    await owner.stands(Reason.CONNECTED)
    await owner.talk("again")
    assert (2, before) == (await owner.logins(), await owner.devices())


async def test_parked_by_the_host(owner: Owner) -> None:
    """The host parks the account: the owner may wake it, and the link is still there."""
    before = await owner.devices()
    owner.want("Parked")
    await owner.gone()
    await owner.stands(Reason.PARKED)
    await owner.says(Reason.PARKED, words.PAUSED)
    assert words.GOES_ON == await owner.ask("code")
    await owner.stands(Reason.CONNECTED)
    await owner.talk("again")
    assert (2, before) == (await owner.logins(), await owner.devices())


async def test_unlinked_while_parked(owner: Owner) -> None:
    """The owner unlinks what the host has parked: a shard is started for it, and the device is gone."""
    owner.want("Parked")
    await owner.gone()
    assert words.UNLINK_CONFIRM == await owner.ask("unlink")
    assert TABLE[Reason.UNLINKED].sentence == await owner.ask("unlink yes")
    await owner.stands(Reason.UNLINKED)
    assert [] == await owner.devices()
    await owner.link("code")
    await owner.talk("again")


# ---- not linked yet -------------------------------------------------------------------------------------------------


async def test_waits_for_the_scan(fresh: Owner) -> None:
    """While a code is on the screen the state says so."""
    await fresh.ask("register")
    code = await fresh.code(0)
    await fresh.stands(Reason.WAITING_FOR_SCAN)
    await fresh.says(Reason.WAITING_FOR_SCAN)
    await fresh.phone.scan(code)
    await fresh.stands(Reason.CONNECTED)
    await fresh.talk("first")


async def test_waits_for_the_owner(fresh: Owner) -> None:
    """Nobody is there to see a code: WhatsApp is not asked for one until a client of the owner comes online."""
    offered = (await fresh.bed.sandbox.stats())["counts"].get("offered_codes", 0)
    fresh.client.send_presence(ptype="unavailable")
    await fresh.client.ask("<query xmlns='jabber:iq:register'/>", to=GATEWAY, kind="set")
    await until(lambda: fresh.status().get("reason") == Reason.WAITING_FOR_OWNER, what="the wait")
    assert TABLE[Reason.WAITING_FOR_OWNER].sentence == await fresh.command()
    assert offered == (await fresh.bed.sandbox.stats())["counts"].get("offered_codes", 0)
    fresh.client.send_presence()
    await fresh.phone.scan(await fresh.code(0))
    await fresh.stands(Reason.CONNECTED)


async def test_cannot_be_reached_at_first(fresh: Owner) -> None:
    """WhatsApp refuses the first connection: told once, tried again, and the code comes by itself."""
    await fresh.bed.sandbox.fault("refuse", value=503)
    await fresh.ask("register")
    await ended(fresh, Reason.CONNECTION_REFUSED, logins=0, devices=[])
    await fresh.bed.sandbox.clear_faults()
    await fresh.phone.scan(await fresh.code(0))
    await fresh.hears(Reason.CONNECTED)
    await fresh.stands(Reason.CONNECTED)
    await fresh.talk("first")
    assert 1 == sum(said == TABLE[Reason.CONNECTION_REFUSED].sentence for said in fresh.told())


async def test_phone_was_not_seen_for_long(owner: Owner) -> None:
    """The phone was away for thirteen days: told once while the link goes on."""
    owner.want("Stopped")
    await owner.hears(Reason.STOPPED)
    await owner.gone()
    with sqlite3.connect(owner.store / "journal.db") as journal:
        journal.execute("UPDATE setting SET value = ? WHERE key = 'phone_seen'", (str(int(time.time()) - 13 * 86400),))
    journal.close()
    owner.since = len(owner.client.messages)
    owner.want("Running")
    await ended(owner, Reason.PHONE_QUIET, logins=2, devices=await owner.devices())
    assert ("False", "PhoneQuiet") == owner.conditions()["PhoneSeen"]
