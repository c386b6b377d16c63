"""Receipts, read marks and typing, as dialogues."""

import pytest

from ponton_bridge.features.context import MarkRead, Send, SetTyping, Subscribe
from ponton_bridge.model.address import Address
from ponton_bridge.whatsapp import port
from ponton_bridge.whatsapp.port import Receipt, ReceiptKind, Text, TypingState
from tests.unit.dialogue import ANA, BOB, DOMAIN, FAMILY, ME, NOW, OWNER, Dialogue, from_ana, xml

ANA_JID = "+447700900123@wa.example.test"
CHAT = f"<message from='{OWNER}/phone' to='{ANA_JID}' type='chat' id="


def receipt(kind: ReceiptKind, *ids: str, chat: Address = ANA, reader: Address = ANA, from_me: bool = False) -> Receipt:
    """A receipt of this moment."""
    return Receipt(chat, reader, ids, kind, NOW, from_me)


def note(element: str, number: int = 1) -> str:
    """A message of Ana's that holds nothing but a receipt or a marker."""
    return xml(
        f"<message type='chat' from='{ANA_JID}/whatsapp' to='alice@example.test' id='r{number}'>{element}</message>"
    )


@pytest.fixture
def bridge() -> Dialogue:
    """A dialogue in which the owner has sent m1 and m2, and Ana has answered 3EB011 and 3EB012."""
    dialogue = Dialogue().knows(ANA, BOB)
    for number in (1, 2):
        dialogue.now = NOW - 10 + number
        dialogue.sends(f"{CHAT}'m{number}'><body>x</body></message>", f"3EB00{number}")
    dialogue.hears(from_ana("3EB011", Text("a")))
    dialogue.hears(from_ana("3EB012", Text("b")))
    return dialogue


def test_delivered_tick_is_a_receipt_each(bridge: Dialogue) -> None:
    """Each message of the owner that reached the contact is receipted by its own stanza id."""
    assert [
        note("<received xmlns='urn:xmpp:receipts' id='m1'/>", 1),
        note("<received xmlns='urn:xmpp:receipts' id='m2'/>", 2),
    ] == bridge.hears(receipt(ReceiptKind.DELIVERED, "3EB001", "3EB002"))


@pytest.mark.parametrize("kind", [ReceiptKind.READ, ReceiptKind.PLAYED])
def test_read_tick_is_one_marker(bridge: Dialogue, kind: ReceiptKind) -> None:
    """A read receipt for several messages is one displayed marker for the newest, in whatever order they are named."""
    expected = [note("<displayed xmlns='urn:xmpp:chat-markers:0' id='m2'/>")]
    assert expected == bridge.hears(receipt(kind, "3EB002", "3EB001"))


def test_receipt_for_the_unknown_is_nothing(bridge: Dialogue) -> None:
    """Receipts for messages that the bridge never saw, or that the owner did not write, say nothing to the owner."""
    for kind in ReceiptKind:
        assert [] == bridge.hears(receipt(kind, "3EB0FF", "3EB011"))
        assert [] == bridge.hears(receipt(kind, chat=ANA))


def test_receipt_under_the_number_finds_the_message(bridge: Dialogue) -> None:
    """A receipt that names the contact by number only is for the same conversation."""
    number = Address(number=ANA.number)
    [stanza] = bridge.hears(receipt(ReceiptKind.DELIVERED, "3EB001", chat=number, reader=number))
    assert 'id="m1"' in stanza


def test_receipt_that_brings_the_lid_finds_the_message() -> None:
    """A message sent to a bare number is found when its receipt is the first to name the LID."""
    bridge = Dialogue()
    bridge.sends(f"{CHAT}'m1'><body>x</body></message>", "3EB001")
    [stanza] = bridge.hears(receipt(ReceiptKind.DELIVERED, "3EB001"))
    assert "<received" in stanza


def test_marker_becomes_one_read_receipt(bridge: Dialogue) -> None:
    """One displayed marker after several messages is one receipt with all their ids, oldest first."""
    marker = f"{CHAT}'x'><displayed xmlns='urn:xmpp:chat-markers:0' id='3EB012'/></message>"
    [intent] = bridge.says(marker)
    assert isinstance(intent, MarkRead)
    assert (ANA.lid, ("3EB011", "3EB012")) == (intent.sender.lid, intent.ids)
    assert ["3EB011", "3EB012"] == [pair.xmpp for pair in intent.pairs]
    assert [] == bridge.says(marker)


def test_marker_in_a_group_is_one_receipt_per_sender() -> None:
    """Readers of a group's lines tell each sender once."""
    bridge = Dialogue().knows(ANA, BOB)
    for id_, sender in (("3EB01", ANA), ("3EB02", BOB), ("3EB03", ANA)):
        bridge.hears(port.Message(id_, FAMILY, sender, Text("hi"), NOW))
    intents = bridge.says(
        f"<message from='{OWNER}' to='{FAMILY.group}@{DOMAIN}'><displayed xmlns='urn:xmpp:chat-markers:0' id='3EB03'/>"
        "</message>"
    )
    assert {("1001@lid", ("3EB01", "3EB03")), ("1002@lid", ("3EB02",))} == {
        (intent.sender.key, intent.ids) for intent in intents if isinstance(intent, MarkRead)
    }


