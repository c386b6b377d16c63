"""When a phone asks for a message again, and how it answers when it is asked.

The rules matter more than the cryptography (measured: naive policies lose messages or ask a hundred times for one
chat). Called by `phone`. Pure: it is told what happened and says what to do.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from tests.sandbox.node import JID

MAX_ASKS = 5  # retry receipts per message
MAX_ANSWERS = 10  # times one message is sent again to one device; whatsmeow answers 9
REMEMBERED = 5000  # messages per phone whose ids, plaintexts and sessions are kept

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """A mapping that forgets the oldest entries beyond a bound."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._entries: OrderedDict[Key, Value] = OrderedDict()

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> Value | None:
        """The remembered value, or None."""
        return self._entries.get(key)

    def put(self, key: Key, value: Value) -> None:
        """Remember; an entry that is written again counts as new."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self._limit:
            self._entries.popitem(last=False)


class Ask(NamedTuple):
    """A retry receipt to send: which attempt it is, and whether it carries a fresh key bundle."""

    attempt: int
    with_keys: bool


@dataclass(slots=True)
class Asking:
    """What this phone could not read and has asked for."""

    attempts: Recent[tuple[JID, str], int] = field(default_factory=Recent)
    keyed: dict[JID, bytes | None] = field(default_factory=dict)  # session that keys were last asked for

    def ask(self, sender: JID, message_id: str, session: bytes | None) -> Ask | None:
        """What to ask for a message that cannot be read now; None after the last attempt.

        `session` is the base key of the current session with the sender (None: no session). A first request
        carries keys unless they were asked for in this very session before: each bundle makes the peer open
        another session, and only forty are archived.
        """
        attempt = (self.attempts.get((sender, message_id)) or 0) + 1
        if attempt > MAX_ASKS:
            return None
        self.attempts.put((sender, message_id), attempt)
        with_keys = attempt > 1 or sender not in self.keyed or self.keyed[sender] != session
        if with_keys:
            self.keyed[sender] = session
        return Ask(attempt, with_keys)


class Sent(NamedTuple):
    """What was sent to one device under an id: in which session, and how often again."""

    session: bytes
    answers: int = 0


@dataclass(slots=True)
class Answering:
    """What this phone has sent, for devices that ask again."""

    sent: Recent[tuple[JID, str], Sent] = field(default_factory=Recent)

    def note(self, device: JID, message_id: str, session: bytes) -> None:
        """A message was written for a device in the session with this base key."""
        before = self.sent.get((device, message_id))
        self.sent.put((device, message_id), Sent(session, before.answers + 1 if before else 0))

    def answers(self, device: JID, message_id: str) -> bool:
        """Whether a request is answered at all: it is for a message sent to that device, and not too often."""
        sent = self.sent.get((device, message_id))
        return sent is not None and sent.answers < MAX_ANSWERS

    def renews(self, device: JID, message_id: str, session: bytes | None) -> bool:
        """Whether the answer starts a new session: only if the one used then is still the current one.

        Else it was renewed meanwhile (by the peer, or for another message) and is written in as it is.
        """
        sent = self.sent.get((device, message_id))
        return session is None or sent is None or sent.session == session
