"""What the gateway says about itself: disco, vCard, ping, version (XEP-0030, 0054, 0199, 0092).

Identities are chosen for what clients really do with them (measured): `account` so that one client lets the gateway be
added as a contact, never `conference`, which another would take for a chat server.
"""

from typing import Final
from xml.etree.ElementTree import Element

from ponton_bridge.model import xml
from ponton_bridge.model.xml import el
from ponton_operator.selfservice.xmpp import stanzas

SEARCH: Final = "jabber:iq:search"
VCARD: Final = "vcard-temp"
VERSION: Final = "jabber:iq:version"

FEATURES: Final = (
    xml.DISCO_INFO,
    xml.DISCO_ITEMS,
    xml.REGISTER,
    xml.COMMANDS,
    xml.GATEWAY,
    xml.DATA,
    xml.PING,
    VCARD,
    VERSION,
)


def info(iq: Element, name: str, node: str | None, commands: dict[str, str]) -> Element | None:
    """Answer disco#info of the gateway or of one of its commands (node -> label); None for a node that is not ours."""
    if node is None:
        identities: list[tuple[str, str, str | None]] = [("gateway", "whatsapp", name), ("account", "registered", None)]
        features: tuple[str, ...] = FEATURES
    elif node == xml.COMMANDS:
        identities, features = [("automation", "command-list", name)], ()
    elif node in commands:
        identities, features = [("automation", "command-node", commands[node])], (xml.COMMANDS, xml.DATA)
    else:
        return None
    query = el(
        "query",
        xml.DISCO_INFO,
        *(el("identity", xml.DISCO_INFO, category=c, type_=t, name=n) for c, t, n in identities),
        *(el("feature", xml.DISCO_INFO, var=feature) for feature in features),
        node=node,
    )
    return stanzas.result(iq, query)


def items(iq: Element, domain: str, node: str | None, commands: list[tuple[str, str]]) -> Element:
    """Answer disco#items: the commands under their own node, nothing else (contacts are nobody else's business)."""
    entries = [
        el("item", xml.DISCO_ITEMS, jid=domain, node=command, name=label)
        for command, label in (commands if node == xml.COMMANDS else [])
    ]
    return stanzas.result(iq, el("query", xml.DISCO_ITEMS, *entries, node=node))


def vcard(iq: Element, name: str) -> Element:
    """Answer with the gateway's card."""
    return stanzas.result(iq, el("vCard", VCARD, el("FN", VCARD, name), el("NICKNAME", VCARD, name)))


def version(iq: Element) -> Element:
    """Answer with the program's name; the exact version is the host's business."""
    return stanzas.result(iq, el("query", VERSION, el("name", VERSION, "Ponton"), el("version", VERSION, "0")))
