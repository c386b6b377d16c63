"""Every event that the front desk logs, by name; snake case, past tense. Fields with them are counts and conditions."""

from collections.abc import Callable
from enum import StrEnum


class DeskEvent(StrEnum):
    """The registry."""

    STARTED = "desk_started"
    STANDS_BY = "desk_stands_by"
    EPOCHS_SPENT = "epochs_spent"
    LEASE_LOST = "lease_lost"
    ENDED = "desk_ended"
    REPLACED = "desk_replaced"
    CRASHED = "desk_crashed"
    CONFIG_REFUSED = "config_refused"
    STREAM_OPENED = "stream_opened"
    STREAM_CLOSED = "stream_closed"
    ANSWER_DROPPED = "answer_dropped"
    OVERLOADED = "desk_overloaded"
    FAILED = "desk_failed"


Report = Callable[[DeskEvent, BaseException | None], None]
"""How the desk tells of an event, with the error behind it if there is one."""
