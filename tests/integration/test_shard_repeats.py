"""A client's own repeat over the whole shard: taken once by WhatsApp, and what was refused may be sent again."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ponton_bridge.model.states import Reason
from ponton_bridge.shard.config import Config
from ponton_bridge.whatsapp import port
from tests.harness.fake_port import FakeWhatsApp
from tests.harness.prosody import Prosody, running_prosody, until
from tests.harness.shard import config_for, running_shard
from tests.harness.xmpp import logged_in

BOB = "+4915112345678@whatsapp.example.test"
NUMBER = BOB.partition("@")[0].removeprefix("+")
NOWHERE = "redis://127.0.0.1:1/0"  # these tests do without Redis, as a shard can


@pytest.fixture
async def prosody(tmp_path: Path) -> AsyncIterator[Prosody]:
    """A private Prosody with alice."""
    async with running_prosody(tmp_path / "prosody", users={"alice": "pw"}) as server:
        yield server


@pytest.fixture
def config(prosody: Prosody, tmp_path: Path) -> Config:
    """The configuration of alice's shard."""
    return config_for(prosody, NOWHERE, tmp_path)


async def test_a_repeat_is_sent_once(prosody: Prosody, config: Config) -> None:
    """Sends a message once that the client gives twice, also over a restart; the same words anew are a new message."""
    whatsapp = FakeWhatsApp(linked=True)
    async with logged_in(prosody, "alice", "pw") as alice:
        async with running_shard(config, whatsapp) as shard:
            alice.say(BOB, "yes", id="m1")
            alice.say(BOB, "yes", id="m1")
            alice.say(BOB, "first", id="m2")
            await whatsapp.until(lambda: len(whatsapp.texts()) == 2)
            assert 1 == len(shard.events("message_repeated"))
        async with running_shard(config, whatsapp) as shard:
            alice.say(BOB, "first", id="m2")
            alice.say(BOB, "yes", id="m3")
            await whatsapp.until(lambda: len(whatsapp.texts()) == 3)
            assert 1 == len(shard.events("message_repeated"))
        assert [(NUMBER, "yes"), (NUMBER, "first"), (NUMBER, "yes")] == whatsapp.texts()


async def test_a_refused_message_may_be_sent_again(prosody: Prosody, config: Config) -> None:
    """A message that was answered with an error goes out when the client sends it again under its old id."""
    whatsapp = FakeWhatsApp(linked=True)
    whatsapp.answers["send"].append(port.SendRefused())
    async with logged_in(prosody, "alice", "pw") as alice, running_shard(config, whatsapp):
        alice.say(BOB, "hello", id="m1")
        await alice.message(lambda m: m["type"] == "error" and m["id"] == "m1")
        alice.say(BOB, "hello", id="m1")
        alice.say(BOB, "end", id="m2")
        await whatsapp.until(lambda: len(whatsapp.texts()) == 3)
        assert ["hello", "hello", "end"] == [text for _, text in whatsapp.texts()]


async def test_a_repeat_behind_a_cut_off_send(prosody: Prosody, config: Config) -> None:
    """A send that a crash cut off is repeated once and counted as uncertain; the client's own repeat adds none."""
    whatsapp = FakeWhatsApp(linked=True)
    gate = whatsapp.hold(NUMBER)
    async with logged_in(prosody, "alice", "pw") as alice:
        async with running_shard(config, whatsapp) as shard:
            alice.say(BOB, "cut off", id="m1")
            await until(lambda: whatsapp.live is not None and whatsapp.live.sending == {NUMBER})
            shard.crash()
        whatsapp.live = None
        gate.set()
        alice.say(BOB, "cut off", id="m1")
        async with running_shard(config, whatsapp) as shard:
            alice.say(BOB, "end", id="m2")
            await whatsapp.until(lambda: len(whatsapp.texts()) == 2)
            assert ["cut off", "end"] == [text for _, text in whatsapp.texts()]
            assert 1 == shard.account.counters.uncertain
            assert ["again"] == [event["then"] for event in shard.events("send_was_uncertain")]


async def test_a_repeat_waits_with_its_first(prosody: Prosody, config: Config) -> None:
    """Without a connection both wait in order, and one goes out."""
    whatsapp = FakeWhatsApp(linked=True, connects=False)
    async with logged_in(prosody, "alice", "pw") as alice, running_shard(config, whatsapp):
        await whatsapp.until(lambda: whatsapp.running)
        whatsapp.lose(Reason.CONNECTION_LOST)
        for id_ in ("m1", "m1", "m2"):
            alice.say(BOB, id_, id=id_)
        whatsapp.connect()
        await whatsapp.until(lambda: len(whatsapp.texts()) == 2)
        assert ["m1", "m2"] == [text for _, text in whatsapp.texts()]
