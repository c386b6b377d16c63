"""How features write stanzas: cleaning of foreign text, messages from a contact, answers, errors.

Everything that comes from WhatsApp passes `clean_tree` on its way out (pipeline does it), so that no name, text or id
of a stranger can break the owner's XML stream.
"""

import hashlib
import re
from datetime import UTC, datetime
from typing import Final
from xml.etree.ElementTree import Element, SubElement
from xml.sax.saxutils import escape

from ponton_bridge.model import xml
from ponton_bridge.model.errors import PontonError
from ponton_bridge.model.xml import el

from .context import Context

MAX_TEXT: Final = 65_536  # characters of one message; WhatsApp's own limit
MAX_BYTES: Final = 200_000  # of one text as XML writes it; Prosody ends a stream at a stanza of 262,144 bytes
MAX_LABEL: Final = 100  # characters of a name; WhatsApp allows 25 for a push name and 100 for a group's subject
MAX_ID: Final = 128  # characters of a message id; WhatsApp's own have 18 to 32
OLD_AFTER: Final = 30  # seconds after which a message says when it was written (XEP-0203)

CUT: Final = " […]"

# Not a character of XML 1.0 (section 2.2), surrogates included.
_FORBIDDEN: Final = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_UNSEEN: Final = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # direction marks: a name must not turn a line
_PLAIN_ID: Final = re.compile(rf"[A-Za-z0-9._:@=+-]{{1,{MAX_ID}}}")


def clean(text: str) -> str:
    r"""Replace what XML cannot carry, make line ends uniform, cut at MAX_TEXT characters and MAX_BYTES.

    >>> clean("a\r\nb\x00")
    'a\nb�'
    """
    done = _FORBIDDEN.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))
    whole = len(done)
    done = done[:MAX_TEXT]
    while len(done) * 6 > MAX_BYTES and (size := len(escape(done).encode())) > MAX_BYTES:
        done = done[: len(done) * MAX_BYTES // size - 1]
    return done if len(done) == whole else done[: -len(CUT)] + CUT


def clean_tree(node: Element) -> Element:
    """Clean all text and attribute values of a stanza in place, and give it back."""
    for each in node.iter():
        each.text = clean(each.text) if each.text else each.text
        each.tail = clean(each.tail) if each.tail else each.tail
        for name, value in each.attrib.items():
            each.set(name, clean(value))
    return node


def label(name: str) -> str:
    """Make a name fit for one line: white space collapsed, direction marks out, at most MAX_LABEL characters."""
    done = " ".join(_UNSEEN.sub("", clean(name)).split())
    return done if len(done) <= MAX_LABEL else done[: MAX_LABEL - 1] + "…"


def stanza_id(whatsapp_id: str) -> str:
    """Give the stanza id for a WhatsApp id: the same, or a digest of it if it is no plain word."""
    if _PLAIN_ID.fullmatch(whatsapp_id):
        return whatsapp_id
    return "wa-" + hashlib.sha256(whatsapp_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def stamp(seconds: int) -> str:
    """Give a time as XEP-0082 writes it; what is outside the years 1970 to 9999 is moved to their edge."""
    return datetime.fromtimestamp(min(max(seconds, 0), 253_402_300_799), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def delay(ctx: Context, written: int) -> Element | None:
    """Give <delay/> for a message that was written some time ago, None for a fresh one."""
    if ctx.now - written < OLD_AFTER:
        return None
    return el("delay", xml.DELAY, from_=ctx.domain, stamp=stamp(written))


def message(ctx: Context, sender: str, *children: Element | None, id_: str) -> Element:
    """Give a chat message to the owner's bare JID; children that are None are left out."""
    made = el("message", xml.CLIENT, type_="chat", from_=sender, to=ctx.owner, id_=id_)
    made.extend(child for child in children if child is not None)
    return made


def body(text: str) -> Element:
    """Give <body/>."""
    return el("body", xml.CLIENT, text)


def result(stanza: Element, *children: Element) -> Element:
    """Answer an iq with a result."""
    return el(
        "iq", xml.CLIENT, *children, type_="result", from_=stanza.get("to"), to=stanza.get("from"), id_=stanza.get("id")
    )


def error(stanza: Element, condition: str, kind: str, text: str = "") -> Element:
    """Answer a stanza with an error (RFC 6120, 8.3): `condition` and `kind` as there, `text` for people."""
    name = xml.local_name(stanza)
    made = el(name, xml.CLIENT, type_="error", from_=stanza.get("to"), to=stanza.get("from"), id_=stanza.get("id"))
    inner = SubElement(made, f"{{{xml.CLIENT}}}error", {"type": kind})
    inner.append(el(condition, xml.STANZA_ERROR))
    if text:
        said = el("text", xml.STANZA_ERROR, text)
        said.set("{http://www.w3.org/XML/1998/namespace}lang", "en")
        inner.append(said)
    return made


def problem(stanza: Element, cause: PontonError) -> Element:
    """Answer a stanza with what a typed error says."""
    return error(stanza, cause.condition, cause.kind, cause.sentence)
