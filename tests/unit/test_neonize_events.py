"""neonize's events become the port's: real protobufs in, a closed table, nothing between devices comes through."""

from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from ponton_bridge.model.address import Address
from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp import port
from ponton_bridge.whatsapp.neonize_driver import events, protos
from ponton_bridge.whatsapp.port import OtherKind, ReceiptKind, Text, TypingState

NOW = 1_795_000_000
ANA = Address(number="447700900123", lid="1001")
ME = Address(number="447700900001", lid="9009")
FAMILY = Address(group="120363001122334455")


def jid(user: str = "", server: str = "", device: int = 0) -> dict[str, Any]:
    """A neonize JID; without arguments the empty one."""
    return {"User": user, "RawAgent": 0, "Device": device, "Integrator": 0, "Server": server, "IsEmpty": not user}


LID, PN = jid("1001", "lid", 3), jid("447700900123", "s.whatsapp.net", 3)
MY_LID, MY_PN = jid("9009", "lid"), jid("447700900001", "s.whatsapp.net")
GROUP = jid("120363001122334455", "g.us")


def source(chat: dict[str, Any], sender: dict[str, Any], **more: object) -> dict[str, Any]:
    """A MessageSource."""
    given = {"Chat": chat, "Sender": sender, "IsFromMe": False, "IsGroup": chat["Server"] == "g.us"}
    return given | {"SenderAlt": jid(), "RecipientAlt": jid(), "BroadcastListOwner": jid()} | more


FROM_ANA = source(LID, LID, SenderAlt=PN)
FROM_ME = source(LID, MY_LID, RecipientAlt=PN, IsFromMe=True)
IN_FAMILY = source(GROUP, LID, SenderAlt=PN)


def info(where: dict[str, Any], **more: object) -> dict[str, Any]:
    """A MessageInfo of this moment."""
    given = {"MessageSource": where, "ID": "3EB001", "ServerID": "0", "Type": "text", "Pushname": "Ana"}
    rest = {"Timestamp": str(NOW * 1000), "Category": "", "Multicast": False, "MediaType": "", "Edit": ""}
    return given | rest | more


def message(where: dict[str, Any], content: dict[str, Any], flags: str = "", **more: object) -> dict[str, Any]:
    """A Message event."""
    names = "IsEphemeral IsViewOnce IsViewOnceV2 IsViewOnceV2Extension IsDocumentWithCaption IsLottieSticker IsEdit"
    switches = {name: name == flags for name in names.split()}
    return {"Info": info(where, **more), "Message": content, **switches, "UnavailableRequestID": "", "RetryCount": "0"}


def node(tag: str, *children: dict[str, Any]) -> dict[str, Any]:
    """A binary node."""
    return {"Tag": tag, "Nodes": list(children)}


def call(**more: object) -> dict[str, Any]:
    """A call event."""
    meta = {"from": LID, "timestamp": str(NOW), "callCreator": LID, "callCreatorAlt": PN, "callID": "C1"}
    return {"basicCallMeta": meta, "data": node("offer")} | more


REMOTE = {"callRemoteMeta": {"remotePlatform": "android", "remoteVersion": "2"}}


def build(name: str, data: dict[str, Any]) -> Message:
    """One of neonize's own messages from JSON."""
    return ParseDict(data, protos.neonize(name))


def heard(number: int, data: dict[str, Any]) -> list[port.Event]:
    """What becomes of an event that the library writes."""
    name = events.READERS[number].name
    return events.read_event(number, build(name, data).SerializeToString(), NOW)


def said(content: port.Content, chat: Address = ANA, sender: Address = ANA, **more: object) -> port.Message:
    """A message of the port."""
    given: dict[str, Any] = {"from_me": False, "push_name": "Ana"} | more
    return port.Message("3EB001", chat, sender, content, NOW, **given)


