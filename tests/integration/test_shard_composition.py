"""The shard's parts over a scripted WhatsApp and a real Prosody: what is sent, refused, kept and repeated."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from slixmpp.exceptions import IqError

from ponton_bridge.core.delivery import UNKNOWN_FATE
from ponton_bridge.features import pipeline
from ponton_bridge.model.address import Address
from ponton_bridge.model.states import TABLE, Reason
from ponton_bridge.shard import outgoing
from ponton_bridge.shard.config import Config, Limits
from ponton_bridge.shard.outbox import UNSENDABLE
from ponton_bridge.whatsapp import port
from tests.harness.fake_port import FakeWhatsApp
from tests.harness.prosody import Prosody, running_prosody, until
from tests.harness.shard import Running, config_for, running_shard
from tests.harness.xmpp import logged_in

BOB = Address(number="4915112345678", lid="200000002")
CAROL = Address(number="4915112345679", lid="200000003")
BOB_JID = "+4915112345678@whatsapp.example.test"
CAROL_JID = "+4915112345679@whatsapp.example.test"
NOWHERE = "redis://127.0.0.1:1/0"  # these tests do without Redis, as a shard can
RECEIVED = "{urn:xmpp:receipts}received"
STANZA_TEXT = "{urn:ietf:params:xml:ns:xmpp-stanzas}text"
TIME = 1_763_900_000


@pytest.fixture
async def prosody(tmp_path: Path) -> AsyncIterator[Prosody]:
    """A private Prosody with alice."""
    async with running_prosody(tmp_path / "prosody", users={"alice": "pw"}) as server:
        yield server


@pytest.fixture
def config(prosody: Prosody, tmp_path: Path) -> Config:
    """The configuration of alice's shard."""
    return config_for(prosody, NOWHERE, tmp_path)


def text(id_: str, body: str, *, chat: Address = BOB) -> port.Message:
    """Make a text from a contact."""
    return port.Message(id_, chat, chat, port.Text(body), TIME, push_name="Bob")


async def waiting(shard: Running, count: int) -> bool:
    """Tell whether so many messages wait in the journal for WhatsApp."""
    return (await shard.account.journal.run(lambda journal: journal.counts().outgoing)) == count


async def test_messages_go_both_ways(prosody: Prosody, config: Config) -> None:
    """Carries a text each way, with its receipt, and acknowledges to WhatsApp what is on disk."""
    whatsapp = FakeWhatsApp(linked=True)
    async with logged_in(prosody, "alice", "pw") as alice, running_shard(config, whatsapp) as shard:
        await whatsapp.until(lambda: whatsapp.running)
        token = whatsapp.say(text("A1", "hello"))
        message = await alice.message(lambda m: m["body"] == "hello")
        assert (BOB_JID, "A1") == (message["from"].bare, message["id"])
        await whatsapp.until(lambda: token in whatsapp.acknowledged)
        stanza_id = alice.say(BOB_JID, "hi bob")
        await whatsapp.until(lambda: whatsapp.texts() == [(BOB.number, "hi bob")])
        whatsapp.say(port.Receipt(BOB, BOB, ("3EB00000000000000001",), port.ReceiptKind.DELIVERED, TIME))
        receipt = await alice.message(lambda m: m.xml.find(RECEIVED) is not None)
        assert [stanza_id] == [found.get("id") for found in receipt.xml.iter(RECEIVED)]
        await until(lambda: (1, 1) == (shard.account.counters.sent, shard.account.counters.received))


async def test_a_receipt_waits_for_the_send_that_it_is_about(prosody: Prosody, config: Config) -> None:
    """Does not lose a receipt that overtakes WhatsApp's own answer to the send."""
    whatsapp = FakeWhatsApp(linked=True)
    async with logged_in(prosody, "alice", "pw") as alice, running_shard(config, whatsapp):
        gate = whatsapp.hold(BOB.number or "")
        await whatsapp.until(lambda: whatsapp.running)
        alice.say(CAROL_JID, "first")
        await whatsapp.until(lambda: len(whatsapp.texts()) == 1)
        stanza_id = alice.say(BOB_JID, "second")
        await until(lambda: whatsapp.live is not None and whatsapp.live.sending == {BOB.number})
        whatsapp.say(port.Receipt(BOB, BOB, ("3EB00000000000000002",), port.ReceiptKind.DELIVERED, TIME))
        whatsapp.say(text("A1", "not held up by it"))
        await alice.message(lambda m: m["body"] == "not held up by it")
        gate.set()
        receipt = await alice.message(lambda m: m.xml.find(RECEIVED) is not None)
        assert [stanza_id] == [found.get("id") for found in receipt.xml.iter(RECEIVED)]


