"""What a contact's JID answers: service discovery, card, ping, version. Every other get or set is refused at once.

The features named here are what the bridge can do with a contact today; the caps hash (XEP-0115) in a contact's
presence is made of the same list, so that clients know without asking.
"""

import base64
import hashlib
from collections.abc import Callable
from typing import Final
from xml.etree.ElementTree import Element

from ponton_bridge.model import xml
from ponton_bridge.model.address import Address, Kind
from ponton_bridge.model.errors import OwnerError
from ponton_bridge.model.xml import el

from .context import Context, Intent, Reply, localpart
from .stanzas import error, label, problem, result

NODE: Final = "https://ponton.im/contact"
VCARD: Final = "vcard-temp"  # XEP-0054
VERSION: Final = "jabber:iq:version"  # XEP-0092
FEATURES: Final = tuple(
    sorted(
        (
            xml.CHATSTATES,
            xml.DISCO_INFO,
            xml.DISCO_ITEMS,
            xml.MARKERS,
            xml.NICK,
            xml.PING,
            xml.RECEIPTS,
            xml.REPLACE,
            VCARD,
            VERSION,
        )
    )
)
_VERIFIED: Final = "client/phone//WhatsApp<" + "".join(f"{feature}<" for feature in FEATURES)
VER: Final = base64.b64encode(hashlib.sha1(_VERIFIED.encode(), usedforsecurity=False).digest()).decode()


def caps() -> Element:
    """Give the caps of a contact's presence."""
    return el("c", xml.CAPS, hash="sha-1", node=NODE, ver=VER)


def from_xmpp(stanza: Element, ctx: Context) -> list[Intent]:
    """Answer an iq; results and errors need none."""
    kind = stanza.get("type")
    if kind in {"result", "error"}:
        return []
    payload = next(iter(stanza), None)
    if kind not in {"get", "set"} or payload is None:
        return [Reply(error(stanza, "bad-request", "modify"))]
    answer = ANSWERS.get(payload.tag) if kind == "get" else None
    if answer is None:
        return [Reply(error(stanza, "service-unavailable", "cancel"))]
    try:
        address = ctx.address(stanza.get("to", "")) if localpart(stanza.get("to", "")) else None
    except OwnerError as cause:
        return [Reply(problem(stanza, cause))]
    if address is None or address.kind is Kind.GROUP:
        return [Reply(error(stanza, "service-unavailable", "cancel", "Groups are not carried as rooms yet."))]
    made = answer(stanza, payload, address, ctx)
    return [Reply(error(stanza, "item-not-found", "cancel") if made is None else result(stanza, *made))]


def _info(stanza: Element, query: Element, _address: Address, _ctx: Context) -> list[Element] | None:
    """A contact is an account; the resource from which it speaks is a phone. Nodes other than the caps are unknown."""
    node = query.get("node")
    if node not in {None, f"{NODE}#{VER}"}:
        return None
    is_client = node is not None or "/" in stanza.get("to", "")
    category, type_, name = ("client", "phone", "WhatsApp") if is_client else ("account", "registered", None)
    features = (el("feature", xml.DISCO_INFO, var=feature) for feature in FEATURES)
    identity = el("identity", xml.DISCO_INFO, category=category, type_=type_, name=name)
    return [el("query", xml.DISCO_INFO, identity, *features, node=node)]


def _items(_stanza: Element, query: Element, _address: Address, _ctx: Context) -> list[Element]:
    return [el("query", xml.DISCO_ITEMS, node=query.get("node"))]


def _card(_stanza: Element, _query: Element, address: Address, ctx: Context) -> list[Element]:
    name = label(ctx.name(address))
    card = el("vCard", VCARD, el("FN", VCARD, name), el("NICKNAME", VCARD, name))
    if address.number:
        card.append(el("TEL", VCARD, el("CELL", VCARD), el("NUMBER", VCARD, f"+{address.number}")))
    return [card]


def _pong(_stanza: Element, _query: Element, _address: Address, _ctx: Context) -> list[Element]:
    return []


def _version(_stanza: Element, _query: Element, _address: Address, _ctx: Context) -> list[Element]:
    return [el("query", VERSION, el("name", VERSION, "WhatsApp by Ponton"), el("version", VERSION, "1"))]


ANSWERS: Final[dict[str, Callable[[Element, Element, Address, Context], list[Element] | None]]] = {
    f"{{{xml.DISCO_INFO}}}query": _info,
    f"{{{xml.DISCO_ITEMS}}}query": _items,
    f"{{{VCARD}}}vCard": _card,
    f"{{{xml.PING}}}ping": _pong,
    f"{{{VERSION}}}query": _version,
}
