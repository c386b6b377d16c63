"""Stanzas as ElementTree trees: names of the namespaces, and the three helpers that make trees readable.

Features and machines build and read stanzas with these; drivers put them on the wire.
"""

from typing import Final
from xml.etree.ElementTree import Element

CLIENT: Final = "jabber:client"
COMPONENT: Final = "jabber:component:accept"
STANZA_ERROR: Final = "urn:ietf:params:xml:ns:xmpp-stanzas"
SHARDS: Final = "urn:component-shards:1"
SM: Final = "urn:xmpp:sm:3"
RECEIPTS: Final = "urn:xmpp:receipts"  # XEP-0184
MARKERS: Final = "urn:xmpp:chat-markers:0"  # XEP-0333
CHATSTATES: Final = "http://jabber.org/protocol/chatstates"  # XEP-0085
DELAY: Final = "urn:xmpp:delay"  # XEP-0203
HINTS: Final = "urn:xmpp:hints"  # XEP-0334
FORWARD: Final = "urn:xmpp:forward:0"  # XEP-0297
PRIVILEGE: Final = "urn:xmpp:privilege:2"  # XEP-0356
ROSTER: Final = "jabber:iq:roster"
REGISTER: Final = "jabber:iq:register"  # XEP-0077
GATEWAY: Final = "jabber:iq:gateway"  # XEP-0100
COMMANDS: Final = "http://jabber.org/protocol/commands"  # XEP-0050
DATA: Final = "jabber:x:data"  # XEP-0004
OOB: Final = "jabber:x:oob"  # XEP-0066
REPLACE: Final = "urn:xmpp:message-correct:0"  # XEP-0308
UPLOAD: Final = "urn:xmpp:http:upload:0"  # XEP-0363
DISCO_INFO: Final = "http://jabber.org/protocol/disco#info"
DISCO_ITEMS: Final = "http://jabber.org/protocol/disco#items"
SID: Final = "urn:xmpp:sid:0"  # XEP-0359
CARBONS: Final = "urn:xmpp:carbons:2"  # XEP-0280
NICK: Final = "http://jabber.org/protocol/nick"  # XEP-0172
CAPS: Final = "http://jabber.org/protocol/caps"  # XEP-0115
PING: Final = "urn:xmpp:ping"  # XEP-0199


def el(name: str, ns: str, /, *children: Element | str, **attrs: str | None) -> Element:
    """Make an element; a text child becomes its text, attributes that are None are left out.

    A trailing underscore of an attribute name is cut, so that `from_`, `type_` and `id_` can be written.

    >>> from xml.etree.ElementTree import tostring
    >>> tostring(el("body", CLIENT, "hi"), encoding="unicode", default_namespace=CLIENT)
    '<body xmlns="jabber:client">hi</body>'
    """
    made = Element(f"{{{ns}}}{name}", {k.rstrip("_"): v for k, v in attrs.items() if v is not None})
    for child in children:
        if isinstance(child, str):
            made.text = (made.text or "") + child
        else:
            made.append(child)
    return made


def find(node: Element, name: str, ns: str) -> Element | None:
    """Give the first child of that name, or None."""
    return node.find(f"{{{ns}}}{name}")


def text_of(node: Element, name: str, ns: str) -> str | None:
    """Give the text of the first child of that name: None if there is no such child, '' if it is empty."""
    child = find(node, name, ns)
    return None if child is None else child.text or ""


def local_name(node: Element) -> str:
    """Give the name without its namespace: message, iq, presence."""
    return node.tag.rpartition("}")[2]
