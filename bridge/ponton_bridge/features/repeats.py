"""What makes two messages of the owner one and the same: a client's own repeat after a broken connection.

Same address, same body, and the same stanza id or origin id (XEP-0359). The body belongs to it because there are
clients that count their ids from 1 at each start. Called by the shard before a send and after it.
"""

import hashlib
from typing import Final
from xml.etree.ElementTree import Element

from ponton_bridge.model import xml
from ponton_bridge.model.xml import find, text_of

from .context import bare

_BYTES: Final = 16  # of a digest: nobody gains by a collision but the owner, who would lose an own message


def marks(stanza: Element) -> list[str]:
    """Give the marks of a message, at most two; none for one without an id or a body, which is never a repeat."""
    body = text_of(stanza, "body", xml.CLIENT)
    origin = find(stanza, "origin-id", xml.SID)
    ids = {stanza.get("id"), None if origin is None else origin.get("id")} - {None, ""}
    if not body:
        return []
    said = "\0".join((bare(stanza.get("to", "")), body))
    return sorted(hashlib.blake2b(f"{id_}\0{said}".encode(), digest_size=_BYTES).hexdigest() for id_ in ids)