@pytest.mark.parametrize("id_", ["nobody", "m1", ""])
def test_marker_for_the_unknown_reads_nothing_new(bridge: Dialogue, id_: str) -> None:
    """A marker for an id that WhatsApp did not issue sends no receipt for it (peer defect 7)."""
    intents = bridge.says(f"{CHAT}'x'><displayed xmlns='urn:xmpp:chat-markers:0' id='{id_}'/></message>")
    assert [] == [i for i in intents if isinstance(i, MarkRead) and not set(i.ids) <= {"3EB011", "3EB012"}]


def test_words_beside_a_marker_are_sent(bridge: Dialogue) -> None:
    """A client that writes and marks in one stanza loses no words; the next marker says the same."""
    intents = bridge.says(
        f"{CHAT}'x'><body>hi</body><displayed xmlns='urn:xmpp:chat-markers:0' id='3EB011'/></message>"
    )
    assert [Text("hi")] == [intent.content for intent in intents if isinstance(intent, Send)]


def test_own_receipts_of_clients_are_not_carried(bridge: Dialogue) -> None:
    """WhatsApp hears of delivery from the link itself."""
    assert [] == bridge.says(f"{CHAT}'x'><received xmlns='urn:xmpp:receipts' id='3EB011'/></message>")


def test_read_on_the_phone_is_read_in_the_clients(bridge: Dialogue) -> None:
    """What the owner read on the phone is marked as displayed in the owner's name, and never read again by a client."""
    expected = xml(f"""
        <message from='wa.example.test' to='example.test' id='r2'><privilege xmlns='urn:xmpp:privilege:2'>
          <forwarded xmlns='urn:xmpp:forward:0'>
            <message xmlns='jabber:client' from='alice@example.test' to='{ANA_JID}' type='chat' id='r1'>
              <displayed xmlns='urn:xmpp:chat-markers:0' id='3EB012'/>
            </message></forwarded></privilege></message>""")
    seen = receipt(ReceiptKind.READ, "3EB011", "3EB012", reader=ME, from_me=True)
    assert [expected] == bridge.hears(seen)
    assert [] == bridge.hears(seen)
    echo = "<displayed xmlns='urn:xmpp:chat-markers:0' id='3EB012'/>"
    assert [] == bridge.says(f"<message from='{OWNER}' to='{ANA_JID}' id='r1'>{echo}</message>")


def test_delivered_to_the_phone_says_nothing(bridge: Dialogue) -> None:
    """The own phone's receipt of delivery is no news."""
    assert [] == bridge.hears(receipt(ReceiptKind.DELIVERED, "3EB011", reader=ME, from_me=True))


def test_members_ticks_are_not_shown(bridge: Dialogue) -> None:
    """Receipts of a group's members have no place to be shown yet."""
    bridge.hears(port.Message("3A01", FAMILY, ME, Text("hi"), NOW, from_me=True))
    assert [] == bridge.hears(receipt(ReceiptKind.READ, "3A01", chat=FAMILY))


# ---- typing ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        (TypingState.COMPOSING, "composing"),
        (TypingState.RECORDING, "composing"),
        (TypingState.PAUSED, "paused"),
    ],
)
def test_contact_is_shown_writing(state: TypingState, shown: str) -> None:
    """Writing and recording are composing, the end of it is paused; none of it is archived."""
    assert [
        note(f"<{shown} xmlns='http://jabber.org/protocol/chatstates'/><no-store xmlns='urn:xmpp:hints'/>")
    ] == Dialogue().knows(ANA).hears(port.Typing(ANA, ANA, state))


def test_writing_in_a_group_is_not_shown() -> None:
    """There is no room yet in which a member could be shown as writing."""
    assert [] == Dialogue().knows(ANA).hears(port.Typing(FAMILY, ANA, TypingState.COMPOSING))


@pytest.mark.parametrize(
    ("state", "meant", "opened"),
    [
        ("composing", TypingState.COMPOSING, True),
        ("paused", TypingState.PAUSED, False),
        ("active", TypingState.PAUSED, True),
        ("inactive", TypingState.PAUSED, False),
        ("gone", TypingState.PAUSED, False),
    ],
)
def test_owner_is_shown_writing(state: str, meant: TypingState, *, opened: bool) -> None:
    """Chat states go to WhatsApp; a chat that is being looked at asks for the contact's presence too."""
    given = Dialogue().knows(ANA).says(f"{CHAT}'x'><{state} xmlns='http://jabber.org/protocol/chatstates'/></message>")
    assert [SetTyping(ANA, meant), *([Subscribe(ANA)] if opened else [])] == given