async def test_a_redelivery_is_shown_once_and_acknowledged(prosody: Prosody, config: Config) -> None:
    """Drops what WhatsApp delivers again, also after a restart, and acknowledges it all the same."""
    whatsapp = FakeWhatsApp(linked=True)
    async with logged_in(prosody, "alice", "pw") as alice:
        for turn in range(2):
            async with running_shard(config, whatsapp):
                await whatsapp.until(lambda: whatsapp.running)
                token = whatsapp.say(text("A1", "once"))
                await whatsapp.until(lambda token=token: token in whatsapp.acknowledged)  # type: ignore[misc]
                whatsapp.say(text(f"B{turn}", f"turn {turn}"))
                await alice.message(lambda m, turn=turn: m["body"] == f"turn {turn}")  # type: ignore[misc]
        assert ["once", "turn 0", "turn 1"] == alice.bodies(BOB_JID)


async def test_chats_do_not_wait_for_each_other(prosody: Prosody, config: Config) -> None:
    """Sends to one contact while another's message hangs, and keeps the order within each chat."""
    whatsapp = FakeWhatsApp(linked=True)
    async with logged_in(prosody, "alice", "pw") as alice, running_shard(config, whatsapp):
        gate = whatsapp.hold(BOB.number or "")
        for number in range(3):
            alice.say(BOB_JID, f"bob {number}")
            alice.say(CAROL_JID, f"carol {number}")
        await whatsapp.until(lambda: len(whatsapp.texts()) == 3)
        assert [(CAROL.number, f"carol {number}") for number in range(3)] == whatsapp.texts()
        gate.set()
        await whatsapp.until(lambda: len(whatsapp.texts()) == 6)
        assert [(BOB.number, f"bob {number}") for number in range(3)] == whatsapp.texts()[3:]


async def test_messages_wait_while_whatsapp_is_away(prosody: Prosody, config: Config) -> None:
    """Keeps messages until the connection is back, and sends each once, in order."""
    whatsapp = FakeWhatsApp(linked=True)
    async with logged_in(prosody, "alice", "pw") as alice, running_shard(config, whatsapp) as shard:
        await whatsapp.until(lambda: whatsapp.running)
        whatsapp.lose()
        await until(lambda: shard.shard.linking.machine.reason is Reason.CONNECTION_LOST)
        for number in range(3):
            alice.say(BOB_JID, str(number))
        await until(lambda: waiting(shard, 3))
        assert [] == whatsapp.texts()
        whatsapp.connect()
        await whatsapp.until(lambda: len(whatsapp.texts()) == 3)
        assert [(BOB.number, str(number)) for number in range(3)] == whatsapp.texts()


