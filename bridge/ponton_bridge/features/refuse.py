"""What cannot be carried to WhatsApp (yet): answered with an error that says why and how to go on, never with silence.

The table names payloads in the order in which they are looked for; the fallback body that comes with them is for
people without the feature and must not be sent as if the owner had written it.
"""

from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element

from ponton_bridge.model import xml
from ponton_bridge.model.xml import find, text_of

from .context import Context, Intent, Reply
from .stanzas import error

NOT_YET: Final = "Use WhatsApp on your phone for this."
FILES: Final = "Files are not carried to WhatsApp yet, so this was not sent."
PAYLOADS: Final = {
    f"{{{xml.OOB}}}x": f"{FILES} A link works if you send it as plain text.",  # XEP-0066
    "{urn:xmpp:sfs:0}file-sharing": FILES,  # XEP-0447
    "{urn:xmpp:sims:1}media-sharing": FILES,  # XEP-0385
    "{urn:xmpp:stickers:0}sticker": f"Stickers are not carried to WhatsApp yet. {NOT_YET}",  # XEP-0449
    "{urn:xmpp:message-retract:1}retract": f"Deleting is not carried to WhatsApp yet. {NOT_YET}",  # XEP-0424
    "{urn:xmpp:reactions:0}reactions": f"Reactions are not carried to WhatsApp yet. {NOT_YET}",  # XEP-0444
    "{urn:xmpp:jingle-message:0}propose": f"Calls are not carried to WhatsApp. {NOT_YET}",  # XEP-0353
    "{jabber:x:conference}x": f"Invitations to rooms are not carried to WhatsApp. {NOT_YET}",  # XEP-0249
    "{urn:xmpp:attention:0}attention": "WhatsApp knows no nudge, so this was not sent.",  # XEP-0224
}
REFERENCE: Final = "{urn:xmpp:reference:0}reference"  # XEP-0372, in which SIMS may be wrapped
XHTML: Final = "{http://jabber.org/protocol/xhtml-im}html"  # XEP-0071
# Beside the words, or instead of them, but nothing that the owner says: no answer is expected.
QUIET: Final = frozenset(
    {
        f"{{{xml.RECEIPTS}}}received",
        f"{{{xml.MARKERS}}}received",
        "{urn:xmpp:jingle-message:0}accept",
        "{urn:xmpp:jingle-message:0}reject",
        "{urn:xmpp:jingle-message:0}retract",
        "{urn:xmpp:jingle-message:0}finish",
        "{http://jabber.org/protocol/pubsub#event}event",
    }
)
TYPES: Final = frozenset({None, "", "chat", "normal"})


def wrong_type(stanza: Element, _ctx: Context) -> list[Intent] | None:
    """Refuse room messages and headlines; errors (a bounce of ours) are never answered."""
    kind = stanza.get("type")
    if kind == "error":
        return []
    return None if kind in TYPES else _no(stanza, "feature-not-implemented", f"This is not carried. {NOT_YET}")


def group(stanza: Element, _ctx: Context) -> list[Intent]:
    """Refuse what is written to a group."""
    return _no(stanza, "feature-not-implemented", f"Groups cannot be written to from here yet. {NOT_YET}")


def payload(stanza: Element, _ctx: Context) -> list[Intent] | None:
    """Refuse what has a payload that is not carried."""
    why = next((PAYLOADS[tag] for tag in _tags(stanza) if tag in PAYLOADS), None)
    return None if why is None else _no(stanza, "feature-not-implemented", why)


def _tags(stanza: Element) -> Iterator[str]:
    for child in stanza:
        yield child.tag
        if child.tag == REFERENCE:
            yield from (inner.tag for inner in child)


def rest(stanza: Element, _ctx: Context) -> list[Intent]:
    """Refuse what is left: no words, and nothing else that is known."""
    tags = {child.tag for child in stanza}
    if XHTML in tags:
        return _no(stanza, "not-acceptable", "This message has formatted text only; send it as plain text.")
    if text_of(stanza, "body", xml.CLIENT) is not None or find(stanza, "subject", xml.CLIENT) is not None:
        return _no(stanza, "not-acceptable", "This message is empty, so it was not sent.")
    if not tags or tags & QUIET or tags <= {f"{{{xml.HINTS}}}{hint}" for hint in ("store", "no-store", "no-copy")}:
        return []
    return _no(stanza, "feature-not-implemented", f"This kind of message is not carried to WhatsApp. {NOT_YET}")


def _no(stanza: Element, condition: str, text: str) -> list[Intent]:
    kind = "modify" if condition == "not-acceptable" else "cancel"
    return [Reply(error(stanza, condition, kind, text), durable=True)]
