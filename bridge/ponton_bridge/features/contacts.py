"""The roster: contacts of the phone's address book, and people one has talked to; never the members of groups.

The server's roster is written by privilege (XEP-0356): an iq to the owner's bare JID, subscription both, one group.
Only what changed is pushed, so that what the owner renames or removes by hand stays so; pushes are durable.
"""

from typing import Final
from xml.etree.ElementTree import Element

from ponton_bridge.model import xml
from ponton_bridge.model.address import Address, Kind
from ponton_bridge.model.errors import OwnerError
from ponton_bridge.model.xml import el
from ponton_bridge.whatsapp import port

from . import presence
from .context import Context, Intent, Keep, Rendered, Reply, bare, group_key
from .stanzas import label

GROUP: Final = "WhatsApp"
MAX_CONTACTS: Final = 20_000  # in the roster; WhatsApp's address books are far smaller


def learn(event: port.Event, ctx: Context) -> Rendered:
    """Note who has which number; a contact known by LID alone so far, or by an old number, changes its JID."""
    done = Rendered()
    for who in _people(event):
        before = ctx.book.complete(Address(lid=who.lid)) if who.lid else who
        if not (who.number and who.lid) or before == who:
            continue
        known = ctx.book.contact(before)
        ctx.book.learn(who)
        if known is not None and before.localpart() != who.localpart():
            done.durable += [_removal(before.localpart(), ctx), _push((who, *known[1:]), ctx)]
    return done


def _people(event: port.Event) -> list[Address]:
    """Give everybody whom an event names."""
    match event:
        case port.Message() | port.Undecryptable() | port.Typing():
            return [event.chat, event.sender]
        case port.Receipt():
            return [event.chat, event.reader]
        case port.Presence():
            return [event.who]
        case port.Contacts():
            return [entry.who for entry in event.entries]
        case port.Call():
            return [event.caller]
        case _:
            return []


def from_whatsapp(event: port.Event, ctx: Context) -> Rendered | None:
    """Bring the roster up to date with an address book, or with the one who just wrote or was written to."""
    match event:
        case port.Contacts():
            return _book(event, ctx)
        case port.Message(chat=chat) if chat.kind is Kind.USER and not _ignored(event):
            return _talked(event, ctx)
        case _:
            return None


def _ignored(event: port.Message) -> bool:
    """Broadcasts to everybody are no talk."""
    return isinstance(event.content, port.Other) and event.content.kind in {
        port.OtherKind.STATUS,
        port.OtherKind.CHANNEL,
    }


def _book(event: port.Contacts, ctx: Context) -> Rendered:
    done = Rendered()
    before = {ctx.key(who): (who, name, push) for who, name, push in ctx.book.contacts()}
    here: set[str] = set()
    for entry in event.entries:
        key = ctx.key(entry.who)
        old = before.get(key)
        here |= {key} if entry.name else set()
        if entry.who.kind is Kind.GROUP:  # its name is kept for the lines that come from it; the roster is for people
            if entry.name and entry.name != ctx.name(entry.who):
                done.settings.append((group_key(entry.who), entry.name))
            continue
        if old is None and (not entry.name or len(before) >= MAX_CONTACTS):
            continue
        name = entry.name or (old[1] if old else "")
        merged = (ctx.book.complete(entry.who), name, entry.push_name or (old[2] if old else ""))
        before[key] = merged
        done.add(_changed(old, merged, ctx))
    if event.complete:
        for key, (who, name, _) in before.items():
            if name and key not in here:
                done.forgotten.append(who)
                done.durable.append(removal(who, ctx))
    return done


def _talked(event: port.Message, ctx: Context) -> Rendered:
    old = ctx.book.contact(event.chat)
    push = "" if event.from_me else event.push_name
    who = ctx.book.complete(event.chat)
    return _changed(old, (who, old[1], push or old[2]) if old else (who, "", push), ctx)


def _changed(old: tuple[Address, str, str] | None, new: tuple[Address, str, str], ctx: Context) -> Rendered:
    """Save what is new; push what is shown differently."""
    if old is None:
        here = presence.stanza(new[0], ctx, new[1] or new[2])
        return Rendered(durable=[_push(new, ctx)], transient=[here], saved=[new])
    if old[1:] == new[1:]:
        return Rendered()
    return Rendered(durable=[_push(new, ctx)] if _shown(old, ctx) != _shown(new, ctx) else [], saved=[new])


def _shown(contact: tuple[Address, str, str], ctx: Context) -> str:
    who, name, push = contact
    return label(name or push) or ctx.book.complete(who).localpart()


def _push(contact: tuple[Address, str, str], ctx: Context) -> Element:
    item = el("item", xml.ROSTER, jid=ctx.bare(contact[0]), name=_shown(contact, ctx), subscription="both")
    item.append(el("group", xml.ROSTER, GROUP))
    return _set(item, ctx)


def removal(who: Address, ctx: Context) -> Element:
    """Take one contact out of the roster."""
    return _removal(ctx.book.complete(who).localpart(), ctx)


def _removal(local: str, ctx: Context) -> Element:
    return _set(el("item", xml.ROSTER, jid=f"{local}@{ctx.domain}", subscription="remove"), ctx)


def _set(item: Element, ctx: Context) -> Element:
    query = el("query", xml.ROSTER, item)
    return el("iq", xml.CLIENT, query, type_="set", from_=ctx.domain, to=ctx.owner, id_=f"roster-{ctx.fresh_id()}")


def everything(ctx: Context) -> Rendered:
    """Push the whole roster again: after the account was linked anew, or on demand."""
    return Rendered(durable=[_push(known, ctx) for known in ctx.book.contacts()])


def from_xmpp(stanza: Element, ctx: Context) -> list[Intent] | None:
    """Let the owner add a contact by hand: accepted at once, in the roster, kept."""
    if stanza.get("type") != "subscribe":
        return None
    to = bare(stanza.get("to", ""))
    try:
        who = ctx.address(to)
    except OwnerError:
        return [_answer("unsubscribed", to, ctx)]
    if who.kind is Kind.GROUP:
        return [_answer("unsubscribed", to, ctx)]
    known = ctx.book.contact(who) or (who, "", "")
    pushed = Reply(_push(known, ctx), durable=True)
    return [Keep(known), _answer("subscribed", to, ctx), pushed, Reply(presence.stanza(who, ctx))]


def _answer(kind: str, contact: str, ctx: Context) -> Reply:
    return Reply(el("presence", xml.CLIENT, type_=kind, from_=contact, to=ctx.owner), durable=True)
