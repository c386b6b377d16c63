"""neonize's events as the port's: one closed table from event code to reader. Pure.

`read` gives what an event means, nothing for what is between devices. Events that are not in the table are not
subscribed to, so the library never makes them; IGNORED says why for each. Two messages cannot be read from one event
alone and are left to the driver: which names belong to us (Connected), and whether an unreadable message comes again.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from google.protobuf.message import Message

from ponton_bridge.model.address import Address, Kind
from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp import port
from ponton_bridge.whatsapp.content import content
from ponton_bridge.whatsapp.jids import BROADCAST_SERVER, CHANNEL_SERVER

from . import jids
from .protos import each, flag, has, integer, plain, read, string, sub

MILLISECONDS_FROM: Final = 100_000_000_000  # a time above this is in milliseconds: seconds reach it in the year 5138
UNKNOWN_TIME: Final = -62_135_596_800  # Go's zero time: hidden
READ_SELF, PLAYED_SELF = 5, 8  # neonize 0.5.2 reports "played on another own device" as SERVER_ERROR (8)
RECEIPTS: Final = {  # Receipt.ReceiptType; SENDER, RETRY, PEER_MSG, HISTORY_SYNC are between devices
    1: port.ReceiptKind.DELIVERED,
    4: port.ReceiptKind.READ,
    READ_SELF: port.ReceiptKind.READ,
    6: port.ReceiptKind.PLAYED,
    7: port.ReceiptKind.PLAYED,
    PLAYED_SELF: port.ReceiptKind.PLAYED,
    9: port.ReceiptKind.DELIVERED,  # INACTIVE: delivered to a client in the background
}
SELF_TYPES: Final = frozenset({READ_SELF, 7, PLAYED_SELF})
TYPING: Final = {(1, 1): port.TypingState.COMPOSING, (1, 2): port.TypingState.RECORDING}  # (state, media)
FAILURES: Final = {  # ConnectFailureReason
    2: Reason.LOGGED_OUT,
    3: Reason.BANNED,
    4: Reason.PHONE_GONE,
    5: Reason.LOGGED_OUT,
    6: Reason.OUTDATED,
    7: Reason.OUTDATED,  # BAD_USER_AGENT: WhatsApp does not take this client any more
}
HIDDEN: Final = 2  # UndecryptableMessage.DecryptFailMode: reactions, edits and the like; WhatsApp shows nothing either

Events = list[port.Event]


class Names(NamedTuple):
    """Who is meant by a message's source: chat and sender, None where it is neither person nor group."""

    chat: Address | None
    sender: Address | None
    server: str
    from_me: bool


def names(source: Message) -> Names:
    """Read a MessageSource; number and LID are put together from the alternative addresses."""
    sender = jids.address(sub(source, "Sender"), sub(source, "SenderAlt"))
    from_me = flag(source, "IsFromMe")
    partner = sub(source, "RecipientAlt") if from_me else sub(source, "SenderAlt")
    chat = jids.address(sub(source, "Chat"))
    if chat is not None and chat.kind is Kind.USER:
        chat = jids.address(sub(source, "Chat"), partner)
    return Names(chat, sender, string(source, "Chat", "Server"), from_me)


def seconds(time: int) -> int:
    """Give seconds since 1970 for what may be milliseconds."""
    return time // 1000 if time > MILLISECONDS_FROM else time


def _message(event: Message, _now: int) -> Events:
    info = sub(event, "Info")
    who = names(sub(info, "MessageSource"))
    said = _said(event)
    if string(info, "Category") == "peer" or who.server == CHANNEL_SERVER or said is None:
        return []
    if who.sender is None:
        return [port.Lost("message_without_sender")]
    chat = who.chat
    if who.server == BROADCAST_SERVER or chat is None:
        said, chat = _broadcast(event, who, said), who.sender
    if said is None:
        return []
    return [
        port.Message(
            id=string(info, "ID"),
            chat=chat,
            sender=who.sender,
            content=said,
            time=seconds(integer(info, "Timestamp")),
            from_me=who.from_me,
            push_name=string(info, "Pushname"),
        )
    ]