HI = {"conversation": "hi"}
MESSAGES: dict[str, tuple[dict[str, Any], list[port.Event]]] = {
    "from a contact, number beside the LID": (message(FROM_ANA, HI), [said(Text("hi"))]),
    "by number, LID beside it": (message(source(PN, PN, SenderAlt=LID), HI), [said(Text("hi"))]),
    "by LID alone": (
        message(source(LID, LID), HI),
        [said(Text("hi"), Address(lid="1001"), Address(lid="1001"))],
    ),
    "in a group": (message(IN_FAMILY, HI), [said(Text("hi"), FAMILY)]),
    "from the phone": (
        message(FROM_ME, HI, Pushname="Me"),
        [said(Text("hi"), ANA, Address(lid="9009"), from_me=True, push_name="Me")],
    ),
    "the peer's keys": (message(FROM_ME, HI, Category="peer"), []),
    "the first of a group's pair, without content": (
        message(IN_FAMILY, {"senderKeyDistributionMessage": {"groupID": "g"}}),
        [],
    ),
    "view once, by its flag": (
        message(FROM_ANA, {"imageMessage": {}}, "IsViewOnceV2"),
        [said(port.Other(OtherKind.VIEW_ONCE))],
    ),
    "a status": (
        message(source(jid("status", "broadcast"), LID, SenderAlt=PN), HI),
        [said(port.Other(OtherKind.STATUS))],
    ),
    "a broadcast list": (message(source(jid("1234567", "broadcast"), LID, SenderAlt=PN), HI), [said(Text("hi"))]),
    "our own broadcast": (
        message(source(jid("1234567", "broadcast"), MY_LID, IsFromMe=True), HI),
        [],
    ),
    "a channel": (message(source(jid("1", "newsletter"), jid("1", "newsletter")), HI), []),
    "a sender without address": (
        message(source(GROUP, jid("who", "nowhere")), HI),
        [port.Lost("message_without_sender")],
    ),
    "a time in seconds": (message(FROM_ANA, HI, Timestamp=str(NOW)), [said(Text("hi"))]),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_message_event(case: str) -> None:
    """Chat, sender and content of a message are those of a person, without devices; what nobody wrote is left out."""
    data, expected = MESSAGES[case]
    assert expected == heard(17, data)


def receipt(where: dict[str, Any], type_: str, *ids: str) -> dict[str, Any]:
    """A Receipt event."""
    return {"MessageSource": where, "MessageIDs": list(ids), "Timestamp": str(NOW), "Type": type_}


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ("DELIVERED", ReceiptKind.DELIVERED),
        ("INACTIVE", ReceiptKind.DELIVERED),
        ("READ", ReceiptKind.READ),
        ("PLAYED", ReceiptKind.PLAYED),
    ],
)
def test_receipt_of_a_contact(type_: str, kind: ReceiptKind) -> None:
    """Ticks name the contact and all messages."""
    expected = [port.Receipt(ANA, ANA, ("3EB001", "3EB002"), kind, NOW)]
    assert expected == heard(18, receipt(FROM_ANA, type_, "3EB001", "3EB002"))


@pytest.mark.parametrize(
    ("type_", "kind"),
    [("READ", ReceiptKind.READ), ("READ_SELF", ReceiptKind.READ), ("SERVER_ERROR", ReceiptKind.PLAYED)],
)
def test_receipt_of_the_own_phone(type_: str, kind: ReceiptKind) -> None:
    """Read elsewhere is told as the owner's own; SERVER_ERROR is neonize's word for played on another own device."""
    [event] = heard(18, receipt(FROM_ME, type_, "3EB001"))
    assert isinstance(event, port.Receipt)
    assert (ANA, kind, True) == (event.chat, event.kind, event.from_me)


@pytest.mark.parametrize("type_", ["SENDER", "RETRY", "PEER_MSG", "HISTORY_SYNC"])
def test_receipt_between_devices_is_left_out(type_: str) -> None:
    """The own phone's copy and the protocol's own receipts are no ticks, nor is delivery to oneself."""
    assert [] == heard(18, receipt(FROM_ANA, type_, "3EB001"))
    assert [] == heard(18, receipt(FROM_ME, "DELIVERED", "3EB001"))


@pytest.mark.parametrize(
    ("state", "media", "expected"),
    [
        ("COMPOSING", "TEXT", TypingState.COMPOSING),
        ("COMPOSING", "AUDIO", TypingState.RECORDING),
        ("PAUSED", "TEXT", TypingState.PAUSED),
    ],
)
def test_typing_event(state: str, media: str, expected: TypingState) -> None:
    """Writing, recording and pausing; the owner's own is left out."""
    data = {"MessageSource": FROM_ANA, "State": state, "Media": media}
    assert [port.Typing(ANA, ANA, expected)] == heard(19, data)
    assert [] == heard(19, data | {"MessageSource": FROM_ME})


def test_presence_event() -> None:
    """The time last seen is None when hidden, which the library writes as Go's zero time."""
    who = Address(lid="1001")
    data = {"From": LID, "Unavailable": True, "LastSeen": str(NOW - 60)}
    assert [port.Presence(who, available=False, last_seen=NOW - 60)] == heard(20, data)
    hidden = data | {"Unavailable": False, "LastSeen": str(events.UNKNOWN_TIME)}
    assert [port.Presence(who, available=True)] == heard(20, hidden)
    assert [] == heard(20, data | {"From": jid()})


def test_call_events() -> None:
    """An offer with video in it is a video call; a group's offer names its kind; the end is the same call."""
    assert [port.Call("C1", ANA, NOW)] == heard(36, call(**REMOTE))
    assert [port.Call("C1", ANA, NOW, video=True)] == heard(36, call(data=node("offer", node("video")), **REMOTE))
    assert [port.Call("C1", ANA, NOW, video=True)] == heard(40, call(media="video", type="group"))
    assert [port.Call("C1", ANA, NOW, ended=True)] == heard(42, call(reason="timeout"))


@pytest.mark.parametrize(
    ("mode", "unavailable", "expected"),
    [
        ("DECRYPT_FAIL_SHOW", False, [port.Undecryptable("3EB001", ANA, ANA, NOW)]),
        ("DECRYPT_FAIL_SHOW", True, [port.Undecryptable("3EB001", ANA, ANA, NOW, final=True)]),
        ("DECRYPT_FAIL_HIDE", False, []),
    ],
)
def test_undecryptable_event(mode: str, expected: list[port.Event], *, unavailable: bool) -> None:
    """What was never sent to this device is final at once; what WhatsApp hides (reactions and the like) is hidden."""
    data = {"Info": info(FROM_ANA), "IsUnavailable": unavailable, "DecryptFailMode": mode}
    assert expected == heard(44, data)


