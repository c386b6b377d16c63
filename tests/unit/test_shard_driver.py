"""The driver's life and the wishes for it, over a scripted WhatsApp and without any server."""

import asyncio
import io
from pathlib import Path
from typing import Any, cast

import pytest

from ponton_bridge.features.context import SetPresence, SetTyping, Subscribe
from ponton_bridge.model.address import Address
from ponton_bridge.model.states import Reason
from ponton_bridge.shard import driver as driver_module
from ponton_bridge.shard import wishes as wishes_module
from ponton_bridge.shard.account import Account
from ponton_bridge.shard.config import Config
from ponton_bridge.shard.driver import Acknowledge, DriverLife
from ponton_bridge.shard.logs import Log
from ponton_bridge.shard.wishes import Wishes
from ponton_bridge.whatsapp import port
from tests.harness.fake_port import FakeWhatsApp
from tests.harness.prosody import until

BOB = Address(number="4915112345678")
TYPING = SetTyping(BOB, port.TypingState.COMPOSING)


@pytest.fixture
async def account(tmp_path: Path) -> Account:
    """An account without a journal: these parts have nothing to do with it."""
    config = Config("g", "a", "d", 1, "i", tmp_path, "h", 1, owner="o@h", secret="s", redis_url="r")
    return Account(config, Log(out=io.StringIO()), cast("Any", None))


class Life:
    """A driver's life that keeps what it was told."""

    def __init__(self, account: Account, whatsapp: FakeWhatsApp) -> None:
        self.taken: list[port.Event] = []
        self.busy = asyncio.Event()
        self.busy.set()
        self.driver = DriverLife(account, whatsapp.make, self._take)

    async def _take(self, event: port.Event, acknowledge: Acknowledge) -> None:
        await self.busy.wait()
        self.taken.append(event)
        acknowledge(True)  # noqa: FBT003 - safe


def message(id_: str) -> port.Message:
    """Make a text."""
    return port.Message(id_, BOB, BOB, port.Text("x"), 1)


async def test_starts_one_driver_however_often_it_is_asked(account: Account) -> None:
    """Makes a single driver until it was stopped, and a fresh one after that."""
    whatsapp = FakeWhatsApp(linked=True)
    life = Life(account, whatsapp)
    for _ in range(3):
        await life.driver.start()
    assert 1 == whatsapp.drivers
    await life.driver.stop()
    assert None is life.driver.current
    await life.driver.stop()
    await life.driver.start()
    assert 2 == whatsapp.drivers
    await life.driver.stop()


async def test_hears_a_stopped_driver_to_the_last_message(account: Account) -> None:
    """Takes and acknowledges the messages that a driver had when it was stopped, and not what it says of the link."""
    whatsapp = FakeWhatsApp(linked=True)
    life = Life(account, whatsapp)
    await life.driver.start()
    await whatsapp.until(lambda: len(life.taken) == 2)
    life.busy.clear()
    tokens = [whatsapp.say(message(str(number))) for number in range(5)]
    whatsapp.say(port.Link(Reason.LOGGED_OUT))
    stopping = asyncio.create_task(life.driver.stop())
    await whatsapp.until(lambda: whatsapp.called("stop") != [])
    life.busy.set()
    await stopping
    assert [str(number) for number in range(5)] == [e.id for e in life.taken if isinstance(e, port.Message)]
    assert set(tokens) <= whatsapp.acknowledged
    assert port.Link(Reason.LOGGED_OUT) not in life.taken


