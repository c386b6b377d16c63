"""The link's states as a table: in this state, on this cue, go there and do that. Read by `core.link` alone.

Everything that is not in a state's row is ignored there: a stopped driver's late word changes nothing.
"""

from enum import StrEnum
from typing import Final

from ponton_bridge.model.states import Reason

STUCK: Final = 300.0  # seconds without a connection after which the driver is made anew; its own cure takes 211
UNLINKING: Final = 20.0  # seconds for a connection and WhatsApp's answer
LINGER: Final = 120.0  # seconds that an ended shard waits for 'new code' before it goes


class State(StrEnum):
    """Where the link stands."""

    WAITING = "waiting"  # the XMPP server has not accepted our epoch yet
    WAITING_TO_LEAVE = "waiting_to_leave"  # the same, and unlinking was asked for
    UNLINKED = "unlinked"  # no link; pairing has the word
    CONNECTING = "connecting"
    CONNECTED = "connected"
    LOST = "lost"  # the driver connects again by itself
    SILENT = "silent"  # WhatsApp does not answer on a connection that stands
    PAUSED = "paused"  # the driver is stopped; it is started again when the pause is over
    LEAVING = "leaving"  # unlinking was asked for; not connected yet
    UNLINKING = "unlinking"  # WhatsApp was told to remove this device
    BANNED = "banned"  # driver stopped, keys kept
    OUTDATED = "outdated"  # driver stopped, keys kept
    ENDED = "ended"  # nothing happens any more


class Cue(StrEnum):
    """What can happen, as the table knows it."""

    OPENED_LINKED = "opened_linked"
    OPENED_UNLINKED = "opened_unlinked"
    PAIRED = "paired"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    LOST = "lost"
    REFUSED = "refused"
    SILENT = "silent"
    STALLED = "stalled"
    LOGGED_OUT = "logged_out"
    BANNED = "banned"
    OUTDATED = "outdated"
    REPLACED = "replaced"
    FENCED = "fenced"
    NEW_CODE = "new_code"
    UNLINK = "unlink"
    UNLINKED = "unlinked"
    NOT_UNLINKED = "not_unlinked"
    DUE = "due"


