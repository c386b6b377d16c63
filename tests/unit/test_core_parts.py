"""The core driver's pure parts: events, answers of calls, codes, the feed, and which driver is chosen."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponton_bridge.core.message_ids import message_id
from ponton_bridge.model.address import Address
from ponton_bridge.model.errors import OwnerError
from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp import port
from ponton_bridge.whatsapp.core_driver import calls, events, place
from ponton_bridge.whatsapp.core_driver.codes import FIRST, NEXT, Codes
from ponton_bridge.whatsapp.core_driver.feed import FULL, Feed
from ponton_bridge.whatsapp.port import Link, Lost, Message, Other, OtherKind, Receipt, ReceiptKind, Text

ANA = Address(number="447700900123", lid="1001")
ME = Address(number="33612000000", lid="9")
GROUP = Address(group="120363001122334455")
FROM_ANA = {"Chat": "1001@lid", "Sender": "1001:3@lid", "SenderAlt": "447700900123:3@s.whatsapp.net"}
FROM_ME = {
    "Chat": "1001@lid",
    "Sender": "9:0@lid",
    "SenderAlt": "33612000000@s.whatsapp.net",
    "RecipientAlt": "447700900123@s.whatsapp.net",
    "IsFromMe": True,
}
IN_GROUP = FROM_ANA | {"Chat": "120363001122334455@g.us", "IsGroup": True}
MYSELF = {"ID": "33612000000:4@s.whatsapp.net", "LID": "9:4@lid", "PushName": "Me"}
NOW = 1_795_000_000


def read(kind: str, fields: dict[str, Any] | None = None) -> list[port.Event]:
    """Read an event of whatsmeow."""
    return events.read_event({"e": kind, "d": fields}, NOW)


def message(source: dict[str, Any], inner: dict[str, Any], **more: object) -> list[port.Event]:
    """Read a message."""
    info = source | {"ID": "3EB0", "Timestamp": NOW, "PushName": "Ana"}
    return read("Message", {"Info": info | more, "Message": inner})


@pytest.mark.parametrize(
    ("jid", "expected"),
    [
        ("447700900123:12@s.whatsapp.net", Address(number="447700900123")),
        ("447700900123.1:12@s.whatsapp.net", Address(number="447700900123")),
        ("1001:3@lid", Address(lid="1001")),
        ("1001@hosted.lid", Address(lid="1001")),
        ("120363001122334455@g.us", GROUP),
        ("status@broadcast", None),
        ("1@newsletter", None),
        ("s.whatsapp.net", None),
        ("٣@lid", None),
        ("", None),
        (None, None),
    ],
)
def test_jids(jid: object, expected: Address | None) -> None:
    """A device is left out; what is neither person nor group has no address."""
    assert expected == events.address(jid)


def test_messages() -> None:
    """Chat and sender are named by both addresses, in all directions."""
    text = {"conversation": "hi"}
    assert [Message("3EB0", ANA, ANA, Text("hi"), NOW, push_name="Ana")] == message(FROM_ANA, text)
    assert [Message("3EB0", ANA, ME, Text("hi"), NOW, from_me=True, push_name="Ana")] == message(FROM_ME, text)
    assert [Message("3EB0", GROUP, ANA, Text("hi"), NOW, push_name="Ana")] == message(IN_GROUP, text)


def test_what_is_no_message() -> None:
    """Keys, what devices say to each other, channels: nobody wrote that. A new sender key's first event is empty."""
    assert [] == message(IN_GROUP, {"senderKeyDistributionMessage": {"groupID": "g"}})
    assert [] == message(FROM_ME, {"conversation": "x"}, Category="peer")
    assert [] == message(FROM_ANA | {"Chat": "1@newsletter"}, {"conversation": "x"})
    assert [] == read("Message", {"Info": FROM_ANA})
    assert [Lost("message_without_sender")] == message({"Chat": "1001@lid"}, {"conversation": "x"})


def test_broadcasts() -> None:
    """A status is one whatever is in it; a list's message is in the chat with who sent it; our own has no one chat."""
    status = message(FROM_ANA | {"Chat": "status@broadcast"}, {"imageMessage": {"caption": "sea"}})
    assert [Message("3EB0", ANA, ANA, Other(OtherKind.STATUS), NOW, push_name="Ana")] == status
    to_list = FROM_ANA | {"Chat": "123456@broadcast"}
    assert [Message("3EB0", ANA, ANA, Text("all"), NOW, push_name="Ana")] == message(to_list, {"conversation": "all"})
    assert [] == message(FROM_ME | {"Chat": "123456@broadcast"}, {"conversation": "all"})