async def test_a_driver_that_does_not_stop_is_left(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goes on without a driver that hangs while it is stopped, and says so."""
    monkeypatch.setattr(driver_module, "STOP_SECONDS", 0.05)
    whatsapp = FakeWhatsApp(linked=True)
    life = Life(account, whatsapp)
    await life.driver.start()
    life.busy.clear()
    whatsapp.say(message("1"))
    await asyncio.sleep(0)
    await life.driver.stop()
    assert None is life.driver.current
    await life.driver.start()
    assert 2 == whatsapp.drivers


async def test_forgets_keys_and_nothing_else(account: Account) -> None:
    """Deletes the driver's database with its side files, and leaves the journal."""
    store = account.config.store
    for name in ("whatsapp.db", "whatsapp.db-wal", "whatsapp.db-shm", "journal.db", "whatsapp-last-words.txt"):
        (store / name).touch()
    life = Life(account, FakeWhatsApp())
    await life.driver.forget()
    await life.driver.forget()
    assert ["journal.db", "whatsapp-last-words.txt"] == sorted(path.name for path in store.iterdir())


async def test_an_error_of_the_event_stream_is_not_swallowed(account: Account) -> None:
    """Ends the shard when a driver's events end with an error."""
    whatsapp = FakeWhatsApp(linked=True)
    life = Life(account, whatsapp)
    await life.driver.start()
    assert whatsapp.live is not None
    whatsapp.live.fail(LookupError("worn out"))
    with pytest.raises(LookupError, match="worn out"):
        await asyncio.wait_for(account.background.run(), 10)


async def connected(account: Account, whatsapp: FakeWhatsApp) -> tuple[Wishes, Life]:
    """Give wishes whose driver is connected."""
    life, wishes = Life(account, whatsapp), Wishes(account)
    await life.driver.start()
    wishes.link(Reason.CONNECTED, life.driver.current)
    return wishes, life


async def test_wishes_reach_the_driver(account: Account) -> None:
    """Shows the owner's presence with each connection, and typing as it comes."""
    whatsapp = FakeWhatsApp(linked=True)
    wishes, life = await connected(account, whatsapp)
    wishes.act(TYPING)
    await whatsapp.until(lambda: whatsapp.called("typing") == [(BOB, port.TypingState.COMPOSING)])
    assert [(False,)] == whatsapp.called("presence")
    account.live.clients["alice@h/x"] = True
    wishes.link(Reason.CONNECTION_LOST, life.driver.current)
    wishes.link(Reason.CONNECTED, life.driver.current)
    await whatsapp.until(lambda: whatsapp.called("presence") == [(False,), (True,)])
    wishes.link(Reason.PHONE_QUIET, life.driver.current)
    wishes.act(SetPresence(available=False))
    await whatsapp.until(lambda: len(whatsapp.called("presence")) == 3)
    await life.driver.stop()


async def test_a_contact_is_subscribed_once_a_connection(account: Account) -> None:
    """Asks for a contact's presence once, and again after a new connection."""
    whatsapp = FakeWhatsApp(linked=True)
    wishes, life = await connected(account, whatsapp)
    for _ in range(3):
        wishes.act(Subscribe(BOB))
    await whatsapp.until(lambda: whatsapp.called("subscribe") == [(BOB,)])
    wishes.link(Reason.CONNECTION_LOST, None)
    wishes.link(Reason.CONNECTED, life.driver.current)
    wishes.act(Subscribe(BOB))
    await whatsapp.until(lambda: whatsapp.called("subscribe") == [(BOB,), (BOB,)])
    await life.driver.stop()


async def test_without_a_connection_a_wish_is_dropped(account: Account) -> None:
    """Keeps nothing for later: typing of a minute ago is no news."""
    whatsapp = FakeWhatsApp(linked=True)
    wishes, life = await connected(account, whatsapp)
    wishes.link(Reason.CONNECTION_LOST, life.driver.current)
    wishes.act(TYPING)
    wishes.link(Reason.CONNECTED, life.driver.current)
    await whatsapp.until(lambda: len(whatsapp.called("presence")) == 2)
    assert [] == whatsapp.called("typing")
    await life.driver.stop()


async def test_wishes_are_bounded_and_their_refusals_harmless(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drops what comes while too much is under way, and takes a refusal for an answer."""
    monkeypatch.setattr(wishes_module, "AT_ONCE", 3)
    whatsapp = FakeWhatsApp(linked=True)
    whatsapp.answers["typing"].extend([port.NotConnected("gone")] * 10)
    wishes, life = await connected(account, whatsapp)
    for _ in range(10):
        wishes.act(TYPING)
    await until(lambda: not wishes._tasks)
    assert 2 == len(whatsapp.called("typing"))
    wishes.act(TYPING)
    await whatsapp.until(lambda: len(whatsapp.called("typing")) == 3)
    assert not account.background._failure.done()
    await life.driver.stop()
