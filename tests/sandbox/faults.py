"""The fault knobs as a pure object: what shall go wrong, for whom, how often.

The server asks it at fixed points (a connection attempt, a login, each stanza out and in, each query) and does
what it says; the control API and tests turn the knobs. Nothing here knows sockets.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from tests.sandbox.node import JID, Node, node


class Point(Enum):
    """Where in the server a kind of fault takes effect."""

    LIVE = "at once, on the live sessions in scope"
    CONNECT = "when a client asks for a web socket; the account is not known yet"
    LOGIN = "when a device logs in"
    OUT = "when a stanza is written to a device"
    IN = "when a device's message is acknowledged"
    QUERY = "when a device asks something"


# Every knob and where it takes effect. Those at LIVE act once and are not kept.
KINDS: dict[str, Point] = {
    "drop": Point.LIVE,  # close without a stanza
    "freeze": Point.LIVE,  # nothing read or written, socket open; until all knobs are cleared or a new login
    "replaced": Point.LIVE,
    "logged_out": Point.LIVE,  # the device is forgotten
    "unavailable": Point.LIVE,  # stream error 503
    "restart": Point.LIVE,  # stream error 515
    "refuse": Point.CONNECT,  # value: HTTP status, 0 cuts the connection
    "fail_login": Point.LOGIN,  # value: reason (401, 403, 406 logged out; 405 outdated; 500, 503 try again ...)
    "ban": Point.LOGIN,  # value: seconds until it expires
    "delay": Point.OUT,  # value: milliseconds that every stanza is held, in order
    "duplicate": Point.OUT,  # messages are written twice
    "corrupt": Point.OUT,  # one byte of every ciphertext of a message is flipped
    "swallow": Point.OUT,  # messages are not written; they stay in the device's outbox
    "missing_ack": Point.IN,
    "refuse_message": Point.IN,  # value: the error, 463 unless given; the message goes nowhere
    "query_silent": Point.QUERY,  # match: only this xmlns
    "query_error": Point.QUERY,  # value: the error, 500 unless given; match: only this xmlns
}
FROM_END = 10  # bytes from the end of a ciphertext where it is spoiled: inside the MAC or the last block


@dataclass(slots=True, eq=False)
class Fault:
    """One knob that is turned: `scope` is a device, an account (device 0), or None for everyone."""

    kind: str
    scope: JID | None = None
    left: int | None = None  # times it still strikes, None for ever
    value: int = 0
    match: str = ""

    def covers(self, device: JID | None) -> bool:
        """Whether it is meant for this device (of which the LID or the number may have been given)."""
        return self.scope is None or (device is not None and self.scope in {device, device.bare})


class Outgoing(NamedTuple):
    """How a stanza leaves: each of the copies in turn (none: not at all), after so many seconds."""

    copies: tuple[Node, ...]
    delay: float = 0


@dataclass(slots=True)
class Faults:
    """All knobs of one server."""

    turned: list[Fault] = field(default_factory=list)

    def add(
        self, kind: str, scope: JID | None = None, count: int | None = None, value: int = 0, match: str = ""
    ) -> Fault:
        """Turn a knob, for the next `count` times or (None) until cleared.

        Raises ValueError for an unknown kind, one that acts on live sessions only (see `last_words`), a count
        below 1, or a scope where the account is not known yet.
        """
        point = KINDS.get(kind)
        if point is None or point is Point.LIVE:
            raise ValueError(f"no lasting fault is named {kind!r}")
        if count is not None and count < 1:
            raise ValueError("a fault strikes at least once")
        if point is Point.CONNECT and scope is not None:
            raise ValueError("before a login nobody knows whose connection it is: the scope must be everyone")
        fault = Fault(kind, scope, count, value, match)
        self.turned.append(fault)
        return fault

    def clear(self) -> None:
        """Turn every knob back."""
        self.turned.clear()

    def connect(self) -> int | None:
        """The HTTP status that refuses a connection attempt, 0 to cut it, None to let it in."""
        fault = self._strike(None, "refuse")
        return None if fault is None else fault.value

    def login(self, *names: JID) -> Node | None:
        """The `<failure>` that answers a login of the device known by these addresses, or None."""
        fault = self._strike(names, "fail_login", "ban")
        if fault is None:
            return None
        if fault.kind == "ban":
            return node("failure", reason=402, code=101, expire=fault.value)
        return node("failure", reason=fault.value or 503)

    def outgoing(self, stanza: Node, *names: JID) -> Outgoing:
        """How a stanza to the device known by these addresses leaves."""
        held = self._strike(names, "delay")
        delay = held.value / 1000 if held else 0
        if stanza.tag != "message":
            return Outgoing((stanza,), delay)
        if self._strike(names, "swallow"):
            return Outgoing(())
        sent = spoiled(stanza) if self._strike(names, "corrupt") else stanza
        return Outgoing((sent, sent) if self._strike(names, "duplicate") else (sent,), delay)

    def refused(self, *names: JID) -> int:
        """The error that refuses a device's message, or 0."""
        fault = self._strike(names, "refuse_message")
        return 0 if fault is None else fault.value or 463

    def unacknowledged(self, *names: JID) -> bool:
        """Whether a device's message gets no acknowledgement."""
        return self._strike(names, "missing_ack") is not None

    def query(self, xmlns: str, *names: JID) -> int | None:
        """The error that answers a device's query, 0 for silence, None for the real answer."""
        fault = self._strike(names, "query_silent", "query_error", match=xmlns)
        if fault is None:
            return None
        return 0 if fault.kind == "query_silent" else fault.value or 500

    def _strike(self, names: tuple[JID, ...] | None, *kinds: str, match: str = "") -> Fault | None:
        """The first fault of these kinds that is meant here; it is used up by one."""
        for fault in self.turned:
            if fault.kind not in kinds or (fault.match and fault.match != match):
                continue
            if any(map(fault.covers, names or (None,))):
                if fault.left is not None:
                    fault.left -= 1
                    if not fault.left:
                        self.turned.remove(fault)
                return fault
        return None


def spoiled(stanza: Node) -> Node:
    """A copy of a message with one byte of each direct `<enc>` flipped."""
    return Node(stanza.tag, stanza.attrs, list(_spoiled(stanza)))


def _spoiled(stanza: Node) -> Iterator[Node]:
    for child in stanza.children:
        if child.tag == "enc" and len(child.data) >= FROM_END:
            data = bytearray(child.data)
            data[-FROM_END] ^= 1
            yield Node(child.tag, child.attrs, bytes(data))
        else:
            yield child


def last_words(kind: str) -> Node | None:
    """What a live session is told before it is closed; None means it is cut without a word.

    Raises ValueError for a kind that does not act on live sessions by closing them.
    """
    conflict = {"replaced": node("conflict", type="replaced"), "logged_out": node("conflict", type="device_removed")}
    match kind:
        case "drop":
            return None
        case "replaced":
            return node("stream:error", conflict[kind])
        case "logged_out":
            return node("stream:error", conflict[kind], code=401)
        case "unavailable":
            return node("stream:error", code=503)
        case "restart":
            return node("stream:error", code=515)
    raise ValueError(f"no live fault ends a session by {kind!r}")
