"""What has no carriage yet is one line that says what it was and from whom."""

import pytest

from ponton_bridge.features import notices
from ponton_bridge.model.address import Address
from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp import port
from ponton_bridge.whatsapp.port import Edit, Location, Other, OtherKind, Reaction, Revoke, Text
from tests.unit.dialogue import ANA, FAMILY, MARKABLE, NOW, REQUEST, Dialogue, from_ana, told

ANA_JID = "+447700900123@wa.example.test"
GROUP_JID = "120363001122334455@wa.example.test"
NICK = "<nick xmlns='http://jabber.org/protocol/nick'>Ana</nick>"


@pytest.fixture
def bridge() -> Dialogue:
    """A dialogue with Ana, a contact, and the group Family."""
    dialogue = Dialogue().knows(ANA, name="Ana")
    dialogue.hears(port.Contacts((port.Contact(FAMILY, "Family"),)))
    return dialogue


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (Other(OtherKind.IMAGE), "[sent a photo: look at your phone]"),
        (Other(OtherKind.IMAGE, "the sea"), "[sent a photo: look at your phone] the sea"),
        (Other(OtherKind.VOICE), "[sent a voice message: look at your phone]"),
        (Other(OtherKind.DOCUMENT, "plan.pdf"), "[sent a file: look at your phone] plan.pdf"),
        (Other(OtherKind.POLL, "Lunch? fish / meat"), "[started a poll: look at your phone] Lunch? fish / meat"),
        (Other(OtherKind.VIEW_ONCE), "[sent something that can be viewed once: look at your phone]"),
        (Other(OtherKind.BUSINESS, "Your code is 1234"), "Your code is 1234"),
        (Other(OtherKind.BUSINESS), "[sent a business message]"),
        (Other(OtherKind.UNKNOWN), "[sent something that this bridge does not know: look at your phone]"),
        (Location(51.5, -0.125), "geo:51.5,-0.125"),
        (Location(-33.0, -70.6666666), "geo:-33,-70.666667"),
        (Location(0.0, -0.00000001), "geo:0,0"),
        (Location(48.1, 11.5, "Munich"), "Munich\ngeo:48.1,11.5"),
        (
            Location(48.1, 11.5, live=True),
            "[shares where they are; this is the first place only]\ngeo:48.1,11.5",
        ),
        (Location(float("nan"), 11.5, "Nowhere"), "[sent a place: look at your phone] Nowhere"),
        (Location(91, 11.5), "[sent a place: look at your phone]"),
    ],
    ids=repr,
)
def test_message_without_carriage_is_a_line(bridge: Dialogue, content: port.Content, line: str) -> None:
    """It comes from the contact under WhatsApp's id, so that it can be marked as read."""
    expected = [told(ANA_JID, line, "3EB001", REQUEST, MARKABLE, NICK)]
    assert expected == bridge.hears(from_ana("3EB001", content))


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (Edit("3EB0GONE", "hello"), "[corrected a message] hello"),
        (Revoke("3EB000"), "[deleted a message]"),
        (Reaction("3EB000", "👍"), "[reacted to a message] 👍"),
        (Reaction("3EB000", ""), "[took back a reaction]"),
        (Other(OtherKind.PIN), "[pinned or unpinned a message: look at your phone]"),
        (Other(OtherKind.TIMER, "1 day"), "[changed the timer for disappearing messages] 1 day"),
        (Other(OtherKind.POLL_VOTE), "[voted in a poll: look at your phone]"),
    ],
    ids=repr,
)
def test_act_upon_a_message_is_a_line_that_is_not_read(bridge: Dialogue, content: port.Content, line: str) -> None:
    """WhatsApp expects no read receipt for it, so nothing asks for one; its id is not the message's."""
    assert [told(ANA_JID, line, "told-3EB001")] == bridge.hears(from_ana("3EB001", content))
    assert [] == bridge.books.pairs


@pytest.mark.parametrize("kind", OtherKind)
def test_every_kind_has_a_line_or_a_reason_for_none(bridge: Dialogue, kind: OtherKind) -> None:
    """No kind of content vanishes, except those that are left out on purpose."""
    heard = bridge.hears(from_ana("3EB001", Other(kind)))
    assert (kind in notices.SILENT) == (heard == [])


