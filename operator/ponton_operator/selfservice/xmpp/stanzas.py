"""Answers that the front desk gives: results, errors, chat messages. Called by every handler of the door."""

from typing import Final
from xml.etree.ElementTree import Element

from ponton_bridge.model import xml
from ponton_bridge.model.address import GATEWAY_RESOURCE
from ponton_bridge.model.errors import PontonError
from ponton_bridge.model.xml import el

XML_LANG: Final = "{http://www.w3.org/XML/1998/namespace}lang"


def result(iq: Element, *children: Element) -> Element:
    """Answer an iq with `type='result'` (RFC 6120, 8.2.3)."""
    return el("iq", xml.CLIENT, *children, type_="result", id_=iq.get("id"), to=iq.get("from"), from_=iq.get("to"))


def error(stanza: Element, problem: PontonError) -> Element:
    """Answer any stanza with the error that `problem` stands for, its sentence as text (RFC 6120, 8.3)."""
    text = el("text", xml.STANZA_ERROR, problem.sentence)
    text.set(XML_LANG, "en")
    return el(
        xml.local_name(stanza),
        xml.CLIENT,
        el("error", xml.CLIENT, el(problem.condition, xml.STANZA_ERROR), text, type_=problem.kind),
        type_="error",
        id_=stanza.get("id"),
        to=stanza.get("from"),
        from_=stanza.get("to"),
    )


def chat(domain: str, to: str, body: str, message_id: str) -> Element:
    """Make a chat message from the gateway itself."""
    return el("message", xml.CLIENT, el("body", xml.CLIENT, body), type_="chat", id_=message_id, to=to, from_=domain)


def presence(domain: str, to: str, kind: str | None = None, show: str = "", status: str = "") -> Element:
    """Make a presence from the gateway itself; `show` '' is available. A state has a resource."""
    parts = [el("show", xml.CLIENT, show)] if show else []
    parts += [el("status", xml.CLIENT, status)] if status else []
    source = f"{domain}/{GATEWAY_RESOURCE}" if kind in {None, "unavailable"} else domain
    return el("presence", xml.CLIENT, *parts, type_=kind, to=to, from_=source)


def bare(jid: str) -> str:
    """Cut the resource off."""
    return jid.partition("/")[0]
