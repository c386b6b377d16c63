"""The door of plain chat: whatever an owner can do, they can do by writing to the gateway (no client lacks that).

`read` turns a text into a request, pure; the desk performs it and sends the answer as a message.
"""

import re
from typing import Final
from xml.etree.ElementTree import Element

from ponton_bridge.model import xml
from ponton_operator.selfservice.passkeys import PREFIX
from ponton_operator.selfservice.service import Ask, Request

MAX_TEXT: Final = 500  # characters of a text that is worth reading as a request
MAX_ANSWER: Final = 4000  # the same of one that brings a passkey's answer, which has its own bound
_YES: Final = frozenset({"yes", "ja", "oui"})
_ALIASES: Final = {
    "register": Ask.REGISTER,
    "start": Ask.REGISTER,
    "link": Ask.REGISTER,
    "status": Ask.STATUS,
    "code": Ask.CODE,
    "qr": Ask.CODE,
    "login": Ask.CODE,
    "relink": Ask.CODE,
    "pair": Ask.PAIR,
    "phone": Ask.PAIR,
    "pause": Ask.PAUSE,
    "resume": Ask.RESUME,
    "unlink": Ask.UNLINK,
    "logout": Ask.UNLINK,
    "delete": Ask.DELETE,
    "unregister": Ask.DELETE,
    "preferences": Ask.PREFERENCES,
    "settings": Ask.PREFERENCES,
    "set": Ask.PREFERENCES,
    "passkey": Ask.PASSKEY,
    "export": Ask.EXPORT,
    "help": Ask.HELP,
    "?": Ask.HELP,
}
_WORD: Final = re.compile(r"^[\s/!.]*([^\s]+)\s*(.*)$", re.DOTALL)


def read(owner: str, text: str) -> Request | None:
    """Understand a text; None when it is no request.

    >>> read("a@x.org", "pair +44 7700 900123")
    Request(owner='a@x.org', ask=<Ask.PAIR: 'pair'>, argument='+44 7700 900123', sure=False)
    """
    text = text.lstrip()
    match = _WORD.match(text[: MAX_ANSWER if text[: len(PREFIX)].lower() == PREFIX else MAX_TEXT])
    ask = _ALIASES.get(match[1].lower().rstrip(".!:,")) if match else None
    if match is None or ask is None:
        return None
    rest = match[2].strip()
    return Request(owner, ask, "" if rest.lower() in _YES else rest, sure=rest.lower() in _YES)


def is_conversation(message: Element) -> bool:
    """Tell a text that wants an answer from chat states, receipts, errors and other machinery."""
    return message.get("type", "normal") in {"chat", "normal"} and bool(
        (xml.text_of(message, "body", xml.CLIENT) or "").strip()
    )
