"""Who is writing (XEP-0085), both ways. Recording is shown as writing: there is no other word for it."""

from typing import Final
from xml.etree.ElementTree import Element

from ponton_bridge.model import xml
from ponton_bridge.model.address import Address, Kind
from ponton_bridge.model.xml import el, find
from ponton_bridge.whatsapp import port
from ponton_bridge.whatsapp.port import TypingState

from .context import Context, Intent, Rendered, SetTyping, Subscribe
from .stanzas import message

SHOWN: Final = {
    TypingState.COMPOSING: "composing",
    TypingState.RECORDING: "composing",
    TypingState.PAUSED: "paused",
}
STATES: Final = {
    "composing": TypingState.COMPOSING,
    "paused": TypingState.PAUSED,
    "active": TypingState.PAUSED,
    "inactive": TypingState.PAUSED,
    "gone": TypingState.PAUSED,
}


def from_whatsapp(event: port.Event, ctx: Context) -> Rendered | None:
    """Show a contact as writing; in groups not yet, since there is no room to show it in."""
    if not isinstance(event, port.Typing):
        return None
    if event.chat.kind is Kind.GROUP:
        return Rendered()
    state = el(SHOWN[event.state], xml.CHATSTATES)
    stanza = message(ctx, ctx.full(event.chat), state, el("no-store", xml.HINTS), id_=ctx.fresh_id())
    return Rendered(transient=[stanza])


def state(stanza: Element) -> TypingState | None:
    """Give what a message says about the owner's writing, None when it says nothing."""
    return next((meant for name, meant in STATES.items() if find(stanza, name, xml.CHATSTATES) is not None), None)


def from_xmpp(stanza: Element, _ctx: Context, chat: Address) -> list[Intent] | None:
    """Show the owner as writing or not. An open chat (active, composing) is worth the contact's presence."""
    meant = state(stanza)
    if meant is None:
        return None
    asked: list[Intent] = [SetTyping(chat, meant)]
    opened = any(find(stanza, name, xml.CHATSTATES) is not None for name in ("active", "composing"))
    return [*asked, Subscribe(chat)] if opened else asked