def _said(event: Message) -> port.Content | None:
    if any(flag(event, name) for name in ("IsViewOnce", "IsViewOnceV2", "IsViewOnceV2Extension")):
        return port.Other(port.OtherKind.VIEW_ONCE)
    return content(plain(sub(event, "Message")))


def _broadcast(event: Message, who: Names, said: port.Content | None) -> port.Content | None:
    """A status goes by its kind; a broadcast list's message is for the owner, and only our own has no one chat."""
    if string(event, "Info", "MessageSource", "Chat", "User") == "status":
        return port.Other(port.OtherKind.STATUS)
    return None if who.from_me else said


def _undecryptable(event: Message, _now: int) -> Events:
    info = sub(event, "Info")
    who = names(sub(info, "MessageSource"))
    if integer(event, "DecryptFailMode") == HIDDEN or who.chat is None or who.sender is None or who.from_me:
        return []
    final = flag(event, "IsUnavailable")
    return [port.Undecryptable(string(info, "ID"), who.chat, who.sender, seconds(integer(info, "Timestamp")), final)]


def _receipt(event: Message, _now: int) -> Events:
    type_ = integer(event, "Type")
    kind = RECEIPTS.get(type_)
    if kind is None:  # every second one: our own phone has our message
        return []
    who = names(sub(event, "MessageSource"))
    from_me = who.from_me or type_ in SELF_TYPES
    if who.chat is None or who.sender is None or (from_me and kind is port.ReceiptKind.DELIVERED):
        return []
    ids = tuple(str(id_) for id_ in getattr(event, "MessageIDs"))  # noqa: B009 - no typed attributes
    return [port.Receipt(who.chat, who.sender, ids, kind, seconds(integer(event, "Timestamp")), from_me)]


def _typing(event: Message, _now: int) -> Events:
    who = names(sub(event, "MessageSource"))
    if who.chat is None or who.sender is None or who.from_me:
        return []
    state = TYPING.get((integer(event, "State"), integer(event, "Media")), port.TypingState.PAUSED)
    return [port.Typing(who.chat, who.sender, state)]


def _presence(event: Message, _now: int) -> Events:
    who = jids.address(sub(event, "From"))
    if who is None:
        return []
    seen = integer(event, "LastSeen")
    return [port.Presence(who, not flag(event, "Unavailable"), seen if seen > 0 else None)]


def _call(event: Message, _now: int, *, ended: bool = False) -> Events:
    meta = sub(event, "basicCallMeta")
    caller = jids.address(sub(meta, "callCreator"), sub(meta, "callCreatorAlt")) or jids.address(sub(meta, "from"))
    if caller is None:
        return []
    fields = event.DESCRIPTOR.fields_by_name
    tags = {string(node, "Tag") for node in each(sub(event, "data"), "Nodes")}
    video = "video" in tags or ("media" in fields and string(event, "media") == "video")
    return [port.Call(string(meta, "callID"), caller, seconds(integer(meta, "timestamp")), ended, video)]


def _call_ended(event: Message, now: int) -> Events:
    return _call(event, now, ended=True)


def _joined(event: Message, _now: int) -> Events:
    return _group_name(sub(event, "GroupInfo", "JID"), string(event, "GroupInfo", "GroupName", "Name"))


def _group(event: Message, _now: int) -> Events:
    return _group_name(sub(event, "JID"), string(event, "Name", "Name")) if has(event, "Name") else []


def _group_name(jid: Message, name: str) -> Events:
    who = jids.address(jid)
    return [port.Contacts((port.Contact(who, name),))] if who is not None and name else []


def _paired(event: Message, _now: int) -> Events:
    own = jids.address(sub(event, "ID"))
    if integer(event, "Status") != 2 or own is None:  # noqa: PLR2004 - SUCCESS
        return [port.PairingFailed(Reason.FAILED)]
    return [port.Paired(own)]


def _logged_out(event: Message, _now: int) -> Events:
    gone = FAILURES.get(integer(event, "Reason")) is Reason.PHONE_GONE
    return [port.Link(Reason.PHONE_GONE if gone else Reason.LOGGED_OUT)]


def _banned(event: Message, now: int) -> Events:
    expire = integer(event, "Expire")
    return [port.Link(Reason.BANNED, until=now + expire if expire > 0 else 0)]