@pytest.mark.parametrize("mark", ["IsViewOnce", "IsViewOnceV2", "IsViewOnceV2Extension"])
def test_view_once(mark: str) -> None:
    """Whatsmeow takes the wrapper off and leaves a mark."""
    info = FROM_ANA | {"ID": "1", "Timestamp": NOW}
    [seen] = read("Message", {"Info": info, "Message": {"imageMessage": {}}, mark: True})
    assert isinstance(seen, Message)
    assert Other(OtherKind.VIEW_ONCE) == seen.content


def test_undecryptable() -> None:
    """Final only when no device has it; what WhatsApp hides is hidden, and our own is no news."""
    info = FROM_ANA | {"ID": "1", "Timestamp": NOW}
    assert [port.Undecryptable("1", ANA, ANA, NOW)] == read("UndecryptableMessage", {"Info": info})
    final = read("UndecryptableMessage", {"Info": info, "IsUnavailable": True})
    assert [port.Undecryptable("1", ANA, ANA, NOW, final=True)] == final
    assert [] == read("UndecryptableMessage", {"Info": info, "DecryptFailMode": "hide"})
    assert [] == read("UndecryptableMessage", {"Info": FROM_ME | {"ID": "1"}})


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        (None, (ReceiptKind.DELIVERED, False)),
        ("inactive", (ReceiptKind.DELIVERED, False)),
        ("read", (ReceiptKind.READ, False)),
        ("read-self", (ReceiptKind.READ, True)),
        ("played", (ReceiptKind.PLAYED, False)),
        ("played-self", (ReceiptKind.PLAYED, True)),
        ("sender", None),
        ("retry", None),
        ("peer_msg", None),
        ("hist_sync", None),
        ("server-error", None),
        ("view", None),
    ],
)
def test_receipts(type_: str | None, expected: tuple[ReceiptKind, bool] | None) -> None:
    """What a contact's devices say of our message; kinds that are younger than this table mean nothing."""
    heard = read(
        "Receipt", FROM_ANA | {"MessageIDs": ["1", "2"], "Timestamp": NOW} | ({"Type": type_} if type_ else {})
    )
    assert heard == ([Receipt(ANA, ANA, ("1", "2"), expected[0], NOW, expected[1])] if expected else [])


def test_our_own_deliveries_are_no_news() -> None:
    """That another own device has a message is nobody's tick; that it was read there is."""
    assert [] == read("Receipt", FROM_ME | {"MessageIDs": ["1"]})
    [heard] = read("Receipt", FROM_ME | {"MessageIDs": ["1"], "Type": "read"})
    assert isinstance(heard, Receipt)
    assert heard.from_me


def test_typing_and_presence() -> None:
    """States that WhatsApp may invent are a pause, never an error."""
    states = [
        ({"State": "composing"}, port.TypingState.COMPOSING),
        ({"State": "composing", "Media": "audio"}, port.TypingState.RECORDING),
        ({"State": "composing", "Media": "video"}, port.TypingState.COMPOSING),
        ({"State": "paused"}, port.TypingState.PAUSED),
        ({"State": "dancing"}, port.TypingState.PAUSED),
    ]
    for said, state in states:
        assert [port.Typing(ANA, ANA, state)] == read("ChatPresence", FROM_ANA | said)
    assert [] == read("ChatPresence", FROM_ME | {"State": "composing"})
    assert [port.Presence(Address(lid="1001"), available=True)] == read("Presence", {"From": "1001@lid"})
    gone = read("Presence", {"From": "1001@lid", "Unavailable": True, "LastSeen": NOW})
    assert [port.Presence(Address(lid="1001"), available=False, last_seen=NOW)] == gone
    assert [] == read("Presence", {})