class Act(StrEnum):
    """What is done on the way."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"  # at once, or after a pause when it has failed before
    FORGET = "forget"  # keys
    LOGOUT = "logout"
    GIVE_UP = "give_up"  # unlinking, for now
    PARK = "park"  # the pairing machine: no attempt runs, 'new code' begins one


Turn = tuple[State, *tuple[Act, ...]]

_ENDS: Final[dict[Cue, Turn]] = {
    Cue.FENCED: (State.ENDED, Act.STOP),
    Cue.REPLACED: (State.ENDED, Act.STOP),
    Cue.LOGGED_OUT: (State.UNLINKED, Act.STOP, Act.FORGET, Act.PARK),
    Cue.BANNED: (State.BANNED, Act.STOP),
    Cue.OUTDATED: (State.OUTDATED, Act.STOP),
}
_LEAVES: Final[dict[Cue, Turn]] = _ENDS | {
    Cue.BANNED: (State.BANNED, Act.GIVE_UP, Act.STOP),
    Cue.OUTDATED: (State.OUTDATED, Act.GIVE_UP, Act.STOP),
    Cue.DUE: (State.PAUSED, Act.GIVE_UP, Act.RESTART),
}
_RUNS: Final[dict[Cue, Turn]] = _ENDS | {
    Cue.CONNECTED: (State.CONNECTED,),
    Cue.LOST: (State.LOST,),
    Cue.SILENT: (State.SILENT,),
    Cue.REFUSED: (State.PAUSED, Act.RESTART),
    Cue.STALLED: (State.PAUSED, Act.RESTART),
    Cue.UNLINK: (State.LEAVING,),
    Cue.DUE: (State.PAUSED, Act.RESTART),
}
TABLE: Final[dict[State, dict[Cue, Turn]]] = {
    State.WAITING: {
        Cue.OPENED_LINKED: (State.CONNECTING, Act.START),
        Cue.OPENED_UNLINKED: (State.UNLINKED,),
        Cue.UNLINK: (State.WAITING_TO_LEAVE,),
        Cue.FENCED: (State.ENDED,),
    },
    State.WAITING_TO_LEAVE: {
        Cue.OPENED_LINKED: (State.LEAVING, Act.START),
        Cue.OPENED_UNLINKED: (State.UNLINKED, Act.PARK),
        Cue.FENCED: (State.ENDED,),
        Cue.DUE: (State.WAITING, Act.GIVE_UP),
    },
    State.UNLINKED: {
        Cue.PAIRED: (State.CONNECTING,),
        Cue.CONNECTED: (State.CONNECTED,),
        Cue.UNLINK: (State.UNLINKED, Act.PARK),
        Cue.REPLACED: (State.ENDED, Act.PARK),
        Cue.FENCED: (State.ENDED, Act.PARK),
        Cue.DUE: (State.ENDED,),
    },
    State.CONNECTING: _RUNS,
    State.CONNECTED: _RUNS | {Cue.CONNECTING: (State.LOST,), Cue.UNLINK: (State.UNLINKING, Act.LOGOUT)},
    State.LOST: _RUNS,
    State.SILENT: _RUNS | {Cue.CONNECTING: (State.LOST,)},
    State.PAUSED: {
        Cue.DUE: (State.CONNECTING, Act.START),
        Cue.NEW_CODE: (State.CONNECTING, Act.START),
        Cue.UNLINK: (State.LEAVING, Act.START),
        Cue.LOGGED_OUT: (State.UNLINKED, Act.FORGET, Act.PARK),
        Cue.REPLACED: (State.ENDED,),
        Cue.FENCED: (State.ENDED,),
    },
    State.LEAVING: _LEAVES
    | {
        Cue.CONNECTED: (State.UNLINKING, Act.LOGOUT),
        Cue.REFUSED: (State.PAUSED, Act.GIVE_UP, Act.RESTART),
        Cue.STALLED: (State.PAUSED, Act.GIVE_UP, Act.RESTART),
    },
    State.UNLINKING: _LEAVES
    | {
        Cue.UNLINKED: (State.UNLINKED, Act.STOP, Act.FORGET, Act.PARK),
        Cue.NOT_UNLINKED: (State.PAUSED, Act.GIVE_UP, Act.RESTART),
    },
    State.BANNED: {
        Cue.NEW_CODE: (State.CONNECTING, Act.START),
        Cue.UNLINK: (State.LEAVING, Act.START),
        Cue.FENCED: (State.ENDED,),
        Cue.DUE: (State.ENDED,),
    },
    State.OUTDATED: {
        Cue.UNLINK: (State.OUTDATED, Act.GIVE_UP),
        Cue.FENCED: (State.ENDED,),
        Cue.DUE: (State.ENDED,),
    },
    State.ENDED: {},
}
CUES: Final[dict[Reason, Cue]] = {
    Reason.CONNECTING: Cue.CONNECTING,
    Reason.CONNECTED: Cue.CONNECTED,
    Reason.CONNECTION_LOST: Cue.LOST,
    Reason.CONNECTION_REFUSED: Cue.REFUSED,
    Reason.FAILED: Cue.REFUSED,
    Reason.KEEPALIVE_LOST: Cue.SILENT,
    Reason.EVENTS_STALLED: Cue.STALLED,
    Reason.LOGGED_OUT: Cue.LOGGED_OUT,
    Reason.PHONE_GONE: Cue.LOGGED_OUT,
    Reason.BANNED: Cue.BANNED,
    Reason.OUTDATED: Cue.OUTDATED,
    Reason.REPLACED: Cue.REPLACED,
}
# Of these the reason of the event stays as the reason of the state that follows.
ENDINGS: Final = frozenset({*_ENDS, Cue.UNLINK, Cue.UNLINKED})
# How long a state may last before Cue.DUE; PAUSED has its own time, UNLINKED one once its attempt has ended.
LIMITS: Final[dict[State, float]] = {
    State.WAITING_TO_LEAVE: UNLINKING,
    State.CONNECTING: STUCK,
    State.LOST: STUCK,
    State.SILENT: STUCK,
    State.LEAVING: UNLINKING,
    State.UNLINKING: UNLINKING,
    State.BANNED: LINGER,
    State.OUTDATED: LINGER,
}
TRYING: Final = frozenset({State.CONNECTING, State.LOST, State.SILENT})  # one limit for going to and fro in them
DOWN: Final = TRYING | {State.PAUSED}  # linked, and not connected
HELD: Final = frozenset({State.BANNED, State.OUTDATED, State.ENDED})
