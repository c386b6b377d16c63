"""The one list of conversation features, and the functions by which the shard runs them.

Called by the shard inside the journal's transaction. A WhatsApp event goes through all of FEATURES and what they make
of it is put together; a message of the owner goes down STEPS until one takes it. Nothing here does I/O, raises for bad
input, or keeps anything but `Context.live`.
"""

from collections.abc import Callable
from typing import Final
from xml.etree.ElementTree import Element

from ponton_bridge.model.address import Address, Kind, from_localpart
from ponton_bridge.model.errors import OwnerError, PontonError
from ponton_bridge.model.xml import local_name
from ponton_bridge.whatsapp import port

from . import contacts, disco, encrypted, notices, own, presence, receipts, refuse, text, typing
from .context import Context, Intent, Keeper, Rendered, Reply, bare, localpart
from .stanzas import clean_tree, error, problem

Feature = Callable[[port.Event, Context], Rendered | None]
Step = Callable[[Element, Context, Address], list[Intent] | None]

FEATURES: Final[tuple[Feature, ...]] = (
    contacts.from_whatsapp,
    text.from_whatsapp,
    own.from_whatsapp,
    receipts.from_whatsapp,
    typing.from_whatsapp,
    presence.from_whatsapp,
    notices.from_whatsapp,
)
STEPS: Final[tuple[Step, ...]] = (
    own.echo,
    lambda stanza, ctx, _chat: encrypted.from_xmpp(stanza, ctx),
    receipts.from_xmpp,
    lambda stanza, ctx, chat: refuse.group(stanza, ctx) if chat.kind is Kind.GROUP else None,
    lambda stanza, ctx, _chat: refuse.payload(stanza, ctx),
    text.from_xmpp,
    typing.from_xmpp,
    lambda stanza, ctx, _chat: refuse.rest(stanza, ctx),
)


def from_whatsapp(event: port.Event, ctx: Context) -> Rendered:
    """Turn an event into stanzas and what the journal has to keep; link and pairing events give nothing."""
    done = contacts.learn(event, ctx)
    for feature in FEATURES:
        made = feature(event, ctx)
        if made is not None:
            done.add(made)
    for stanza in (*done.durable, *done.transient):
        clean_tree(stanza)
    return done


def keep(done: Rendered, store: Keeper) -> None:
    """Write what belongs to the journal; stanzas are the caller's."""
    for who, name, push_name in done.saved:
        store.save_contact(who, name, push_name)
    for who in done.forgotten:
        store.forget_contact(who)
    for key, value in done.settings:
        store.set(key, value)
    for pair in done.pairs:
        store.remember(pair)
    if done.read:
        store.mark_read(done.read)


def from_xmpp(stanza: Element, ctx: Context) -> list[Intent]:
    """Turn a stanza of the owner (namespace jabber:client) into intents; what is refused gives an error stanza."""
    if bare(stanza.get("from", "")) != ctx.owner:
        return []  # the server's own answers to us, and nobody else: the module lets only the owner through
    match local_name(stanza):
        case "message":
            intents = _message(stanza, ctx)
        case "presence":
            subscribed = contacts.from_xmpp(stanza, ctx)
            intents = presence.from_xmpp(stanza, ctx) if subscribed is None else subscribed
        case "iq":
            intents = disco.from_xmpp(stanza, ctx)
        case _:
            intents = []
    for intent in intents:
        if isinstance(intent, Reply):
            clean_tree(intent.element)
    return intents


def _message(stanza: Element, ctx: Context) -> list[Intent]:
    wrong = refuse.wrong_type(stanza, ctx)
    if wrong is not None:
        return wrong
    to = stanza.get("to", "")
    if not localpart(to):
        return [Reply(error(stanza, "service-unavailable", "cancel"), durable=True)]
    try:
        chat = ctx.address(to)
        for step in STEPS:
            intents = step(stanza, ctx, chat)
            if intents is not None:
                return intents
    except OwnerError as cause:
        return [Reply(problem(stanza, cause), durable=True)]
    raise AssertionError("the last step takes everything")


def needs_journal(stanza: Element) -> str | None:
    """Give the key of the chat in whose order a stanza is to be journaled, None for what need not be.

    Journaled is every message that says something: all but bounces and bare chat states.
    """
    if local_name(stanza) != "message" or stanza.get("type") == "error":
        return None
    if len(stanza) == 0 or (typing.state(stanza) is not None and not _says_more(stanza)):
        return None
    try:
        return from_localpart(localpart(stanza.get("to", ""))).key
    except OwnerError:
        return bare(stanza.get("to", ""))


def _says_more(stanza: Element) -> bool:
    return any(
        not child.tag.startswith(("{http://jabber.org/protocol/chatstates}", "{urn:xmpp:hints}")) for child in stanza
    )


def sent(stanza: Element, done: port.Sent, ctx: Context) -> Rendered:
    """Note that WhatsApp has taken the message that this stanza became."""
    return text.sent(stanza, done, ctx, ctx.address(stanza.get("to", "")))


def failed(stanza: Element, cause: PontonError, _ctx: Context) -> Rendered:
    """Tell the owner that the message was not sent, and why."""
    return Rendered(durable=[clean_tree(problem(stanza, cause))])
