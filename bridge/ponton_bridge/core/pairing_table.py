"""An attempt's steps as a table: at this step, on this event, that method. Read by `core.pairing` alone.

Everything that is not in a step's row is ignored there.
"""

from enum import StrEnum
from typing import Final

from ponton_bridge.core import events as on
from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp import port


class Step(StrEnum):
    """Where the attempt stands."""

    IDLE = "idle"  # not begun
    ABSENT = "absent"  # nobody can see a code; WhatsApp is not asked
    OPENING = "opening"  # the driver connects; no code yet
    RESTING = "resting"  # WhatsApp could not be reached; tried again
    SHOWING = "showing"  # codes come and go
    PASSKEY = "passkey"  # WhatsApp wants a passkey's answer
    ANSWERED = "answered"  # WhatsApp is given it, or has it
    COMPARING = "comparing"  # the owner compares the code with the phone's
    LINKED = "linked"
    ENDED = "ended"  # until 'new code'


_AFTER_THE_SCAN: Final[dict[type[on.Event], str]] = {
    port.Code: "code_instead",
    port.Paired: "paired",
    port.PairingFailed: "passkey_failed",
    port.Link: "link",
    on.Tick: "unanswered",
}
# What is listened to at each step, and the method that handles it. Everything else is ignored there.
TABLE: Final[dict[Step, dict[type[on.Event], str]]] = {
    Step.IDLE: {on.XmppOpened: "begin", on.NewCode: "begin"},
    Step.ABSENT: {on.Present: "begin", on.NewCode: "begin", on.PhoneAsked: "begin"},
    Step.OPENING: {
        port.Code: "code",
        port.Paired: "paired",
        port.PairingFailed: "failed",
        port.Link: "link",
        on.Tick: "unreachable",
    },
    Step.RESTING: {on.Tick: "reopen", on.NewCode: "reopen", on.PhoneAsked: "reopen"},
    Step.SHOWING: {
        port.Code: "code",
        port.Paired: "paired",
        port.PairingFailed: "failed",
        port.Link: "link",
        on.NewCode: "show_again",
        on.PhoneAsked: "want_letters",
        on.PhoneCode: "got_letters",
        on.PhoneRefused: "no_letters",
        on.Present: "show_newcomer",
        on.Tick: "expired",
    },
    Step.PASSKEY: _AFTER_THE_SCAN
    | {
        on.PasskeyGiven: "answer",
        on.CodesCompared: "call_off",
        on.NewCode: "show_again",
        on.Present: "show_newcomer",
    },
    Step.ANSWERED: _AFTER_THE_SCAN | {on.PasskeyTaken: "taken"},
    Step.COMPARING: _AFTER_THE_SCAN
    | {
        on.CodesCompared: "compared",
        on.NewCode: "show_again",
        on.Present: "show_newcomer",
    },
    Step.LINKED: {},
    Step.ENDED: {on.NewCode: "anew", on.PhoneAsked: "anew"},
}
# The driver runs for the attempt.
DRIVEN: Final = frozenset({Step.OPENING, Step.SHOWING, Step.PASSKEY, Step.ANSWERED, Step.COMPARING})
BY_HAND: Final = (on.PasskeyGiven, on.CodesCompared)  # whoever brings these waits for a word
UNREACHABLE: Final = frozenset({Reason.CONNECTION_REFUSED, Reason.FAILED})
FATAL: Final = frozenset({Reason.OUTDATED, Reason.BANNED, Reason.LOGGED_OUT, Reason.PASSKEY_NEEDED})