def test_calls_are_told() -> None:
    """Begin and end, with the caller's addresses put together; video by what the offer holds."""
    meta = {
        "CallID": "C",
        "CallCreator": "1001:2@lid",
        "CallCreatorAlt": "447700900123@s.whatsapp.net",
        "Timestamp": NOW,
    }
    video = {"Data": {"Tag": "offer", "Content": [{"Tag": "audio"}, {"Tag": "video"}]}}
    assert [port.Call("C", ANA, NOW, video=True)] == read("CallOffer", meta | video)
    assert [port.Call("C", ANA, NOW)] == read("CallOffer", meta | {"Data": {"Content": "AA=="}})
    assert [port.Call("C", ANA, NOW, video=True)] == read("CallOfferNotice", meta | {"Media": "video"})
    assert [port.Call("C", ANA, NOW, ended=True)] == read("CallTerminate", meta)
    assert [port.Call("C", Address(lid="1001"), NOW)] == read(
        "CallOffer", {"CallID": "C", "From": "1001@lid", "Timestamp": NOW}
    )
    assert [] == read("CallOffer", {"CallID": "C"})


def test_names_of_groups() -> None:
    """A group that we are in, and one that is called anew; other changes have no name."""
    named = [port.Contacts((port.Contact(GROUP, "Family"),))]
    assert named == read("JoinedGroup", {"JID": "120363001122334455@g.us", "Name": "Family"})
    assert named == read("GroupInfo", {"JID": "120363001122334455@g.us", "Name": {"Name": "Family"}})
    assert [] == read("GroupInfo", {"JID": "120363001122334455@g.us", "Join": ["1@lid"]})


KEY: dict[str, Any] = {"Challenge": "/+8=", "RelyingPartID": "whatsapp.com"}
HUGE = KEY | {"Challenge": "A" * 9000}


def test_passkey_request_is_what_browsers_take() -> None:
    """Bytes are base64url without padding, names are Web Authentication's, and WhatsApp's time is kept."""
    known = [{"ID": "_w==", "Type": "public-key", "Transports": ["internal"]}, {"ID": "AQ==", "Type": "public-key"}]
    given = {**KEY, "Timeout": 300_000, "AllowCredentials": known, "UserVerification": "preferred", "Extensions": {}}
    (code,) = read("PairPasskeyRequest", {"PublicKey": given})
    assert isinstance(code, port.Code)
    assert (port.CodeKind.PASSKEY, 300.0) == (code.kind, code.seconds)
    assert {
        "challenge": "_-8",
        "timeout": 300_000,
        "rpId": "whatsapp.com",
        "allowCredentials": [
            {"id": "_w", "type": "public-key", "transports": ["internal"]},
            {"id": "AQ", "type": "public-key"},
        ],
        "userVerification": "preferred",
    } == json.loads(code.text)
    (usual,) = read("PairPasskeyRequest", {"PublicKey": KEY})
    assert isinstance(usual, port.Code)
    assert 600.0 == usual.seconds
    assert "required" == json.loads(usual.text)["userVerification"]


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        ("Connected", MYSELF, Link(Reason.CONNECTED, own=ME, push_name="Me")),
        ("Disconnected", None, Link(Reason.CONNECTION_LOST)),
        ("StreamError", {"Code": "500"}, Link(Reason.CONNECTION_LOST)),
        ("KeepAliveTimeout", {"ErrorCount": 1}, Link(Reason.KEEPALIVE_LOST)),
        ("KeepAliveRestored", None, Link(Reason.CONNECTED)),
        ("StreamReplaced", None, Link(Reason.REPLACED)),
        ("ClientOutdated", None, Link(Reason.OUTDATED)),
        ("LoggedOut", {"Reason": 401}, Link(Reason.LOGGED_OUT)),
        ("LoggedOut", {"Reason": 403}, Link(Reason.PHONE_GONE)),
        ("LoggedOut", {"Reason": 406}, Link(Reason.LOGGED_OUT)),
        ("TemporaryBan", {"Code": 101, "Expire": 3600.0}, Link(Reason.BANNED, until=NOW + 3600)),
        ("TemporaryBan", {"Code": 999}, Link(Reason.BANNED)),
        ("ConnectFailure", {"Reason": 409}, Link(Reason.OUTDATED)),
        ("ConnectFailure", {"Reason": 418}, Link(Reason.CONNECTION_REFUSED)),
        ("PairSuccess", {"ID": "33612000000:4@s.whatsapp.net"}, port.Paired(Address(number="33612000000"))),
        ("PairSuccess", {}, port.PairingFailed(Reason.FAILED)),
        ("PairError", {"Error": "x"}, port.PairingFailed(Reason.FAILED)),
        ("PairPasskeyRequest", {"PublicKey": {}}, port.PairingFailed(Reason.PASSKEY_FAILED)),
        ("PairPasskeyRequest", {}, port.PairingFailed(Reason.PASSKEY_FAILED)),
        ("PairPasskeyRequest", {"PublicKey": HUGE}, port.PairingFailed(Reason.PASSKEY_FAILED)),
        ("PairPasskeyError", {"Error": "x", "Continuation": True}, port.PairingFailed(Reason.PASSKEY_FAILED)),
        ("PairPasskeyConfirmation", {"Code": "ABCD-EFGH"}, port.Code(port.CodeKind.COMPARE, "ABCD-EFGH", 0.0)),
    ],
)  # fmt: skip
def test_states(kind: str, fields: dict[str, Any] | None, expected: port.Event) -> None:
    """Every way in which linking and the link can go has its reason."""
    assert [expected] == read(kind, fields)