async def test_a_send_without_an_answer_is_repeated_once(
    prosody: Prosody, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sends again after one silence, tells the sender after a second one, and goes on with the next message."""
    monkeypatch.setattr(outgoing, "pause", lambda _: 0.01)
    whatsapp = FakeWhatsApp(linked=True)
    whatsapp.answers["send"].extend([port.SendUncertain(), None, port.SendUncertain(), port.SendUncertain()])
    async with logged_in(prosody, "alice", "pw") as alice, running_shard(config, whatsapp) as shard:
        alice.say(BOB_JID, "one")
        await whatsapp.until(lambda: len(whatsapp.texts()) == 2)
        lost = alice.say(BOB_JID, "two")
        alice.say(BOB_JID, "three")
        error = await alice.message(lambda m: m["type"] == "error")
        assert (lost, BOB_JID) == (error["id"], error["from"].bare)
        await whatsapp.until(lambda: len(whatsapp.texts()) == 5)
        assert ["one", "one", "two", "two", "three"] == [body for _, body in whatsapp.texts()]
        assert 3 == shard.account.counters.uncertain


async def test_a_repeat_keeps_its_id_where_the_driver_can(
    prosody: Prosody, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gives a repeated message the id of the first try, so that WhatsApp itself drops a second one."""
    monkeypatch.setattr(outgoing, "pause", lambda _: 0.01)
    whatsapp = FakeWhatsApp(linked=True, chosen_message_id=True)
    whatsapp.answers["send"].extend([port.SendUncertain(), port.SendUncertain(), port.SendUncertain(), None])
    async with logged_in(prosody, "alice", "pw") as alice, running_shard(config, whatsapp):
        alice.say(BOB_JID, "one")
        await whatsapp.until(lambda: len(whatsapp.texts()) == 4)
        ids = {message_id for _, _, message_id in whatsapp.called("send")}
        assert 1 == len(ids)
        assert ids.isdisjoint({None})


async def test_a_send_that_met_no_connection_is_no_try(prosody: Prosody, config: Config) -> None:
    """Repeats as often as the connection breaks before anything went out."""
    whatsapp = FakeWhatsApp(linked=True)
    whatsapp.answers["send"].extend([port.NotConnected()] * 3)
    async with logged_in(prosody, "alice", "pw") as alice, running_shard(config, whatsapp) as shard:
        alice.say(BOB_JID, "one")
        await whatsapp.until(lambda: len(whatsapp.texts()) == 4)
        await until(lambda: shard.account.counters.sent == 1)
        assert 0 == shard.account.counters.uncertain


async def test_what_whatsapp_refuses_is_told(prosody: Prosody, config: Config) -> None:
    """Gives the sender an error with WhatsApp's reason in words, and goes on with the next message."""
    whatsapp = FakeWhatsApp(linked=True)
    whatsapp.answers["send"].append(port.NotOnWhatsApp("Nobody has this number."))
    async with logged_in(prosody, "alice", "pw") as alice, running_shard(config, whatsapp):
        stanza_id = alice.say(BOB_JID, "one")
        alice.say(BOB_JID, "two")
        error = await alice.message(lambda m: m["type"] == "error")
        assert stanza_id == error["id"]
        assert ["Nobody has this number."] == [found.text for found in error.xml.iter(STANZA_TEXT)]
        await whatsapp.until(lambda: [body for _, body in whatsapp.texts()] == ["one", "two"])


async def test_new_contacts_blocked_by_whatsapp_changes_the_state(prosody: Prosody, config: Config) -> None:
    """Tells the sender and shows the state when WhatsApp lets no new conversations begin."""
    whatsapp = FakeWhatsApp(linked=True)
    whatsapp.answers["send"].append(port.NewContactsBlocked("Not now."))
    async with logged_in(prosody, "alice", "pw") as alice, running_shard(config, whatsapp):
        alice.say(BOB_JID, "one")
        await alice.message(lambda m: m["type"] == "error")
        await alice.message(lambda m: m["body"] == TABLE[Reason.NEW_CONTACTS_BLOCKED].sentence)
        alice.say(CAROL_JID, "two")
        await whatsapp.until(lambda: len(whatsapp.texts()) == 2)


async def test_too_many_new_contacts_are_told(prosody: Prosody, config: Config) -> None:
    """Refuses a conversation beyond the limit with its sentence, and lets the ones that exist go on, also later."""
    config = replace(config, limits=Limits(contacts_per_hour=1, contacts_per_day=1))
    whatsapp = FakeWhatsApp(linked=True)
    async with logged_in(prosody, "alice", "pw") as alice:
        async with running_shard(config, whatsapp):
            alice.say(BOB_JID, "one")
            await whatsapp.until(lambda: len(whatsapp.texts()) == 1)
            stanza_id = alice.say(CAROL_JID, "two")
            error = await alice.message(lambda m: m["type"] == "error")
            assert stanza_id == error["id"]
            assert ["To protect your number"] == [(found.text or "")[:22] for found in error.xml.iter(STANZA_TEXT)]
        async with running_shard(config, whatsapp):
            alice.say(CAROL_JID, "three")
            await alice.until(lambda: len([m for m in alice.messages if m["type"] == "error"]) == 2)
            alice.say(BOB_JID, "four")
            await whatsapp.until(lambda: len(whatsapp.texts()) == 2)
            whatsapp.say(text("A1", "carol writes first", chat=CAROL))
            await alice.message(lambda m: m["body"] == "carol writes first")
            alice.say(CAROL_JID, "five")
            await whatsapp.until(lambda: len(whatsapp.texts()) == 3)
        assert ["one", "four", "five"] == [body for _, body in whatsapp.texts()]


async def test_messages_without_a_link_are_refused(prosody: Prosody, config: Config) -> None:
    """Tells at once that there is no link, instead of keeping messages for one that may never come."""
    whatsapp = FakeWhatsApp()
    async with logged_in(prosody, "alice", "pw") as alice, running_shard(config, whatsapp):
        await whatsapp.until(lambda: whatsapp.running, "the driver")  # it knows that she is there
        alice.say(BOB_JID, "anybody there?")
        error = await alice.message(lambda m: m["type"] == "error")
        assert "registration-required" == error["error"]["condition"]
        assert [TABLE[Reason.WAITING_FOR_SCAN].sentence] == [found.text for found in error.xml.iter(STANZA_TEXT)]


async def test_a_cut_off_send_is_repeated_once(prosody: Prosody, config: Config) -> None:
    """Sends a message again whose send was cut off by a crash, and gives up on the second crash with an error."""
    whatsapp = FakeWhatsApp(linked=True)
    async with logged_in(prosody, "alice", "pw") as alice:
        stanza_id = ""
        for _ in range(2):
            whatsapp.hold(BOB.number or "")
            async with running_shard(config, whatsapp) as shard:
                stanza_id = stanza_id or alice.say(BOB_JID, "cut off")
                await until(lambda: whatsapp.live is not None and whatsapp.live.sending == {BOB.number})
                shard.crash()
            whatsapp.live = None
        async with running_shard(config, whatsapp):
            error = await alice.message(lambda m: m["type"] == "error")
            assert stanza_id == error["id"]
            assert [UNKNOWN_FATE] == [found.text for found in error.xml.iter(STANZA_TEXT)]
        assert [] == whatsapp.texts()


async def test_a_fault_of_ours_is_shown_as_a_notice(
    prosody: Prosody, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shows a line in the chat when an event cannot be rendered, counts it, and goes on with the next."""
    real = pipeline.from_whatsapp

    def faulty(event: port.Event, ctx: object) -> object:
        if isinstance(event, port.Message) and event.id == "BAD":
            raise LookupError("a fault of ours")
        return real(event, ctx)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "from_whatsapp", faulty)
    whatsapp = FakeWhatsApp(linked=True)
    async with logged_in(prosody, "alice", "pw") as alice, running_shard(config, whatsapp) as shard:
        await whatsapp.until(lambda: whatsapp.running)
        token = whatsapp.say(text("BAD", "secret words"))
        whatsapp.say(text("A2", "fine"))
        await alice.message(lambda m: m["body"] == "fine")
        assert [UNSENDABLE, "fine"] == alice.bodies(BOB_JID)
        assert token in whatsapp.acknowledged
        (line,) = shard.events("event_failed")
        assert ("LookupError", "Message") == (line["error"], line["kind"])
        assert 1 == shard.account.counters.lost
        assert "secret" not in shard.out.getvalue()


async def test_a_fault_in_a_message_of_the_owner_is_answered(
    prosody: Prosody, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers with an error what a fault of ours makes impossible to send, and the stream stays up."""

    def faulty(stanza: object, ctx: object) -> object:
        raise LookupError("a fault of ours")

    whatsapp = FakeWhatsApp(linked=True)
    async with logged_in(prosody, "alice", "pw") as alice, running_shard(config, whatsapp) as shard:
        await whatsapp.until(lambda: whatsapp.running)
        monkeypatch.setattr(pipeline, "from_xmpp", faulty)
        stanza_id = alice.say(BOB_JID, "one")
        error = await alice.message(lambda m: m["type"] == "error")
        assert (stanza_id, "internal-server-error") == (error["id"], error["error"]["condition"])
        with pytest.raises(IqError) as refused:
            await alice.make_iq_get("http://jabber.org/protocol/disco#info", BOB_JID).send(timeout=10)  # type: ignore[no-untyped-call]  # slixmpp's
        assert "internal-server-error" == refused.value.condition
        assert shard.shard.stream.session is not None


async def test_what_comes_while_the_xmpp_server_is_away_is_kept(prosody: Prosody, config: Config) -> None:
    """Keeps WhatsApp's messages through a kill -9 of Prosody and brings them in order, each once."""
    whatsapp = FakeWhatsApp(linked=True)
    async with running_shard(config, whatsapp) as shard:
        async with logged_in(prosody, "alice", "pw") as alice:
            await whatsapp.until(lambda: whatsapp.running)
            whatsapp.say(text("A0", "0"))
            await alice.message(lambda m: m["body"] == "0")
        await prosody.kill()
        tokens = [whatsapp.say(text(f"A{number}", str(number))) for number in range(1, 20)]
        await whatsapp.until(lambda: set(tokens) <= whatsapp.acknowledged)
        await prosody.start()
        async with logged_in(prosody, "alice", "pw") as alice:
            await alice.message(lambda m: m["body"] == "19")
            assert [str(number) for number in range(1, 20)] == [b for b in alice.bodies(BOB_JID) if b != "0"]
        await until(lambda: shard.shard.stream.uncovered == 0)


async def test_a_fresh_store_numbers_on(prosody: Prosody, tmp_path: Path) -> None:
    """Is not taken for a repeat by the server after the store was lost."""
    whatsapp = FakeWhatsApp(linked=True)
    async with logged_in(prosody, "alice", "pw") as alice:
        for epoch in (1, 2):
            config = config_for(prosody, NOWHERE, tmp_path / str(epoch), epoch=epoch)
            async with running_shard(config, whatsapp):
                await whatsapp.until(lambda: whatsapp.running)
                whatsapp.say(text("A1", f"store {epoch}"))
                await alice.message(lambda m, epoch=epoch: m["body"] == f"store {epoch}")  # type: ignore[misc]


async def test_the_owners_presence_reaches_whatsapp(prosody: Prosody, config: Config) -> None:
    """Shows the owner as online while a client is in front, and as away when it goes."""
    whatsapp = FakeWhatsApp(linked=True)
    async with running_shard(config, whatsapp):
        async with logged_in(prosody, "alice", "pw"):
            await whatsapp.until(lambda: (True,) in whatsapp.called("presence"))
        await whatsapp.until(lambda: whatsapp.called("presence")[-1] == (False,))
