"""Logins that an owner agrees to, or not, in their client (XEP-0070): what was asked, what was answered. Pure.

The question goes with the message that brings the code, to the bare address: a client that knows the protocol asks the
owner, others show the code alone. What was asked is kept in memory for as long as a code holds: after a restart of the
front desk the code is the way in. Called by the desk, which hears the answers, and by `orders`, which asks for them.
"""

import time
from collections.abc import Callable
from typing import Final
from xml.etree.ElementTree import Element

from ponton_bridge.model import xml
from ponton_bridge.model.xml import el

HTTP_AUTH: Final = "http://jabber.org/protocol/http-auth"
SECONDS: Final = 600.0  # that a question stands: as long as a code holds
MOST: Final = 10_000  # questions in memory; the oldest go first
YES: Final = "yes"
NO: Final = "no"


def question(transaction: str, url: str) -> list[Element]:
    """Give what makes a message a question (section 4.2): which page wants to be opened, and in what they compare."""
    return [el("thread", xml.CLIENT, transaction), el("confirm", HTTP_AUTH, id_=transaction, method="GET", url=url)]


class Confirms:
    """What owners were asked and have answered; `clock` in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked: dict[tuple[str, str], tuple[float, str]] = {}  # (owner, transaction) -> until when, answer

    def ask(self, owner: str, transaction: str) -> None:
        """Remember a question; asked twice, an answer stays."""
        now = self._clock()
        for key in [key for key, (until, _) in self._asked.items() if until <= now]:
            del self._asked[key]
        self._asked.setdefault((owner, transaction), (now + SECONDS, ""))
        while len(self._asked) > MOST:
            del self._asked[next(iter(self._asked))]

    def hear(self, owner: str, stanza: Element) -> bool:
        """Take a message of an owner if it is an answer, and tell whether it was; the first answer counts.

        An error is a no only if it says so (not-authorized): others come from servers, not from people.
        """
        found = xml.find(stanza, "confirm", HTTP_AUTH)
        if found is None or xml.local_name(stanza) != "message":
            return False
        key = (owner, found.get("id", ""))
        until, answer = self._asked.get(key, (0.0, ""))
        said = _said(stanza)
        if self._clock() < until and not answer and said:
            self._asked[key] = (until, said)
        return True

    def answer(self, owner: str, transaction: str) -> str:
        """Give what the owner has answered, '' while there is no answer."""
        until, answer = self._asked.get((owner, transaction), (0.0, ""))
        return answer if self._clock() < until else ""


def _said(message: Element) -> str:
    if message.get("type") != "error":
        return YES
    error = xml.find(message, "error", xml.CLIENT)
    refused = error is not None and xml.find(error, "not-authorized", xml.STANZA_ERROR) is not None
    return NO if refused else ""