def test_what_is_younger_than_this_release_means_nothing_yet() -> None:
    """An event of a name nobody knows is acknowledged, not a fault."""
    assert [] == read("Tomorrow", {"Anything": 1})
    assert [] == events.read_event({}, NOW)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
names = st.sampled_from(
    [
        "Info",
        "Chat",
        "Sender",
        "SenderAlt",
        "Message",
        "Type",
        "MessageIDs",
        "Timestamp",
        "Reason",
        "From",
        "JID",
        "Name",
        "ID",
        "Data",
    ]
)


@given(st.sampled_from(sorted(events.READERS)), st.dictionaries(names, json_values, max_size=6))
def test_frames_of_any_shape_are_read_or_called_odd(kind: str, fields: dict[str, Any]) -> None:
    """A frame is read or is one of ODD; what can then still be said of it never fails."""
    frame = {"e": kind, "d": fields}
    try:
        events.read_event(frame, NOW)
    except events.ODD:
        assert Lost("event_unreadable") == events.unreadable(frame)[-1]


def test_unreadable_message_is_not_silent() -> None:
    """Of a message that we cannot read it is still told that it came, and from whom."""
    broken = {"e": "Message", "d": {"Info": FROM_ANA | {"ID": "1"}, "Message": {"imageMessage": 7}}}
    with pytest.raises(events.ODD):
        events.read_event(broken, NOW)
    said, lost = events.unreadable(broken)
    assert isinstance(said, Message)
    assert (ANA, Other(OtherKind.UNKNOWN), Lost("event_unreadable")) == (said.chat, said.content, lost)


# ---- calls ----------------------------------------------------------------------------------------------------


def test_what_is_sent() -> None:
    """Texts and edits, to the LID where it is known; what has no way out yet is the owner's error."""
    assert ("send", {"to": "1001@lid", "text": "hi"}) == calls.sending(ANA, Text("hi"))
    assert ("edit", {"to": "120363001122334455@g.us", "target": "1", "text": "b"}) == calls.sending(
        GROUP, port.Edit("1", "b")
    )
    with pytest.raises(OwnerError):
        calls.sending(ANA, port.Location(1, 2))
    assert port.Sent("3EB0", NOW) == calls.sent({"id": "3EB0", "t": NOW})


def test_address_book() -> None:
    """One person is one entry, whichever addresses the book has; groups are no people."""
    book = calls.contacts(
        [
            {"jid": "447700900123@s.whatsapp.net", "alt": "1001@lid", "name": "Ana", "push": ""},
            {"jid": "1001@lid", "alt": "447700900123@s.whatsapp.net", "name": "", "push": "annie"},
            {"jid": "1002@lid", "alt": "", "name": "", "push": "Bob"},
            {"jid": "120363001122334455@g.us", "alt": "", "name": "Family", "push": ""},
            {"jid": "status@broadcast", "alt": "", "name": "x", "push": ""},
        ]
    )
    people = (port.Contact(ANA, "Ana", "annie"), port.Contact(Address(lid="1002"), "", "Bob"))
    assert port.Contacts(people, complete=True) == book
    assert port.Contacts(()) == calls.contacts(None)


