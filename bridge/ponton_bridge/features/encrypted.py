"""End-to-end encrypted messages: WhatsApp cannot read them, so the owner is told how to switch encryption off.

(The way from the bridge to WhatsApp is encrypted by WhatsApp's own means; the owner's server and this bridge can
read. That is said in the docs for users.)
"""

from typing import Final
from xml.etree.ElementTree import Element

from ponton_bridge.model import xml
from ponton_bridge.model.xml import text_of

from .context import Context, Intent, Reply
from .stanzas import error

OMEMO: Final = frozenset({"eu.siacs.conversations.axolotl", "urn:xmpp:omemo:1", "urn:xmpp:omemo:2"})  # XEP-0384
PAYLOADS: Final = frozenset(
    {
        *(f"{{{ns}}}encrypted" for ns in OMEMO),
        "{jabber:x:encrypted}x",  # XEP-0027
        "{urn:xmpp:openpgp:0}openpgp",  # XEP-0373
        "{urn:ietf:params:xml:ns:xmpp-e2e}e2e",  # RFC 3923
        "{urn:xmpp:eme:0}encryption",  # XEP-0380: says that the rest is encrypted
    }
)
OTR: Final = "?OTR"  # how every OTR message begins
HOW: Final = (
    "This message was encrypted for XMPP, which WhatsApp cannot read, so it was not sent. Switch encryption off for "
    "this contact and send it again. Conversations and Cheogram: the padlock above the chat, then Unencrypted. "
    "Gajim and Dino: the padlock beside the input line. Monal: the contact's details, then the padlock. "
    "Movim: the padlock beside the input line. profanity: /omemo end, /pgp end or /otr end."
)


def from_xmpp(stanza: Element, _ctx: Context) -> list[Intent] | None:
    """Refuse an encrypted message; one that only carries keys (no payload) is not the owner's words and is dropped."""
    tags = {child.tag for child in stanza}
    if not tags & PAYLOADS and not (text_of(stanza, "body", xml.CLIENT) or "").startswith(OTR):
        return None
    omemo = [child for child in stanza if child.tag in {f"{{{ns}}}encrypted" for ns in OMEMO}]
    if omemo and not any(child.find("{*}payload") is not None for child in omemo):
        return []
    return [Reply(error(stanza, "not-acceptable", "modify", HOW), durable=True)]