def _failure(event: Message, _now: int) -> Events:
    return [port.Link(FAILURES.get(integer(event, "Reason"), Reason.CONNECTION_REFUSED))]


def _link(reason: Reason) -> Callable[[Message, int], Events]:
    return lambda _event, _now: [port.Link(reason)]


class Reader(NamedTuple):
    """The message's name in neonize's protobuf, and what reads it."""

    name: str
    read: Callable[[Message, int], Events]


READERS: Final[dict[int, Reader]] = {
    2: Reader("PairStatus", _paired),
    3: Reader("Connected", _link(Reason.CONNECTED)),
    4: Reader("KeepAliveTimeout", _link(Reason.KEEPALIVE_LOST)),
    5: Reader("KeepAliveRestored", _link(Reason.CONNECTED)),
    6: Reader("LoggedOut", _logged_out),
    7: Reader("StreamReplaced", _link(Reason.REPLACED)),
    8: Reader("TemporaryBan", _banned),
    9: Reader("ConnectFailure", _failure),
    10: Reader("ClientOutdated", _link(Reason.OUTDATED)),
    11: Reader("StreamError", _link(Reason.CONNECTION_LOST)),
    12: Reader("Disconnected", _link(Reason.CONNECTION_LOST)),
    17: Reader("Message", _message),
    18: Reader("Receipt", _receipt),
    19: Reader("ChatPresence", _typing),
    20: Reader("Presence", _presence),
    21: Reader("JoinedGroup", _joined),
    22: Reader("GroupInfoEvent", _group),
    36: Reader("CallOffer", _call),
    40: Reader("CallOfferNotice", _call),
    42: Reader("CallTerminate", _call_ended),
    44: Reader("UndecryptableMessage", _undecryptable),
}
IGNORED: Final = {
    0: "Device: sent unasked at each start; the driver asks for it when it needs it",
    1: "QR: all codes at once; they come one by one by a callback of their own",
    13: "HistorySync: history is not carried yet",
    16: "NewsLetterMessageMeta: never sent by itself",
    23: "Picture: pictures are not carried yet",
    24: "IdentityChange: safety numbers have no place in XMPP's gateway",
    25: "PrivacySettings: the phone's business",
    26: "OfflineSyncPreview: how much waits; messages say when they were written",
    27: "OfflineSyncCompleted: the same",
    30: "Blocklist: kept by WhatsApp",
    31: "BlocklistChange: the same",
    32: "NewsletterJoin: channels are left out on purpose",
    33: "NewsletterLeave: the same",
    34: "NewsletterMuteChange: the same",
    35: "NewsletterLiveUpdate: the same",
    37: "CallAccept: the call was told when it began",
    38: "CallPreAccept: the same",
    39: "CallTransport: the same",
    41: "CallRelayLatency: the same",
    43: "UnknownCallEvent: a later step of a call that was told",
    45: "RotateADVSecret: kept by the library's own store",
}


def read_event(code: int, data: bytes, now: int) -> Events:
    """Give what an event of the library means; DecodeError or KeyError when it cannot be read."""
    reader = READERS[code]
    return reader.read(read(reader.name, data), now)


PROTOBUF: Final = "proto:"  # how the library's words begin when it could not write an event
STORE: Final = ("database", "sqlite", "disk")  # parts of its words when it could not open or read its keys


def ended(problem: str) -> Reason:
    """Give the link's state after the library let go of a client, from its last words.

    COMPAT: neonize 0.5.2 cannot pass on an event whose required enum it does not know, and ends its stream of events
    ("proto: required field neonize.TemporaryBan.Code not set"). Where that event itself told the end of the link,
    its meaning is taken from its name; otherwise the stream is dead. Goes when neonize survives such events.
    """
    if PROTOBUF not in problem:
        return Reason.FAILED if any(word in problem for word in STORE) else Reason.CONNECTION_REFUSED
    for name, reason in (
        ("neonize.TemporaryBan.", Reason.BANNED),
        ("neonize.LoggedOut.", Reason.LOGGED_OUT),
        ("neonize.ConnectFailure.", Reason.CONNECTION_REFUSED),
    ):
        if name in problem:
            return reason
    return Reason.EVENTS_STALLED