def test_unreadable_message_is_told_once_it_is_final(bridge: Dialogue) -> None:
    """While a retry may still bring it, nothing is said; the line has its own id, as the message may still come."""
    assert [] == bridge.hears(port.Undecryptable("3EB001", ANA, ANA, NOW))
    line = "[sent something that could not be read: look at your phone]"
    assert [told(ANA_JID, line, "told-3EB001")] == bridge.hears(port.Undecryptable("3EB001", ANA, ANA, NOW, final=True))
    assert 'id="3EB001"' in bridge.hears(from_ana("3EB001", Text("here it is")))[0]


@pytest.mark.parametrize(("video", "word"), [(False, "voice"), (True, "video")])
def test_call_is_told_in_the_callers_chat(bridge: Dialogue, word: str, *, video: bool) -> None:
    """A call is one line when it begins, and none when it ends."""
    call = port.Call("C1", ANA, NOW, video=video)
    line = f"[calls you ({word} call): pick up on your phone]"
    assert [told(ANA_JID, line, "told-C1")] == bridge.hears(call)
    assert [] == bridge.hears(port.Call("C1", ANA, NOW, ended=True, video=video))


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (Text("hi all"), "Ana wrote in the group “Family”: hi all"),
        (Other(OtherKind.IMAGE, "us"), "Ana in the group “Family”: [sent a photo: look at your phone] us"),
        (Location(1, 2), "Ana wrote in the group “Family”: geo:1,2"),
    ],
    ids=repr,
)
def test_group_message_names_group_and_author(bridge: Dialogue, content: port.Content, line: str) -> None:
    """A group's message comes as a line in a chat of the group; it can be read, and its name stays the group's."""
    heard = bridge.hears(port.Message("3EB001", FAMILY, ANA, content, NOW))
    assert [told(GROUP_JID, line, "3EB001", REQUEST, MARKABLE)] == heard


def test_stranger_in_a_nameless_group(bridge: Dialogue) -> None:
    """Members are no contacts: they get no roster entry, and show as they call themselves, else by number."""
    bridge.books.settings.clear()
    stranger = Address(number="4915112345678")
    heard = bridge.hears(port.Message("3EB001", FAMILY, stranger, Text("hi"), NOW, push_name="Kim"))
    assert [told(GROUP_JID, "Kim wrote in a group: hi", "3EB001", REQUEST, MARKABLE)] == heard
    [line] = bridge.hears(port.Message("3EB002", FAMILY, stranger, Text("hi"), NOW))
    assert "+4915112345678 wrote in a group: hi" in line


def test_group_acts_and_unreadable_messages_name_the_author(bridge: Dialogue) -> None:
    """Reactions and unreadable messages in a group say who, too."""
    expected = told(GROUP_JID, "Ana in the group “Family”: [reacted to a message] 👍", "told-3EB001")
    assert [expected] == bridge.hears(port.Message("3EB001", FAMILY, ANA, Reaction("3EB000", "👍"), NOW))
    [line] = bridge.hears(port.Undecryptable("3EB002", FAMILY, ANA, NOW, final=True))
    assert "Ana in the group “Family”: [sent something that could not be read" in line


def test_silent_kinds_in_groups(bridge: Dialogue) -> None:
    """What is left out is left out in groups as well."""
    assert [] == bridge.hears(port.Message("3EB001", FAMILY, ANA, Other(OtherKind.STATUS, "x"), NOW))


@pytest.mark.parametrize(
    "event",
    [
        port.Code(port.CodeKind.QR, "2@x", 60),
        port.Paired(ANA),
        port.PairingFailed(Reason.CODES_USED_UP),
        port.Link(Reason.CONNECTED),
        port.Lost("events"),
    ],
    ids=lambda event: type(event).__name__,
)
def test_link_events_are_not_the_features(bridge: Dialogue, event: port.Event) -> None:
    """Linking and link states are told by the shard, not by a feature."""
    assert [] == bridge.hears(event)
