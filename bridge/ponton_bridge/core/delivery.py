"""What becomes of a message after a send that failed: wait, send once more, or tell its sender. Pure; for the shard.

Nothing is dropped and nothing is tried for ever: who wrote a message hears of it in the end, by a receipt or by an
error. A send without an answer may have gone out; it is repeated once, since most of them were lost with their
connection, and a message that comes twice is less bad than one that never comes.
"""

from enum import StrEnum
from typing import Final

from ponton_bridge.model.errors import OwnerError, PontonError, WhatsAppError
from ponton_bridge.model.states import TABLE, Phase, Reason
from ponton_bridge.whatsapp.port import NewContactsBlocked, NotConnected, SendRefused, SendUncertain

SENDS: Final = 2  # times that a message is handed to WhatsApp without an answer, when each handing is a new message
TROUBLES: Final = 5  # times that WhatsApp may have trouble with it (a server error) before its sender is told
PAUSE: Final = 2.0  # seconds before the first repeat; doubled each time
UNKNOWN_FATE: Final = (
    "WhatsApp did not say whether it has taken this message, also not when it was sent again. "
    "Look at your phone before you send it once more."
)


class NotLinked(OwnerError):
    """There is no link with WhatsApp that a message could go over; the text says why and what to do."""

    condition = "registration-required"
    kind = "auth"


class Verdict(StrEnum):
    """What to do with the row."""

    WAIT = "wait"  # until there is a connection; nothing was sent
    AGAIN = "again"  # after a pause
    REFUSE = "refuse"  # tell the sender, and forget it


def verdict(error: PontonError, unknown: int, troubles: int, *, keeps_id: bool = False) -> Verdict:
    """Judge a failed send. `unknown` = sends without an answer, `troubles` = other failures, both with this one.

    >>> verdict(SendUncertain(), 1, 0), verdict(SendUncertain(), 2, 0)
    (<Verdict.AGAIN: 'again'>, <Verdict.REFUSE: 'refuse'>)
    """
    match error:
        case NotConnected():
            return Verdict.WAIT
        case NewContactsBlocked() | SendRefused():
            return Verdict.REFUSE
        case SendUncertain():
            return Verdict.AGAIN if may_send(unknown, keeps_id=keeps_id) else Verdict.REFUSE
        case WhatsAppError():
            return Verdict.AGAIN if troubles < TROUBLES else Verdict.REFUSE
        case _:
            return Verdict.REFUSE


def may_send(unknown: int, *, keeps_id: bool = False) -> bool:
    """Tell whether a message may be handed over after so many sends whose fate is unknown, those of a crash included.

    Where the driver keeps the id over repeats WhatsApp drops what it has: then more of them do no harm.
    """
    return unknown < (TROUBLES if keeps_id else SENDS)


def pause(failures: int) -> float:
    """Give the seconds before the next try."""
    return PAUSE * 2.0 ** (min(failures, TROUBLES) - 1)


def refusal(reason: Reason) -> NotLinked | None:
    """Give the error for messages that cannot wait for this link, None when they can: it comes back by itself."""
    row = TABLE[reason]
    if row.phase in {Phase.WAITING_FOR_SCAN, Phase.PARKED} or reason in {Reason.OUTDATED, Reason.STALE_STORE}:
        return NotLinked(row.sentence)
    return None
