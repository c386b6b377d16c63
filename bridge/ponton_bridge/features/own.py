"""What the owner wrote on the phone: shown as sent in every client and kept in the archive.

The server is asked, by privilege (XEP-0356), to act as if the owner's client had sent it. The server then also sends
it to us, as it would any message of the owner (measured): that echo is known by its id and ignored.
"""

from xml.etree.ElementTree import Element

from ponton_bridge.model import xml
from ponton_bridge.model.address import Address
from ponton_bridge.model.jid import host_of
from ponton_bridge.model.xml import el
from ponton_bridge.whatsapp import port

from . import notices, text
from .context import Context, Intent, Rendered
from .stanzas import body, delay, stanza_id


def from_whatsapp(event: port.Event, ctx: Context) -> Rendered | None:
    """Render a message of the owner's own, written on the phone or another linked device."""
    if not isinstance(event, port.Message) or not event.from_me:
        return None
    known = text.said(event, ctx)
    words, more = known or (notices.own_line(event.content), [])
    if not words:
        return Rendered()
    id_ = stanza_id(event.id)
    stanza = as_owner(ctx, event.chat, body(words), *more, delay(ctx, event.time), id_=id_)
    return Rendered(durable=[stanza], pairs=[text.pair(event, ctx)])


def as_owner(ctx: Context, chat: Address, *children: Element | None, id_: str) -> Element:
    """Wrap a message from the owner to a contact, for the owner's server to send."""
    inner = el("message", xml.CLIENT, type_="chat", from_=ctx.owner, to=ctx.bare(chat), id_=id_)
    inner.extend(child for child in children if child is not None)
    wrapped = el("privilege", xml.PRIVILEGE, el("forwarded", xml.FORWARD, inner))
    return el("message", xml.CLIENT, wrapped, from_=ctx.domain, to=host_of(ctx.owner), id_=ctx.fresh_id())


def echo(stanza: Element, ctx: Context, chat: Address) -> list[Intent] | None:
    """Swallow the server's copy of what we sent as the owner: its id is a WhatsApp id that the journal knows."""
    known = ctx.ids.by_xmpp(ctx.key(chat), stanza.get("id", ""))
    if known is None or not known.from_me or known.xmpp != stanza_id(known.whatsapp):
        return None
    return []
