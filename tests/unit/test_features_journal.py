"""The features over the real journal: what their dialogues assume of the books is what the store does."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from ponton_bridge.features import pipeline
from ponton_bridge.features.context import Context, Keep, Live, MarkRead, Reply, Send
from ponton_bridge.model.address import Address
from ponton_bridge.store.journal import Journal
from ponton_bridge.store.opening import open_store
from ponton_bridge.whatsapp import port
from ponton_bridge.whatsapp.port import Contact, Contacts, Edit, ReceiptKind, Text
from tests.unit.dialogue import ANA, BOB, DOMAIN, FAMILY, HIDDEN, ME, NOW, OWNER, from_ana, parse, xml

ANA_JID = "+447700900123@wa.example.test"
CHAT = f"<message from='{OWNER}/phone' to='{ANA_JID}' type='chat' id="


class Shard:
    """As much of a shard as turns events and stanzas into stanzas and intents, over a journal on disk."""

    def __init__(self, journal: Journal) -> None:
        self.journal, self.live, self.numbers = journal, Live(), count(1)

    @property
    def context(self) -> Context:
        """A context of this moment."""
        fresh = f"r{next(self.numbers)}"
        return Context(OWNER, DOMAIN, NOW, self.journal, self.journal, lambda: fresh, self.live)

    def hears(self, event: port.Event) -> list[str]:
        """Let WhatsApp say something."""
        done = pipeline.from_whatsapp(event, self.context)
        pipeline.keep(done, self.journal)
        return [xml(stanza) for stanza in (*done.durable, *done.transient)]

    def says(self, stanza: str) -> list[object]:
        """Let the owner say something."""
        intents = pipeline.from_xmpp(parse(stanza), self.context)
        for intent in intents:
            if isinstance(intent, Keep):
                self.journal.save_contact(*intent.contact)
            if isinstance(intent, MarkRead):
                self.journal.mark_read(intent.pairs)
        return [xml(i.element) if isinstance(i, Reply) else i for i in intents]

    def sends(self, stanza: str, id_: str) -> None:
        """Let WhatsApp take a message."""
        pipeline.keep(pipeline.sent(parse(stanza), port.Sent(id_, NOW), self.context), self.journal)


@pytest.fixture
def shard(tmp_path: Path) -> Iterator[Shard]:
    """Features over an empty store."""
    journal = open_store(tmp_path, 1)
    yield Shard(journal)
    journal.close()


def test_conversation_over_the_store(shard: Shard) -> None:
    """Text in, marker back, text out, tick back, edit: every id is found again."""
    shard.hears(from_ana("3EB001", Text("hi"), push_name="Ana"))
    shard.hears(from_ana("3EB002", Text("there"), push_name="Ana"))
    [read] = shard.says(f"{CHAT}'x'><displayed xmlns='urn:xmpp:chat-markers:0' id='3EB002'/></message>")
    assert isinstance(read, MarkRead)
    assert (("3EB001", "3EB002"), "1001") == (read.ids, read.sender.lid)
    assert [] == shard.says(f"{CHAT}'x'><displayed xmlns='urn:xmpp:chat-markers:0' id='3EB002'/></message>")
    shard.sends(f"{CHAT}'m1'><body>helo</body></message>", "3EB0AA")
    [tick] = shard.hears(port.Receipt(ANA, ANA, ("3EB0AA",), ReceiptKind.DELIVERED, NOW))
    assert 'id="m1"' in tick
    [send, _] = shard.says(
        f"{CHAT}'m2'><body>hello</body><replace xmlns='urn:xmpp:message-correct:0' id='m1'/></message>"
    )
    assert isinstance(send, Send)
    assert Edit("3EB0AA", "hello") == send.content
    [edited] = shard.hears(from_ana("3EB003", Edit("3EB001", "hello"), push_name="Ana"))
    assert '<replace xmlns="urn:xmpp:message-correct:0" id="3EB001">' in edited


def test_echo_and_reading_on_the_phone_over_the_store(shard: Shard) -> None:
    """What the phone wrote is not sent again, what it read is not read again."""
    shard.hears(port.Message("3A01", ANA, ME, Text("from the phone"), NOW, from_me=True))
    assert [] == shard.says(f"<message from='{OWNER}' to='{ANA_JID}' id='3A01'><body>from the phone</body></message>")
    shard.hears(from_ana("3EB001", Text("hi")))
    seen = port.Receipt(ANA, ME, ("3EB001",), ReceiptKind.READ, NOW, from_me=True)
    assert ["<message"] == [each[:8] for each in shard.hears(seen)]
    assert [] == shard.hears(seen)


def test_people_over_the_store(shard: Shard) -> None:
    """A hidden contact gets its number: the roster's JID changes and the pairs under the LID stay."""
    shard.hears(from_ana("3EB001", Text("hi"), chat=HIDDEN, sender=HIDDEN, push_name="Q"))
    whole = Address(number="4915112345678", lid=HIDDEN.lid)
    heard = shard.hears(port.Presence(whole, available=True))
    assert ["lid-5005@wa.example.test", "+4915112345678@wa.example.test"] == [
        parse(each)[0][0].get("jid") for each in heard if each.startswith("<iq")
    ]
    assert [(whole, "", "Q")] == shard.journal.contacts()
    again = shard.hears(port.Presence(whole, available=True))
    assert [] == [each for each in again if each.startswith("<iq")]


def test_number_first_and_lid_later_over_the_store(shard: Shard) -> None:
    """A message sent to a bare number is found when its receipt names the LID, and the contact stays one."""
    number = Address(number=ANA.number)
    shard.journal.save_contact(number, "Ana A.", "")
    shard.sends(f"{CHAT}'m1'><body>x</body></message>", "3EB0AA")
    [tick] = shard.hears(port.Receipt(ANA, ANA, ("3EB0AA",), ReceiptKind.READ, NOW))
    assert '<displayed xmlns="urn:xmpp:chat-markers:0" id="m1">' in tick
    assert [(ANA, "Ana A.", "")] == shard.journal.contacts()


def test_address_book_over_the_store(shard: Shard) -> None:
    """New, renamed and gone contacts are pushed once each; group names are kept apart."""
    group = Contact(FAMILY, "Family")
    assert 2 == len(shard.hears(Contacts((Contact(ANA, "Ana A."), group), complete=True)))
    assert [] == shard.hears(Contacts((Contact(ANA, "Ana A."), group), complete=True))
    assert 3 == len(shard.hears(Contacts((Contact(ANA, "Ana B."), Contact(BOB, "Bob")), complete=True)))
    [removed] = shard.hears(Contacts((Contact(BOB, "Bob"),), complete=True))
    assert 'subscription="remove"' in removed
    [line] = shard.hears(port.Message("3EB001", FAMILY, ANA, Text("hi"), NOW, push_name="Ana"))
    assert "Ana wrote in the group “Family”: hi" in line
