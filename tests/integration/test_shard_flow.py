"""What the shard does when a server refuses a row, counts slowly, or a bound of the journal is reached."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest

from ponton_bridge.model.address import Address
from ponton_bridge.shard import inbox, incoming
from ponton_bridge.shard.config import Config
from ponton_bridge.shard.outbox import UNSENDABLE
from ponton_bridge.store import outbox as outbox_rows
from ponton_bridge.store import outgoing as outgoing_rows
from ponton_bridge.whatsapp import port
from tests.harness.fake_port import FakeWhatsApp
from tests.harness.prosody import until
from tests.harness.shard import Running, running_shard
from tests.harness.shard_server import Peer, ScriptedServer, scripted_server

BOB = Address(number="4915112345678", lid="200000002")
BOB_JID = "+4915112345678@whatsapp.example.test"
OWNER = "alice@example.test"
SEQ = "{urn:component-shards:1}seq"
BODY = "{jabber:component:accept}body"


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    """A scripted XMPP server."""
    async with scripted_server("s") as running:
        yield running


@pytest.fixture
def config(server: ScriptedServer, tmp_path: Path) -> Config:
    """The configuration of a shard of that server."""
    store = tmp_path / "store"
    store.mkdir()
    return Config(
        gateway="g",
        account="a",
        domain="whatsapp.example.test",
        epoch=1,
        instance="i",
        store=store,
        xmpp_host="127.0.0.1",
        xmpp_port=server.port,
        owner=OWNER,
        secret="s",
        redis_url="redis://127.0.0.1:1/0",
    )


async def admit(server: ScriptedServer, *, gen: str = "g", following: int = 1, counted: int = 0, seq: int = 0) -> Peer:
    """Let the shard in; its first question, for the roster, is answered."""
    peer = await server.connected()
    peer.session(gen=gen, following=following, counted=counted, seq=seq)
    return peer


async def answer_roster(peer: Peer) -> None:
    """Take the gateway's roster entry."""
    iq = await peer.read("iq")
    peer.send(f"<iq type='result' id='{iq.get('id')}' from='{OWNER}' to='whatsapp.example.test'/>")


@asynccontextmanager
async def linked_shard(server: ScriptedServer, config: Config) -> AsyncIterator[tuple[Running, FakeWhatsApp, Peer]]:
    """A linked shard whose first stream is open; the server's side of it is given, too."""
    whatsapp = FakeWhatsApp(linked=True)

    async def first() -> Peer:
        peer = await admit(server)
        await answer_roster(peer)
        return peer

    opening = asyncio.create_task(first())
    async with running_shard(config, whatsapp) as shard:
        peer = await opening
        await whatsapp.until(lambda: whatsapp.running)
        yield shard, whatsapp, peer
        shard.crash()  # this server does not answer at the end: nothing is drained


def text(number: int) -> port.Message:
    """Make bob's message with this number."""
    return port.Message(f"A{number}", BOB, BOB, port.Text(str(number)), 1_763_900_000, push_name="Bob")


async def rows(peer: Peer, count: int) -> list[tuple[int, str]]:
    """Read messages with a body: sequence number and text."""
    found: list[tuple[int, str]] = []
    while len(found) < count:
        message = await peer.read("message")
        if (body := message.findtext(BODY)) is not None:
            found.append((number(message), body))
    return found


def number(stanza: Element) -> int:
    """Give a stanza's sequence number, 0 for none."""
    seq = stanza.find(SEQ)
    return 0 if seq is None else int(seq.get("n", "0"))


async def test_a_row_that_ends_the_stream_again_and_again_becomes_a_notice(
    server: ScriptedServer, config: Config
) -> None:
    """Puts a notice in the place of a row over which the server has closed three streams, and goes on."""
    async with linked_shard(server, config) as (shard, whatsapp, first):
        peer = first
        whatsapp.say(port.Contacts((port.Contact(BOB, name="Bob"),)))  # the first row, which arrives
        while not number(await peer.read("iq")):
            pass
        peer.cover()
        await until(lambda: shard.shard.stream.uncovered == 0)
        whatsapp.say(text(1))
        (poison,) = await rows(peer, 1)
        last = poison
        for _ in range(3):
            assert (poison[0], "1") == last
            peer.fail("policy-violation", "stanza-too-large")
            peer = await admit(server, seq=poison[0] - 1)
            (last,) = await rows(peer, 1)
        assert (poison[0], UNSENDABLE) == last
        assert 1 == len(shard.events("row_replaced"))
        whatsapp.say(text(2))
        assert "2" == (await rows(peer, 1))[0][1]


