"""What the owner is told of the link, and how often: once per state, not on each flap. Part of `core.link`."""

from typing import Final

from ponton_bridge.core.effects import Tell
from ponton_bridge.model.states import TABLE, Reason

HOUR: Final = 3600.0  # seconds
# Troubles that pass by themselves: when they are over that is told too, if they were.
PASSING: Final = frozenset({Reason.CONNECTION_REFUSED, Reason.KEEPALIVE_LOST, Reason.UNREACHABLE})
# Seconds after such a notice in which the same is not told again: a link that flaps is one trouble.
QUIET: Final = {
    Reason.CONNECTION_REFUSED: HOUR / 6,
    Reason.KEEPALIVE_LOST: HOUR / 6,
    Reason.UNREACHABLE: HOUR,
    Reason.EVENTS_STALLED: HOUR / 6,
    Reason.PHONE_QUIET: 24 * HOUR,
    Reason.NEW_CONTACTS_BLOCKED: 24 * HOUR,
}


class Notices:
    """`told` = the last reason that this epoch told before a restart, so that the new process does not repeat it."""

    def __init__(self, told: Reason | None = None) -> None:
        self._told = told
        self._trouble = told in PASSING  # its end is still to be told
        self._again: dict[Reason, float] = {}  # when it may be told again
        self._linked = False  # the owner has just linked, and waits to hear of it

    def linked(self) -> None:
        """The next connection is told, whatever came before."""
        self._linked = True

    def enter(self, reason: Reason, now: float, until: float = 0.0) -> list[Tell]:
        """Say what is to be told about this new reason: one notice or none."""
        if reason is Reason.CONNECTED:
            due = self._linked or self._trouble
            self._linked = self._trouble = False
            return [Tell(reason, until)] if due else []
        if not TABLE[reason].tell:
            return []
        told, self._told = self._told, None
        if reason is told or now < self._again.get(reason, 0.0):
            return []
        if reason in PASSING and self._trouble and reason is not Reason.UNREACHABLE:
            return []  # the same trouble under another name
        self._again[reason] = now + QUIET.get(reason, 0.0)
        self._trouble = self._trouble or reason in PASSING
        return [Tell(reason, until)]
