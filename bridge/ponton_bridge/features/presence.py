"""Who is there: a contact's presence to the owner, with caps, and the owner's to WhatsApp.

While the account is linked a contact never looks offline: it can always be written to, and only an available
resource lets its caps bind. "Online at WhatsApp" is plain available, everything else is away (idle since, XEP-0319,
when WhatsApp tells). The owner is online at WhatsApp while a client is neither away nor busy.
"""

from typing import Final
from xml.etree.ElementTree import Element

from ponton_bridge.model import xml
from ponton_bridge.model.address import Address, Kind
from ponton_bridge.model.errors import OwnerError
from ponton_bridge.model.xml import el, find, text_of
from ponton_bridge.whatsapp import port

from . import disco
from .context import Context, Intent, Rendered, Reply, SetPresence, localpart
from .stanzas import error, label, stamp

IDLE: Final = "urn:xmpp:idle:1"  # XEP-0319
MUC: Final = "http://jabber.org/protocol/muc"  # XEP-0045
IN_FRONT: Final = frozenset({None, "", "chat"})  # <show/> of a client that is being looked at
MAX_CLIENTS: Final = 50  # of one owner; Prosody's own limit per account is lower by default


def from_whatsapp(event: port.Event, ctx: Context) -> Rendered | None:
    """Show a contact as WhatsApp does."""
    if not isinstance(event, port.Presence):
        return None
    ctx.live.saw(ctx.key(event.who), event)
    return Rendered(transient=[stanza(event.who, ctx)])


def stanza(who: Address, ctx: Context, name: str = "") -> Element:
    """Give a contact's presence as far as it is known; `name` if the books do not have one yet."""
    known = ctx.live.presences.get(ctx.key(who))
    made = el("presence", xml.CLIENT, from_=ctx.full(who), to=ctx.owner)
    if known is None or not known.available:
        made.append(el("show", xml.CLIENT, "away"))
        if known is not None and known.last_seen is not None:
            made.append(el("idle", IDLE, since=stamp(known.last_seen)))
    made.append(disco.caps())
    made.append(el("nick", xml.NICK, label(ctx.name(who, name))))
    return made


def everybody(ctx: Context, *, linked: bool) -> list[Element]:
    """Give the presence of all contacts: when the link begins or ends."""
    people = [address for address, _, _ in ctx.book.contacts()]
    if linked:
        return [stanza(who, ctx) for who in people]
    return [el("presence", xml.CLIENT, type_="unavailable", from_=ctx.full(who), to=ctx.owner) for who in people]


def from_xmpp(stanza_: Element, ctx: Context) -> list[Intent]:
    """Follow the owner's clients; answer probes at once, and say so when somebody tries to enter a room."""
    kind = stanza_.get("type")
    to = stanza_.get("to", "")
    if not localpart(to):
        return _clients(stanza_, ctx) if kind in {None, "unavailable"} else []
    if kind is None and find(stanza_, "x", MUC) is not None:
        why = "Groups are not carried as rooms yet; their messages come as a chat."
        return [Reply(error(stanza_, "feature-not-implemented", "cancel", why))]
    if kind != "probe":
        return []
    try:
        who = ctx.address(to)
    except OwnerError:
        return []
    return [] if who.kind is Kind.GROUP else [Reply(stanza(who, ctx))]


def _clients(stanza_: Element, ctx: Context) -> list[Intent]:
    """Keep the list of the owner's clients; tell WhatsApp when the sum of them changes."""
    live = ctx.live
    before = live.available
    client = stanza_.get("from", "")
    live.clients.pop(client, None)
    if stanza_.get("type") is None:
        live.clients[client] = text_of(stanza_, "show", xml.CLIENT) in IN_FRONT
        if len(live.clients) > MAX_CLIENTS:
            del live.clients[next(iter(live.clients))]
    return [] if live.available == before else [SetPresence(live.available)]
