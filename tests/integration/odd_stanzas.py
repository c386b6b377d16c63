"""Stanzas that WhatsApp has never sent: unheard-of kinds, and ordinary ones with pieces missing or spoilt.

Used by the core driver's tests and by `tests.bench.panics`. None of them is one that ends a link by its meaning.
"""

import copy
import random
from typing import Any, Final

ODD: Final[dict[str, dict[str, Any]]] = {
    "typing of a new kind": {"tag": "chatstate", "content": [{"tag": "composing", "attrs": {"media": "video"}}]},
    "receipt of a new kind": {"tag": "receipt", "attrs": {"type": "view", "id": "3EB0", "t": "1795000000"}},
    "receipt without anything": {"tag": "receipt"},
    "call of nobody": {"tag": "call", "attrs": {"id": "1"}, "content": [{"tag": "offer"}]},
    "notification of a new kind": {"tag": "notification", "attrs": {"type": "tomorrow", "id": "2", "t": "x"}},
    "group news of nobody": {"tag": "notification", "attrs": {"type": "w:gp2", "id": "3"}, "content": [{"tag": "add"}]},
    "presence without a time": {"tag": "presence", "attrs": {"type": "unavailable", "last": "deny"}},
    "message without content": {"tag": "message", "attrs": {"id": "3EB1", "type": "text", "t": "1795000000"}},
    "message of nonsense": {
        "tag": "message",
        "attrs": {"id": "3EB2", "type": "text", "t": "1795000000"},
        "content": [{"tag": "enc", "attrs": {"v": "2", "type": "msg"}, "content": "nonsense"}],
    },
}  # fmt: skip
SPOILT: Final = ("", "-1", "99999999999999999999", "\x00", "read", "true", "9" * 400)


def odd(chance: random.Random, sender: str) -> dict[str, Any]:
    """Give one of them, from `sender` (an address as text); most of the time with something spoilt."""
    stanza = copy.deepcopy(chance.choice(list(ODD.values())))
    _spoil(stanza, chance)
    return stanza | {"attrs": stanza.get("attrs", {}) | {"from": {"jid": sender}}}


def _spoil(stanza: dict[str, Any], chance: random.Random) -> None:
    """Take a piece away, put nonsense in its place, repeat the content, or go a level deeper; or nothing."""
    attrs: dict[str, object] = stanza.get("attrs", {})
    content = stanza.get("content")
    match chance.randrange(6):
        case 0 if attrs:
            del attrs[chance.choice(sorted(attrs))]
        case 1 if attrs:
            attrs[chance.choice(sorted(attrs))] = chance.choice(SPOILT)
        case 2 if content:
            stanza["content"] = content * 50
        case 3 if content and isinstance(content[0], dict):
            _spoil(content[0], chance)
        case 4:
            stanza["content"] = "\x00" * chance.randrange(5000)
        case _:
            pass
