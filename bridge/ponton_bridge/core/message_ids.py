"""Ids of outgoing messages, of the form that WhatsApp's own web client gives them. Pure; for the shard.

Derived from how the XMPP server has numbered the stanza, never from the client's id, so that the same stanza is the
same message whenever and by whichever process it is sent.
"""

import hashlib
from typing import Final

PREFIX: Final = "3EB0"  # what ids of WhatsApp Web begin with (whatsmeow: WebMessageIDPrefix)
BYTES: Final = 9  # of a SHA-256, as there


def message_id(owner: str, gen: str, number: int) -> str:
    """Give the id of the message that the server gave `owner`'s shard as `number` of the generation `gen`.

    >>> message_id("alice@example.test", "g1", 7)
    '3EB0193E7242640A047978'
    """
    digest = hashlib.sha256(f"{owner}\0{gen}\0{number}".encode()).digest()
    return PREFIX + digest[:BYTES].hex().upper()
