"""Adding a contact by number (jabber:iq:gateway, XEP-0100 section 4.2): a prompt out, a number in, a JID back."""

from xml.etree.ElementTree import Element

from ponton_bridge.model import xml
from ponton_bridge.model.address import Address, parse_number
from ponton_bridge.model.xml import el
from ponton_operator.selfservice.xmpp import stanzas


def handle(iq: Element, domain: str) -> Element:
    """Answer get with the prompt, set with the JID of the number. Raises OwnerError when it is no number."""
    if iq.get("type") == "get":
        return stanzas.result(
            iq,
            el(
                "query",
                xml.GATEWAY,
                el("desc", xml.GATEWAY, "Enter the WhatsApp phone number of the contact, with the country code."),
                el("prompt", xml.GATEWAY, "Phone number"),
            ),
        )
    number = parse_number((xml.text_of(iq[0], "prompt", xml.GATEWAY) or "")[:40])
    jid = f"{Address(number=number).localpart()}@{domain}"
    # Old clients read the JID from <prompt/>, newer ones from <jid/>.
    return stanzas.result(iq, el("query", xml.GATEWAY, el("jid", xml.GATEWAY, jid), el("prompt", xml.GATEWAY, jid)))
