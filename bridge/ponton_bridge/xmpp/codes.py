"""The messages that show, replace and expire a code: pure shapes, as real clients want them.

Measured with Gajim, Dino and profanity (docs/adr/0001): a picture must never be corrected into another picture (it is
not redrawn and a dead code stays), so each code is a message of its own and the one before is retracted with a text
that every client shows. An image message's body is its URL alone, so how to scan is said before it. Everything goes to
full JIDs and asks to be neither stored nor copied: a code is a secret for a minute.
"""

from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from xml.etree.ElementTree import Element

from ponton_bridge.model.xml import CLIENT, HINTS, OOB, el

REFERENCE: Final = "urn:xmpp:reference:0"  # XEP-0372
SIMS: Final = "urn:xmpp:sims:1"  # XEP-0385
SFS: Final = "urn:xmpp:sfs:0"  # XEP-0447
FILE: Final = "urn:xmpp:jingle:apps:file-transfer:5"  # XEP-0234
FILE_METADATA: Final = "urn:xmpp:file:metadata:0"  # XEP-0446
HASHES: Final = "urn:xmpp:hashes:2"  # XEP-0300
URL_DATA: Final = "http://jabber.org/protocol/url-data"  # XEP-0103
FALLBACK: Final = "urn:xmpp:fallback:0"  # XEP-0428
RETRACT: Final = "urn:xmpp:message-retract:1"  # XEP-0424
PNG: Final = "image/png"
NAME: Final = "code.png"

HOW_TO_SCAN: Final = (
    "To link WhatsApp: on your phone open WhatsApp > Settings > Linked devices > Link a device, "
    "and scan the picture below. It changes every minute or so: only the newest one works.\n"
    "No second screen at hand? Write 'pair' and your number, for example: pair +44 7700 900123. "
    "You then get a code of eight letters to type on the phone."
)
NO_PICTURE: Final = (
    "To link WhatsApp, write 'pair' and your number, for example: pair +44 7700 900123. You then get a code of eight "
    "letters to type on the phone. (The picture to scan cannot be sent at the moment; it is tried again.)"
)
TYPE_IT: Final = (
    "Your code is {code}. On the phone open WhatsApp > Settings > Linked devices > Link a device > "
    "Link with phone number instead, and type it."
)
PASSKEY: Final = (
    "WhatsApp asks for your passkey before it links this number. You need a computer for it. "
    "Write 'passkey' and I tell you how; there are {minutes} minutes."
)
COMPARE: Final = (
    "WhatsApp shows a code on your phone. Is it {code}? Write 'passkey yes' if it is the same, 'passkey no' if not. "
    "There are {minutes} minutes."
)
ANSWERED: Final = "The request above was answered."
COMPARED: Final = "The codes above were compared."
NOT_ANSWERED: Final = "The request above holds no longer."
LINKED: Final = "Linked with WhatsApp. Your contacts appear in your contact list now; just write to them."
EXPIRED: Final = "The code above has expired."
USED: Final = "The code above was used."


@dataclass(frozen=True, slots=True)
class Picture:
    """An uploaded picture of a code; `side` in pixels."""

    url: str
    data: bytes
    side: int


def _message(sender: str, to: str, message_id: str, *children: Element) -> Element:
    # no-copy as well: each resource gets its own message, a carbon would show it twice (and to nobody else)
    hints = (el(name, HINTS) for name in ("no-permanent-store", "no-store", "no-copy"))
    return el("message", CLIENT, *children, *hints, type_="chat", from_=sender, to=to, id_=message_id)


def text(sender: str, to: str, message_id: str, body: str) -> Element:
    """Say something that belongs to the codes and is worth nothing after them."""
    return _message(sender, to, message_id, el("body", CLIENT, body))


def image(sender: str, to: str, message_id: str, shown: Picture) -> Element:
    """Show a picture, in all the three ways in which clients recognise one: OOB, SIMS and SFS."""
    body = el("body", CLIENT, shown.url)
    oob = el("x", OOB, el("url", OOB, shown.url))
    media = el("media-sharing", SIMS, _file(FILE, shown), el("sources", SIMS, _data(shown.url)))
    reference = _data(shown.url)
    reference.attrib |= {"begin": "0", "end": str(len(shown.url))}
    reference.append(media)
    sources = el("sources", SFS, el("url-data", URL_DATA, target=shown.url))
    sharing = el("file-sharing", SFS, _file(FILE_METADATA, shown), sources, disposition="inline")
    fallback = el("fallback", FALLBACK, el("body", FALLBACK), for_=SFS)
    return _message(sender, to, message_id, body, oob, reference, sharing, fallback)


def retraction(sender: str, to: str, message_id: str, target: str, body: str) -> Element:
    """Take a message back; clients that do not know retraction show the text right below it ('': nothing)."""
    retract = el("retract", RETRACT, id_=target)
    shown = (el("fallback", FALLBACK, for_=RETRACT), el("body", CLIENT, body)) if body else ()
    return _message(sender, to, message_id, retract, *shown)


def _data(url: str) -> Element:
    return el("reference", REFERENCE, type_="data", uri=url)


def _file(ns: str, shown: Picture) -> Element:
    digest = b64encode(sha256(shown.data).digest()).decode()
    side, size = str(shown.side), str(len(shown.data))
    values = (("media-type", PNG), ("name", NAME), ("size", size), ("width", side), ("height", side))
    return el("file", ns, *(el(name, ns, value) for name, value in values), el("hash", HASHES, digest, algo="sha-256"))