def test_groups_and_lookups() -> None:
    """Without a name a group is not told; a number that nobody has is None."""
    groups = [{"JID": "120363001122334455@g.us", "Name": "Family"}, {"JID": "120363001122334456@g.us"}, {}]
    assert (port.Contact(GROUP, "Family"),) == calls.groups(groups)
    assert () == calls.groups(None)
    answer: list[dict[str, Any]] = [
        {"Query": "+447700900123", "JID": "1001@lid", "IsIn": True},
        {"Query": "+1", "JID": "2@lid"},
        {},
    ]
    assert {"447700900123": ANA, "1": None} == calls.found(["447700900123", "1"], answer)
    assert {"1": None} == calls.found(["1"], None)


# ---- codes, feed, choice, ids ---------------------------------------------------------------------------------


class Clock:
    """A loop that has only timers, moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.due: list[tuple[float, Callable[[], None]]] = []
        self.cancelled = 0
        monkeypatch.setattr(asyncio, "get_running_loop", lambda: self)

    def call_later(self, delay: float, callback: Callable[[], None]) -> "Clock":
        """Note the timer."""
        self.due = [(delay, callback)]
        return self

    def cancel(self) -> None:
        """Forget the timer."""
        self.cancelled += 1

    def fire(self) -> float:
        """Let the timer fire; gives its delay."""
        [(delay, callback)] = self.due
        callback()
        return delay


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> tuple[Clock, Codes, list[object]]:
    """Codes on a clock, and what they said."""
    said: list[object] = []
    return Clock(monkeypatch), Codes(said.append, lambda: said.append("over")), said


def test_codes_are_shown_one_after_the_other(shown: tuple[Clock, Codes, list[object]]) -> None:
    """The first of a whole set lives a minute, the others 20 seconds; then it is over."""
    clock, codes, said = shown
    codes.begin(list("abcdef"))
    assert [FIRST, *[NEXT] * 5] == [clock.fire() for _ in range(6)]
    assert [
        *(port.Code(port.CodeKind.QR, c, FIRST if c == "a" else NEXT, n) for n, c in enumerate("abcdef", 1)),
        "over",
    ] == said
    assert not codes.running


def test_new_secret_is_in_the_codes(shown: tuple[Clock, Codes, list[object]]) -> None:
    """The code that is shown comes again with the new secret, and all that follow have it."""
    clock, codes, said = shown
    codes.begin(["a,old", "b,old"])
    codes.rotate("old", "new")
    clock.fire()
    assert ["a,old", "a,new", "b,new"] == [code.text for code in said if isinstance(code, port.Code)]
    assert [1, 1, 2] == [code.number for code in said if isinstance(code, port.Code)]
    codes.stop()
    codes.rotate("new", "newer")
    assert 3 == len(said)


async def test_feed_lets_go_of_what_is_over_in_a_moment() -> None:
    """A flood of typing is bounded and counted; a message behind it is not touched."""
    feed = Feed()
    typing = port.Typing(ANA, ANA, port.TypingState.COMPOSING)
    for _ in range(FULL + 7):
        feed.put(typing)
    said = Message("1", ANA, ANA, Text("hi"), NOW)
    feed.put(said, token=5)
    feed.end()
    feed.put(said)
    feed.end()
    heard = [delivery async for delivery in feed.read()]
    assert [port.Delivery(typing)] * FULL == heard[:FULL]
    assert [port.Delivery(Lost("fleeting", 7)), port.Delivery(said, 5)] == heard[FULL:]


def test_driver_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The core where it is installed; a host's word counts more."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "elsewhere" / "python"))
    assert place.program() is None
    assert (place.NEONIZE, place.CORE) == (place.chosen("", None), place.chosen("core", None))
    (tmp_path / place.PROGRAM).touch(mode=0o755)
    found = place.program()
    assert tmp_path / place.PROGRAM == found
    assert (place.CORE, place.NEONIZE) == (place.chosen("", found), place.chosen("neonize", found))


@given(st.tuples(st.text(), st.text(), st.integers(0)), st.tuples(st.text(), st.text(), st.integers(0)))
def test_ids_of_messages(one: tuple[str, str, int], other: tuple[str, str, int]) -> None:
    """Of WhatsApp's own form, the same for the same stanza, another for another."""
    made = message_id(*one)
    assert made == message_id(*one)
    assert (22, True, made.upper()) == (len(made), made.startswith("3EB0"), made)
    assert (one == other) == (made == message_id(*other))
