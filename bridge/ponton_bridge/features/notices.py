"""Everything else that WhatsApp sends: one line that says what it was and from whom, never nothing.

What stands in the tables has no carriage of its own yet; each line tells where it can be seen. Left out on purpose:
status posts and channels (broadcasts that nobody addressed to the owner), and the end of a call (its start was told).
"""

from typing import Final

from ponton_bridge.model.address import Address, Kind
from ponton_bridge.whatsapp import port
from ponton_bridge.whatsapp.port import OtherKind

from . import text
from .context import Context, Rendered
from .stanzas import body, delay, label, message, stanza_id

SILENT: Final = frozenset({OtherKind.STATUS, OtherKind.CHANNEL})
ON_PHONE: Final = "look at your phone"

# What was done, after "has" or "you have"; media and the like can be seen on the phone.
SENT: Final = {
    OtherKind.IMAGE: "sent a photo",
    OtherKind.VIDEO: "sent a video",
    OtherKind.VIDEO_NOTE: "sent a video note",
    OtherKind.VOICE: "sent a voice message",
    OtherKind.AUDIO: "sent an audio file",
    OtherKind.DOCUMENT: "sent a file",
    OtherKind.STICKER: "sent a sticker",
    OtherKind.ALBUM: "sent an album",
    OtherKind.CONTACT: "sent a contact card",
    OtherKind.POLL: "started a poll",
    OtherKind.POLL_VOTE: "voted in a poll",
    OtherKind.VIEW_ONCE: "sent something that can be viewed once",
    OtherKind.GROUP_INVITE: "sent an invitation to a group",
    OtherKind.EVENT: "sent an event",
    OtherKind.PIN: "pinned or unpinned a message",
    OtherKind.BUSINESS: "sent a business message",
    OtherKind.PAYMENT: "sent a message about a payment",
    OtherKind.TIMER: "changed the timer for disappearing messages",
    OtherKind.UNKNOWN: "sent something that this bridge does not know",
}
SEEN_HERE: Final = frozenset({OtherKind.BUSINESS, OtherKind.TIMER})  # nothing more to see if there are words
PLAIN_ACTS: Final = frozenset({OtherKind.PIN, OtherKind.TIMER, OtherKind.POLL_VOTE})  # nothing to be marked as read


def line(content: port.Content) -> str:
    """Say what a content is, for the chat with the one who sent it; '' for what is left out.

    >>> line(port.Other(OtherKind.IMAGE, "at the sea"))
    '[sent a photo: look at your phone] at the sea'
    """
    match content:
        case port.Text(words):
            said = words
        case port.Edit(_, words):
            said = f"[corrected a message] {words}"
        case port.Revoke():
            said = "[deleted a message]"
        case port.Reaction(_, emoji):
            said = f"[reacted to a message] {emoji}" if emoji else "[took back a reaction]"
        case port.Location():
            said = _place(content)
        case port.Other(kind, words):
            said = _other(kind, words)
    return said


def _other(kind: OtherKind, words: str) -> str:
    if kind in SILENT:
        return ""
    if kind is OtherKind.BUSINESS and words:
        return words
    act = SENT[kind] if kind in SEEN_HERE else f"{SENT[kind]}: {ON_PHONE}"
    return f"[{act}] {words}".strip()


def _place(place: port.Location) -> str:
    """Write a place as a geo: URI (RFC 5870), which clients open in a map; alone on its line for their sake."""
    if not (-90 <= place.latitude <= 90 and -180 <= place.longitude <= 180):  # noqa: PLR2004 - degrees
        return f"[sent a place: {ON_PHONE}] {place.name}".strip()
    uri = f"geo:{_degrees(place.latitude)},{_degrees(place.longitude)}"
    if place.live:
        return f"[shares where they are; this is the first place only] {place.name}".strip() + f"\n{uri}"
    return f"{place.name}\n{uri}" if place.name else uri


def _degrees(value: float) -> str:
    """Six decimals are a tenth of a metre."""
    written = f"{value:.6f}".rstrip("0").rstrip(".")
    return "0" if written == "-0" else written


def own_line(content: port.Content) -> str:
    """Say what the owner sent from the phone."""
    said = line(content)
    return said.replace(f": {ON_PHONE}]", ", from the phone]", 1) if said.startswith("[") else said


def in_group(said: str, chat: Address, sender: Address, ctx: Context, push_name: str = "") -> str:
    """Say who wrote what in which group: rooms are not carried yet.

    "hi" becomes "Ana wrote in the group “Family”: hi", "[sent a photo]" becomes "Ana in the group “Family”: [sent …]".
    """
    who = label(ctx.name(sender, push_name))
    name = label(ctx.name(chat))
    where = f"in the group “{name}”" if name else "in a group"
    return f"{who} {where}: {said}" if said.startswith("[") else f"{who} wrote {where}: {said}"


def from_whatsapp(event: port.Event, ctx: Context) -> Rendered | None:
    """Render what no other feature takes."""
    match event:
        case port.Message(from_me=False):
            return _message(event, ctx)
        case port.Undecryptable(final=True, chat=chat, sender=sender):
            said = f"[sent something that could not be read: {ON_PHONE}]"
            said = in_group(said, chat, sender, ctx) if chat.kind is Kind.GROUP else said
            return _told(event.id, chat, event.time, ctx, said)
        case port.Call(ended=False):
            kind = "video" if event.video else "voice"
            return _told(event.id, event.caller, event.time, ctx, f"[calls you ({kind} call): pick up on your phone]")
        case _:
            return None


def _message(event: port.Message, ctx: Context) -> Rendered | None:
    grouped = event.chat.kind is Kind.GROUP
    if not grouped and text.said(event, ctx) is not None:
        return None
    words = line(event.content)
    if not words:
        return Rendered()
    if grouped:
        words = in_group(words, event.chat, event.sender, ctx, event.push_name)
    if not _readable(event.content):
        return _told(event.id, event.chat, event.time, ctx, words)
    return text.incoming(event, ctx, words)


def _readable(content: port.Content) -> bool:
    """Tell whether WhatsApp expects to hear that it was read."""
    match content:
        case port.Edit() | port.Revoke() | port.Reaction():
            return False
        case port.Other(kind):
            return kind not in PLAIN_ACTS
        case _:
            return True


def _told(id_: str, who: Address, when: int, ctx: Context, words: str) -> Rendered:
    """Make a line that needs no receipt; its id is its own, so that the thing itself may still come under its name."""
    stanza = message(ctx, ctx.full(who), body(words), delay(ctx, when), id_=stanza_id(f"told-{id_}"))
    return Rendered(durable=[stanza])
