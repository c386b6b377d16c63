"""The shard's parts together, over a scripted WhatsApp, with a real Prosody and a real Redis."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ponton_bridge.model.address import Address
from ponton_bridge.whatsapp import port
from tests.harness.fake_port import FakeWhatsApp
from tests.harness.prosody import Prosody, running_prosody, until
from tests.harness.redis import RedisServer, running_redis
from tests.harness.shard import config_for, running_shard
from tests.harness.xmpp import logged_in

BOB = Address(number="4915112345678", lid="200000002")
BOB_JID = "+4915112345678@whatsapp.example.test"
NOW = 1_763_900_000
RECEIVED = "{urn:xmpp:receipts}received"


@pytest.fixture
async def prosody(tmp_path: Path) -> AsyncIterator[Prosody]:
    """A private Prosody with alice."""
    async with running_prosody(tmp_path / "prosody", users={"alice": "pw"}) as server:
        yield server


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A private Redis."""
    async with running_redis(tmp_path / "redis") as server:
        yield server


def text(id_: str, body: str, *, from_me: bool = False) -> port.Message:
    """Make a text from bob, or from the owner's phone to bob."""
    sender = Address(number="4915100000001", lid="100000001") if from_me else BOB
    return port.Message(id_, BOB, sender, port.Text(body), NOW, from_me=from_me, push_name="Bob")


async def test_messages_go_both_ways(prosody: Prosody, redis: RedisServer, tmp_path: Path) -> None:
    """Carries a text each way, with its receipt, and acknowledges to WhatsApp what is on disk."""
    whatsapp = FakeWhatsApp(linked=True)
    config = config_for(prosody, redis.url, tmp_path)
    async with logged_in(prosody, "alice", "pw") as alice, running_shard(config, whatsapp) as shard:
        await whatsapp.until(lambda: whatsapp.called("start") != [])
        token = whatsapp.say(text("A1", "hello"))
        message = await alice.message(lambda m: m["body"] == "hello")
        assert (BOB_JID, "A1") == (message["from"].bare, message["id"])
        await whatsapp.until(lambda: token in whatsapp.acknowledged)
        stanza_id = alice.say(BOB_JID, "hi bob")
        await whatsapp.until(lambda: whatsapp.called("send") != [])
        ((chat, content, message_id),) = whatsapp.called("send")
        assert ("4915112345678", port.Text("hi bob"), None) == (chat.number, content, message_id)
        whatsapp.say(port.Receipt(BOB, BOB, ("3EB00000000000000001",), port.ReceiptKind.DELIVERED, NOW))
        receipt = await alice.message(lambda m: m.xml.find(RECEIVED) is not None)
        assert [stanza_id] == [found.get("id") for found in receipt.xml.iter(RECEIVED)]
        await until(lambda: shard.account.counters.sent == 1)
