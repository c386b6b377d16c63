"""Stanzas as JSON: what the trace shows, and what a test injects raw.

    {"tag": "message", "attrs": {"id": "3A01", "from": {"jid": "9001@lid"}}, "content": [...]}

`content` is a list of such objects, a text, or {"base64": "..."}. An attribute that is an address is written as
{"jid": text}, because the client ignores addresses that come as text. Called by `api`.
"""

import base64
import binascii
from collections.abc import Mapping

from tests.sandbox.node import JID, Node
from tests.sandbox.phones.inbox import Json
from tests.sandbox.world import Trace


def write(stanza: Node) -> Json:
    """A stanza as JSON."""
    attrs = {k: {"jid": str(v)} if isinstance(v, JID) else v for k, v in stanza.attrs.items()}
    written: Json = {"tag": stanza.tag, "attrs": attrs}
    if stanza.children:
        written["content"] = [write(child) for child in stanza.children]
    elif stanza.data:
        written["content"] = {"base64": base64.b64encode(stanza.data).decode()}
    return written


def read(data: object) -> Node:
    """A stanza out of JSON; raises ValueError."""
    if not isinstance(data, Mapping) or not isinstance(data.get("tag"), str):
        raise ValueError("a stanza is an object with `tag`, `attrs` and `content`")  # noqa: TRY004 - the caller's mistake
    attrs = data.get("attrs", {})
    if not isinstance(attrs, Mapping):
        raise ValueError("`attrs` is an object of texts and addresses")  # noqa: TRY004 - likewise
    return Node(data["tag"], {str(k): _attr(v) for k, v in attrs.items()}, _content(data.get("content")))


def traced(number: int, entry: Trace) -> Json:
    """An entry of the trace as JSON."""
    who = str(entry.who) if entry.who else None
    stanza = write(entry.stanza) if entry.stanza else None
    return {"n": number, "at": entry.at, "event": entry.event, "who": who, "stanza": stanza}


def _attr(value: object) -> str | JID:
    if isinstance(value, Mapping):
        return JID.parse(str(value.get("jid", "")))
    return str(value)


def _content(value: object) -> list[Node] | bytes | None:
    match value:
        case None:
            return None
        case str():
            return value.encode()
        case list():
            return [read(each) for each in value]
        case {"base64": str() as encoded}:
            try:
                return base64.b64decode(encoded, validate=True)
            except binascii.Error:
                raise ValueError("`base64` does not decode") from None
    raise ValueError("`content` is a list of stanzas, a text, or {base64: ...}")