def test_pairing_events() -> None:
    """Success names the own number; an error is a failed attempt."""
    done = {"ID": jid("447700900001", "s.whatsapp.net", 7), "BusinessName": "", "Platform": "android"}
    assert [port.Paired(Address(number="447700900001"))] == heard(2, done | {"Status": "SUCCESS"})
    assert [port.PairingFailed(Reason.FAILED)] == heard(2, done | {"Status": "ERROR", "Error": "hmac-mismatch"})


LINKS: list[tuple[int, dict[str, Any], port.Link]] = [
    (3, {"status": True}, port.Link(Reason.CONNECTED)),
    (4, {"ErrorCount": "1", "LastSuccess": "1"}, port.Link(Reason.KEEPALIVE_LOST)),
    (5, {}, port.Link(Reason.CONNECTED)),
    (6, {"OnConnect": False, "Reason": "LOGGED_OUT"}, port.Link(Reason.LOGGED_OUT)),
    (6, {"OnConnect": True, "Reason": "MAIN_DEVICE_GONE"}, port.Link(Reason.PHONE_GONE)),
    (6, {"OnConnect": True, "Reason": "UNKNOWN_LOGOUT"}, port.Link(Reason.LOGGED_OUT)),
    (7, {}, port.Link(Reason.REPLACED)),
    (8, {"Code": "BLOCKED_BY_USERS", "Expire": "3600"}, port.Link(Reason.BANNED, until=NOW + 3600)),
    (8, {"Code": "BLOCKED_BY_USERS", "Expire": "0"}, port.Link(Reason.BANNED)),
    (9, {"Reason": "BAD_USER_AGENT", "Message": "", "Raw": {"Tag": "x"}}, port.Link(Reason.OUTDATED)),
    (9, {"Reason": "EXPERIMENTAL", "Message": "", "Raw": {"Tag": "x"}}, port.Link(Reason.CONNECTION_REFUSED)),
    (10, {}, port.Link(Reason.OUTDATED)),
    (11, {"Code": "516", "Raw": {"Tag": "x"}}, port.Link(Reason.CONNECTION_LOST)),
    (12, {"status": True}, port.Link(Reason.CONNECTION_LOST)),
]


@pytest.mark.parametrize(
    ("number", "data", "link"), LINKS, ids=[f"{n}-{link[2].reason}" for n, link in enumerate(LINKS)]
)
def test_link_event(number: int, data: dict[str, Any], link: port.Link) -> None:
    """Every way in which the connection changes has its reason; a ban says until when."""
    assert [link] == heard(number, data)


def group_info(**more: object) -> dict[str, Any]:
    """A GroupInfoEvent."""
    given = {"JID": GROUP, "Notify": "", "Timestamp": "1", "PrevParticipantsVersionID": "", "ParticipantVersionID": ""}
    return given | {"JoinReason": ""} | more


def test_group_names_are_learned() -> None:
    """A group that is renamed tells its new name; other changes of a group tell nothing yet."""
    name = {"Name": {"Name": "Clan", "NameSetAt": "1", "NameSetBy": LID}}
    assert [port.Contacts((port.Contact(FAMILY, "Clan"),))] == heard(22, group_info(**name))
    assert [] == heard(22, group_info(Join=[LID]))


def test_table_is_closed() -> None:
    """Each number that neonize knows is read or left out for a reason, none is both; names exist in the wheel."""
    module = protos._module("Neonize_pb2")
    assert {0, 1, *range(2, 14), *range(16, 28), *range(30, 46)} == set(events.READERS) | set(events.IGNORED)
    assert set() == set(events.READERS) & set(events.IGNORED)
    assert all(hasattr(module, reader.name) for reader in events.READERS.values())
    assert all(reason for reason in events.IGNORED.values())


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        ("proto: required field neonize.ChatPresence.Media not set", Reason.EVENTS_STALLED),
        ("proto: required field neonize.Receipt.Type not set", Reason.EVENTS_STALLED),
        ("proto: required field neonize.TemporaryBan.Code not set", Reason.BANNED),
        ("proto: required field neonize.LoggedOut.Reason not set", Reason.LOGGED_OUT),
        ("proto: required field neonize.ConnectFailure.Reason not set", Reason.CONNECTION_REFUSED),
        ("failed to dial whatsapp web websocket: EOF", Reason.CONNECTION_REFUSED),
        ("failed to upgrade database: unable to open database file", Reason.FAILED),
    ],
)
def test_ended_client_is_judged_by_its_last_words(problem: str, reason: Reason) -> None:
    """When the event that the library could not write was itself the end of the link, that is what is told."""
    assert reason is events.ended(problem)


def test_garbage_is_refused() -> None:
    """Bytes that are no event raise; the driver counts them."""
    with pytest.raises(Exception, match="parsing"):
        events.read_event(17, b"\xff\xff\xff", NOW)
