"""The core's events as the port's: one closed table from whatsmeow's type name to reader. Pure.

A frame is {"e": type, "d": fields}, fields under their Go names, what is empty left out. What is not in the table
(history, pictures, labels, what whatsmeow may have tomorrow) means nothing to the port yet: it is acknowledged and let
go.
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from ponton_bridge.model.address import Address, Kind
from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp import jids, port
from ponton_bridge.whatsapp.content import STRANGE, content

from . import passkeys

Fields = Mapping[str, Any]
Events = list[port.Event]

RECEIPTS: Final = {  # "sender", "retry", "peer_msg", "hist_sync" and "server-error" are between devices
    "": port.ReceiptKind.DELIVERED,
    "inactive": port.ReceiptKind.DELIVERED,  # delivered to a client in the background
    "read": port.ReceiptKind.READ,
    "read-self": port.ReceiptKind.READ,
    "played": port.ReceiptKind.PLAYED,
    "played-self": port.ReceiptKind.PLAYED,
}
SELF: Final = "-self"
FAILURES: Final = {
    401: Reason.LOGGED_OUT,
    402: Reason.BANNED,
    403: Reason.PHONE_GONE,
    405: Reason.OUTDATED,
    406: Reason.LOGGED_OUT,
    409: Reason.OUTDATED,  # WhatsApp does not take this client any more
}
HIDDEN: Final = "hide"  # reactions, edits and the like; WhatsApp shows nothing either


class Names(NamedTuple):
    """Who is meant by a message's source: chat and sender, None where it is neither person nor group."""

    chat: Address | None
    sender: Address | None
    server: str
    from_me: bool


def address(jid: object, alternative: object = "") -> Address | None:
    """Read a JID as text, device left out; `alternative` is the same person under the other kind of address."""
    user, _, server = str(jid or "").rpartition("@")
    other = address(alternative) if alternative else None
    return jids.address(user.partition(":")[0].partition(".")[0], server, other)


def names(source: Fields) -> Names:
    """Read a MessageSource; number and LID are put together from the alternative addresses."""
    sender = address(source.get("Sender"), source.get("SenderAlt"))
    from_me = bool(source.get("IsFromMe"))
    chat = address(source.get("Chat"))
    if chat is not None and chat.kind is Kind.USER:
        chat = address(source.get("Chat"), source.get("RecipientAlt" if from_me else "SenderAlt"))
    return Names(chat, sender, str(source.get("Chat", "")).rpartition("@")[2], from_me)


def _message(event: Fields, _now: int) -> Events:
    info = event.get("Info", {})
    who = names(info)
    said = _said(event)
    if info.get("Category") == "peer" or who.server == jids.CHANNEL_SERVER or said is None:
        return []
    if who.sender is None:
        return [port.Lost("message_without_sender")]
    chat = who.chat
    if who.server == jids.BROADCAST_SERVER or chat is None:
        said, chat = _broadcast(info, who, said), who.sender
    if said is None:
        return []
    return [
        port.Message(
            id=str(info.get("ID", "")),
            chat=chat,
            sender=who.sender,
            content=said,
            time=int(info.get("Timestamp", 0)),
            from_me=who.from_me,
            push_name=str(info.get("PushName", "")),
        )
    ]


def _said(event: Fields) -> port.Content | None:
    if any(event.get(name) for name in ("IsViewOnce", "IsViewOnceV2", "IsViewOnceV2Extension")):
        return port.Other(port.OtherKind.VIEW_ONCE)
    return content(event.get("Message") or {})


def _broadcast(info: Fields, who: Names, said: port.Content) -> port.Content | None:
    """A status goes by its kind; a broadcast list's message is for the owner, and only our own has no one chat."""
    if str(info.get("Chat", "")).startswith("status@"):
        return port.Other(port.OtherKind.STATUS)
    return None if who.from_me else said


def _undecryptable(event: Fields, _now: int) -> Events:
    info = event.get("Info", {})
    who = names(info)
    if event.get("DecryptFailMode") == HIDDEN or who.chat is None or who.sender is None or who.from_me:
        return []
    final = bool(event.get("IsUnavailable"))
    return [port.Undecryptable(str(info.get("ID", "")), who.chat, who.sender, int(info.get("Timestamp", 0)), final)]


def _receipt(event: Fields, _now: int) -> Events:
    type_ = str(event.get("Type", ""))
    kind = RECEIPTS.get(type_)
    if kind is None:
        return []
    who = names(event)
    from_me = who.from_me or type_.endswith(SELF)
    if who.chat is None or who.sender is None or (from_me and kind is port.ReceiptKind.DELIVERED):
        return []
    ids = tuple(str(id_) for id_ in event.get("MessageIDs", ()))
    return [port.Receipt(who.chat, who.sender, ids, kind, int(event.get("Timestamp", 0)), from_me)]


def _typing(event: Fields, _now: int) -> Events:
    who = names(event)
    if who.chat is None or who.sender is None or who.from_me:
        return []
    state = port.TypingState.PAUSED
    if event.get("State") == "composing":
        recording = event.get("Media") == "audio"
        state = port.TypingState.RECORDING if recording else port.TypingState.COMPOSING
    return [port.Typing(who.chat, who.sender, state)]


def _presence(event: Fields, _now: int) -> Events:
    who = address(event.get("From"))
    if who is None:
        return []
    return [port.Presence(who, not event.get("Unavailable"), int(event.get("LastSeen", 0)) or None)]