async def test_an_ordinary_loss_spoils_no_row(server: ScriptedServer, config: Config) -> None:
    """Writes a row again unchanged, however often the connection breaks for other reasons."""
    async with linked_shard(server, config) as (shard, whatsapp, peer):
        whatsapp.say(text(1))
        (first,) = await rows(peer, 1)
        peers = [peer]
        for _ in range(4):
            peers[-1].cut()
            peers.append(await admit(server, seq=first[0] - 1))
            assert [first] == await rows(peers[-1], 1)
        assert [] == shard.events("row_replaced")


async def test_rows_that_the_server_has_are_not_written_again(server: ScriptedServer, config: Config) -> None:
    """Starts a new stream behind the sequence number that the server names."""
    async with linked_shard(server, config) as (_, whatsapp, peer):
        for one in (1, 2, 3):
            whatsapp.say(text(one))
        written = await rows(peer, 3)
        peer.cut()
        second = await admit(server, seq=written[1][0])
        assert written[2:] == await rows(second, 1)


async def test_a_presence_follows_its_roster_push(server: ScriptedServer, config: Config) -> None:
    """Writes the first presence of a contact after the push that puts them into the roster."""
    async with linked_shard(server, config) as (_, whatsapp, peer):
        whatsapp.say(port.Contacts((port.Contact(BOB, name="Bob"),)))
        order = []
        while "presence" not in order:
            element = await peer.read_any()
            name = element.tag.rpartition("}")[2]
            if name == "iq" and number(element):
                order.append("push")
            elif name == "presence" and (element.get("from") or "").startswith(BOB_JID):
                order.append("presence")
        assert ["push", "presence"] == order


async def test_a_full_outbox_holds_whatsapp_back_in_order(
    server: ScriptedServer, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keeps events that do not fit unacknowledged, takes them in order when there is room, and loses none."""
    monkeypatch.setattr(outbox_rows, "OUTBOX_MAX", 10)
    monkeypatch.setattr(incoming, "FULL_PAUSE", 0.05)
    async with linked_shard(server, config) as (_, whatsapp, peer):
        tokens = [whatsapp.say(text(one)) for one in range(40)]
        seen: list[str] = []
        while len(seen) < 40:
            assert len(whatsapp.acknowledged & set(tokens)) <= len(seen) + 12
            seen += [body for _, body in await rows(peer, 1)]
            peer.cover()
        assert [str(one) for one in range(40)] == seen
        await whatsapp.until(lambda: set(tokens) <= whatsapp.acknowledged)


async def test_a_full_journal_leaves_messages_at_the_server(
    server: ScriptedServer, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Acknowledges nothing that does not fit into the journal, answers questions meanwhile, and goes on with room."""
    monkeypatch.setattr(outgoing_rows, "OUTGOING_MAX", 2)
    monkeypatch.setattr(inbox, "FULL_PAUSE", 0.05)
    monkeypatch.setattr(inbox, "BATCH", 1)
    async with linked_shard(server, config) as (_, whatsapp, peer):
        gate = whatsapp.hold(BOB.number or "")
        for one in range(4):
            peer.send(f"<message from='{OWNER}/x' to='{BOB_JID}' id='m{one}' type='chat'><body>{one}</body></message>")
        while (acked := (await peer.read("a")).get("h")) != "3":
            assert acked in {"1", "2"}
        peer.send("<r xmlns='urn:xmpp:sm:3'/>")
        assert "3" == (await peer.read("a")).get("h")
        peer.send(f"<iq type='get' from='{OWNER}/x' to='{BOB_JID}' id='q'><ping xmlns='urn:xmpp:ping'/></iq>")
        answer = await peer.read("iq")
        assert ("q", "result") == (answer.get("id"), answer.get("type"))
        gate.set()
        await whatsapp.until(lambda: len(whatsapp.texts()) == 4)
        assert [str(one) for one in range(4)] == [body for _, body in whatsapp.texts()]
