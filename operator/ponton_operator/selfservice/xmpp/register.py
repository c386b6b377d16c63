"""The door of in-band registration (XEP-0077), with an optional phone number; a repeated `set` is harmless.

Called by the desk for every iq with a jabber:iq:register payload to the bare gateway domain.
"""

from typing import Final
from xml.etree.ElementTree import Element

from ponton_bridge.model import xml
from ponton_bridge.model.xml import el
from ponton_operator.selfservice import words
from ponton_operator.selfservice.service import AccountService, Answer, Ask, Request
from ponton_operator.selfservice.xmpp import forms, stanzas

TITLE: Final = "Link WhatsApp"
INSTRUCTIONS: Final = (
    "After this a picture with a code comes as a message: scan it with WhatsApp on your phone. "
    "If you have only this one phone, give its number too: then an 8-letter code to type comes with it. "
)


async def handle(iq: Element, owner: str, service: AccountService) -> tuple[Element, Answer | None]:
    """Answer a registration iq; the second part is what to tell by message. Raises PontonError."""
    query = iq[0]
    if iq.get("type") == "get":
        return stanzas.result(iq, await _form(owner, service)), None
    sure = xml.find(query, "remove", xml.REGISTER) is not None
    ask = Ask.DELETE if sure else Ask.REGISTER
    answer = await service.perform(Request(owner, ask, "" if sure else _number(query), sure=sure))
    return stanzas.result(iq), answer


async def _form(owner: str, service: AccountService) -> Element:
    """Make the form, with the plain fields of old clients beside it (XEP-0077, 3.1)."""
    known = await service.find(owner) is not None
    return el(
        "query",
        xml.REGISTER,
        *([el("registered", xml.REGISTER)] if known else []),
        el("instructions", xml.REGISTER, INSTRUCTIONS + words.TERMS),
        el("phone", xml.REGISTER),
        forms.form(
            TITLE,
            INSTRUCTIONS + words.TERMS,
            [
                forms.Field("FORM_TYPE", "", "hidden", xml.REGISTER),
                forms.Field("phone", "Phone number, for example +44 7700 900123 (may stay empty)"),
            ],
        ),
    )


def _number(query: Element) -> str:
    """Find the phone number in a submitted form, or in the plain field."""
    return forms.values(query).get("phone") or (xml.text_of(query, "phone", xml.REGISTER) or "")[: forms.MAX_VALUE]