def _call(event: Fields, _now: int, *, ended: bool = False) -> Events:
    caller = address(event.get("CallCreator"), event.get("CallCreatorAlt")) or address(event.get("From"))
    if caller is None:
        return []
    inner = (event.get("Data") or {}).get("Content")
    tags = {node.get("Tag") for node in inner if isinstance(node, dict)} if isinstance(inner, list) else set()
    video = "video" in tags or event.get("Media") == "video"
    return [port.Call(str(event.get("CallID", "")), caller, int(event.get("Timestamp", 0)), ended, video)]


def _call_ended(event: Fields, now: int) -> Events:
    return _call(event, now, ended=True)


def _joined(event: Fields, _now: int) -> Events:
    return _group_name(event.get("JID"), event.get("Name"))


def _group(event: Fields, _now: int) -> Events:
    return _group_name(event.get("JID"), (event.get("Name") or {}).get("Name"))


def _group_name(jid: object, name: object) -> Events:
    who = address(jid)
    return [port.Contacts((port.Contact(who, str(name)),))] if who is not None and name else []


def _paired(event: Fields, _now: int) -> Events:
    own = address(event.get("ID"))
    return [port.Paired(own) if own is not None else port.PairingFailed(Reason.FAILED)]


def _not_paired(_event: Fields, _now: int) -> Events:
    return [port.PairingFailed(Reason.FAILED)]


def _passkey(event: Fields, _now: int) -> Events:
    try:
        return [port.Code(port.CodeKind.PASSKEY, *passkeys.request(event))]
    except ODD:  # nobody can answer what cannot be read
        return [port.PairingFailed(Reason.PASSKEY_FAILED)]


def _compare(event: Fields, _now: int) -> Events:
    return [port.Code(port.CodeKind.COMPARE, str(event["Code"]), 0.0)]


def _passkey_failed(_event: Fields, _now: int) -> Events:
    return [port.PairingFailed(Reason.PASSKEY_FAILED)]


def _connected(event: Fields, _now: int) -> Events:
    own = address(event.get("ID"), event.get("LID"))
    return [port.Link(Reason.CONNECTED, own=own, push_name=str(event.get("PushName", "")))]


def _logged_out(event: Fields, _now: int) -> Events:
    gone = FAILURES.get(int(event.get("Reason", 0))) is Reason.PHONE_GONE
    return [port.Link(Reason.PHONE_GONE if gone else Reason.LOGGED_OUT)]


def _banned(event: Fields, now: int) -> Events:
    expire = int(event.get("Expire", 0))
    return [port.Link(Reason.BANNED, until=now + expire if expire > 0 else 0)]


def _failure(event: Fields, _now: int) -> Events:
    return [port.Link(FAILURES.get(int(event.get("Reason", 0)), Reason.CONNECTION_REFUSED))]


def _link(reason: Reason) -> Callable[[Fields, int], Events]:
    return lambda _event, _now: [port.Link(reason)]


READERS: Final[dict[str, Callable[[Fields, int], Events]]] = {
    "PairSuccess": _paired,
    "PairError": _not_paired,
    "PairPasskeyRequest": _passkey,
    "PairPasskeyConfirmation": _compare,
    "PairPasskeyError": _passkey_failed,
    "Connected": _connected,
    "KeepAliveTimeout": _link(Reason.KEEPALIVE_LOST),
    "KeepAliveRestored": _link(Reason.CONNECTED),
    "LoggedOut": _logged_out,
    "StreamReplaced": _link(Reason.REPLACED),
    "TemporaryBan": _banned,
    "ConnectFailure": _failure,
    "ClientOutdated": _link(Reason.OUTDATED),
    "StreamError": _link(Reason.CONNECTION_LOST),
    "Disconnected": _link(Reason.CONNECTION_LOST),
    "Message": _message,
    "UndecryptableMessage": _undecryptable,
    "Receipt": _receipt,
    "ChatPresence": _typing,
    "Presence": _presence,
    "JoinedGroup": _joined,
    "GroupInfo": _group,
    "CallOffer": _call,
    "CallOfferNotice": _call,
    "CallTerminate": _call_ended,
}
# What changes the address book in the core's store: it is read again soon, as state and not as news.
BOOK: Final = frozenset({"Contact", "PushName", "BusinessName", "PushNameSetting", "AppStateSyncComplete", "Repaired"})
ODD: Final = (LookupError, TypeError, ValueError, AttributeError)  # what a frame of an unexpected shape raises


def read_event(frame: Mapping[str, Any], now: int) -> Events:
    """Give what an event means, nothing for what is between devices; one of ODD when it cannot be read.

    >>> read_event({"e": "Disconnected"}, 0)
    [Link(reason=<Reason.CONNECTION_LOST: 'ConnectionLost'>, until=0, own=None, push_name='')]
    """
    reader = READERS.get(str(frame.get("e")))
    return reader(frame.get("d") or {}, now) if reader else []


def unreadable(frame: Mapping[str, Any]) -> Events:
    """Give what can still be said of an event that could not be read: that there was a message, and a loss to count."""
    said: Events = []
    if frame.get("e") == "Message":
        with contextlib.suppress(*ODD):
            said = _message({"Info": frame["d"]["Info"], "Message": {STRANGE: True}}, 0)
    return [*said, port.Lost("event_unreadable")]
