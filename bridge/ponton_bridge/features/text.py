"""Text, both ways: a WhatsApp text becomes a chat message that can be receipted, a chat message becomes a text.

Styles (*bold*, _italic_, ~strike~, `code`) are the same words in both worlds (XEP-0393) and pass unchanged. An edit
replaces the first version (XEP-0308); the WhatsApp id is the stanza id, so receipts and edits name the same thing.
"""

from collections.abc import Iterable
from typing import Final
from xml.etree.ElementTree import Element

from ponton_bridge.model import xml
from ponton_bridge.model.address import Address, Kind
from ponton_bridge.model.books import Pair
from ponton_bridge.model.errors import OwnerError
from ponton_bridge.model.xml import el, find, text_of
from ponton_bridge.whatsapp import port

from .context import Context, Intent, Rendered, Send, Subscribe
from .stanzas import MAX_TEXT, body, delay, label, message, stanza_id

EDIT_WITHIN: Final = 15 * 60  # seconds in which WhatsApp accepts an edit
REPLY: Final = "urn:xmpp:reply:0"  # XEP-0461
EMPTY: Final = "[sent an empty message]"  # a client shows a blank body as nothing at all


def from_whatsapp(event: port.Event, ctx: Context) -> Rendered | None:
    """Render a text, or the edit of one that is known, from a contact."""
    if not isinstance(event, port.Message) or event.from_me or event.chat.kind is Kind.GROUP:
        return None
    extra = said(event, ctx)
    if extra is None:
        return None
    text, more = extra
    return incoming(event, ctx, text, more)


def said(event: port.Message, ctx: Context) -> tuple[str, list[Element]] | None:
    """Give body and further children of a text or of an edit of a known message; None for all else."""
    match event.content:
        case port.Text(text, quoted):
            first = ctx.ids.by_whatsapp(ctx.key(event.chat), quoted) if quoted else None
            if first is None:
                return text, []
            author = ctx.owner if first.from_me else ctx.bare(event.chat)
            return text, [el("reply", REPLY, to=author, id_=first.xmpp)]
        case port.Edit(target, text):
            first = ctx.ids.by_whatsapp(ctx.key(event.chat), target)
            return None if first is None else (text, [el("replace", xml.REPLACE, id_=first.xmpp)])
        case _:
            return None


def incoming(event: port.Message, ctx: Context, text: str, more: Iterable[Element] = ()) -> Rendered:
    """Make the message of a contact that asks for a receipt and can be marked as read."""
    id_ = stanza_id(event.id)
    stanza = message(
        ctx,
        ctx.full(event.chat),
        body(text if text.strip() else EMPTY),
        *more,
        el("request", xml.RECEIPTS),
        el("markable", xml.MARKERS),
        el("nick", xml.NICK, label(ctx.name(event.sender, event.push_name))) if event.chat.kind is Kind.USER else None,
        delay(ctx, event.time),
        id_=id_,
    )
    return Rendered(durable=[stanza], pairs=[pair(event, ctx)])


def pair(event: port.Message, ctx: Context) -> Pair:
    """Give the id pair of a message from WhatsApp."""
    return Pair(
        chat=ctx.key(event.chat),
        whatsapp=event.id,
        xmpp=stanza_id(event.id),
        sender=ctx.key(event.sender),
        from_me=event.from_me,
        time=event.time,
    )


def from_xmpp(stanza: Element, ctx: Context, chat: Address) -> list[Intent] | None:
    """Turn a message with a body into a text, or into the edit of an earlier one; a subject becomes its first line.

    Raises OwnerError for what cannot be sent: too long, or a correction that WhatsApp would not accept.
    """
    text = text_of(stanza, "body", xml.CLIENT)
    if not text or not text.strip():
        return None
    if subject := text_of(stanza, "subject", xml.CLIENT):
        text = f"{subject}\n{text}"
    if len(text) > MAX_TEXT:
        raise OwnerError(
            f"This message has {len(text):,} characters; WhatsApp takes at most {MAX_TEXT:,}. It was not sent: "
            "send it in parts."
        )
    content: port.Content = port.Text(text)
    if (replaced := find(stanza, "replace", xml.REPLACE)) is not None:
        content = port.Edit(_editable(replaced.get("id", ""), ctx, chat), text)
    return [Send(chat, content, stanza.get("id", "")), Subscribe(chat)]


def _editable(xmpp_id: str, ctx: Context, chat: Address) -> str:
    """Give WhatsApp's id of the own message to be corrected."""
    first = ctx.ids.by_xmpp(ctx.key(chat), xmpp_id)
    if first is None or not first.from_me:
        raise OwnerError("The message that this corrects is not known here, so the correction was not sent.")
    if ctx.now - first.time > EDIT_WITHIN:
        raise OwnerError("WhatsApp lets a message be corrected for 15 minutes only. The correction was not sent.")
    return first.whatsapp


def sent(stanza: Element, done: port.Sent, ctx: Context, chat: Address) -> Rendered:
    """Note the id pair of a message that WhatsApp has taken."""
    xmpp_id = stanza.get("id", "")
    if not xmpp_id:
        return Rendered()
    return Rendered(
        pairs=[Pair(ctx.key(chat), whatsapp=done.id, xmpp=xmpp_id, sender="", from_me=True, time=done.time)]
    )
