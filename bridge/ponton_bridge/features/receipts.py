"""Receipts, both ways: delivered (XEP-0184) and displayed (XEP-0333).

WhatsApp's "delivered" and "read" name many messages at once; a displayed marker stands for all before it, so one is
enough. The other way one marker becomes one read receipt per sender, with ids that WhatsApp has issued, and no others.
"""

from itertools import groupby
from operator import attrgetter
from typing import Final
from xml.etree.ElementTree import Element

from ponton_bridge.model import xml
from ponton_bridge.model.address import Address, Kind
from ponton_bridge.model.books import Pair
from ponton_bridge.model.xml import el, find, text_of
from ponton_bridge.whatsapp import port
from ponton_bridge.whatsapp.port import ReceiptKind

from . import own
from .context import Context, Intent, MarkRead, Rendered
from .stanzas import message

MAX_IDS: Final = 1000  # of one receipt; what unread_until gives at most, too
READ: Final = ("displayed", "acknowledged")  # both mean that it was seen


def from_whatsapp(event: port.Event, ctx: Context) -> Rendered | None:
    """Render how far the owner's messages got, or that the owner has read something on the phone."""
    if not isinstance(event, port.Receipt):
        return None
    chat = ctx.key(event.chat)
    known = [pair for id_ in event.ids[:MAX_IDS] if (pair := ctx.ids.by_whatsapp(chat, id_)) is not None]
    if event.from_me:
        return _read_elsewhere(event, [pair for pair in known if not pair.from_me], ctx)
    mine = [pair for pair in known if pair.from_me]
    if not mine or event.chat.kind is Kind.GROUP:
        return Rendered()
    if event.kind is ReceiptKind.DELIVERED:
        return Rendered(durable=[_note(event.chat, ctx, "received", xml.RECEIPTS, pair.xmpp) for pair in mine])
    return Rendered(durable=[_note(event.chat, ctx, "displayed", xml.MARKERS, _newest(mine).xmpp)])


def _read_elsewhere(event: port.Receipt, seen: list[Pair], ctx: Context) -> Rendered:
    """Let the owner's clients know, as if one of them had shown it."""
    if not seen or event.kind is ReceiptKind.DELIVERED:
        return Rendered()
    newest = _newest(seen)
    read = ctx.ids.unread_until(newest.chat, newest.xmpp)
    if not read:
        return Rendered()
    marker = el("displayed", xml.MARKERS, id_=newest.xmpp)
    return Rendered(durable=[own.as_owner(ctx, event.chat, marker, id_=ctx.fresh_id())], read=read)


def _newest(pairs: list[Pair]) -> Pair:
    """Of several in one second the one that WhatsApp names last."""
    return max(reversed(pairs), key=attrgetter("time"))


def _note(chat: Address, ctx: Context, name: str, ns: str, xmpp_id: str) -> Element:
    return message(ctx, ctx.full(chat), el(name, ns, id_=xmpp_id), id_=ctx.fresh_id())


def marker(stanza: Element) -> str | None:
    """Give the id up to which the owner has read, None when the stanza does not say so."""
    for name in READ:
        if (found := find(stanza, name, xml.MARKERS)) is not None:
            return found.get("id", "")
    return None


def from_xmpp(stanza: Element, ctx: Context, chat: Address) -> list[Intent] | None:
    """Turn a marker into read receipts; what was read before, or is not known, asks for nothing.

    With words beside it the words count: the next marker says the same, words are said once.
    """
    until = marker(stanza)
    if until is None or (text_of(stanza, "body", xml.CLIENT) or "").strip():
        return None
    unread = sorted(ctx.ids.unread_until(ctx.key(chat), until)[:MAX_IDS], key=attrgetter("sender"))
    return [
        MarkRead(chat, _address(sender), tuple(pair.whatsapp for pair in pairs), pairs)
        for sender, pairs in ((sender, tuple(group)) for sender, group in groupby(unread, key=attrgetter("sender")))
    ]


def _address(key: str) -> Address:
    """Read an `Address.key`."""
    digits, _, server = key.partition("@")
    match server:
        case "lid":
            return Address(lid=digits)
        case "g.us":
            return Address(group=digits)
        case _:
            return Address(number=digits)
