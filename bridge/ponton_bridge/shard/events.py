"""Every event that a shard logs, by name. A name never changes its meaning; docs/shard.md lists them all (tested).

Snake case, past tense. Used by the shard's modules with `Log`; the fields that go with an event are opaque ids, counts
and reasons, never an address, a code or content.
"""

from enum import StrEnum


class Event(StrEnum):
    """The registry."""

    # the process
    SHARD_STARTED = "shard_started"
    SHARD_STOPPED = "shard_stopped"
    SHARD_CRASHED = "shard_crashed"
    CONFIG_REFUSED = "config_refused"
    STORE_REFUSED = "store_refused"
    SIGNAL_RECEIVED = "signal_received"
    DRAIN_CUT_SHORT = "drain_cut_short"
    LIBRARY_LOGGED = "library_logged"
    # the XMPP side
    STREAM_OPENED = "stream_opened"
    STREAM_CLOSED = "stream_closed"
    STREAM_FENCED = "stream_fenced"
    STANZA_EXPIRED = "stanza_expired"
    STANZA_FAILED = "stanza_failed"
    STANZA_REFUSED = "stanza_refused"
    ROW_REPLACED = "row_replaced"
    REQUEST_FAILED = "request_failed"
    # the WhatsApp side
    DRIVER_STARTED = "driver_started"
    DRIVER_STOPPED = "driver_stopped"
    LINK_CHANGED = "link_changed"
    EVENT_FAILED = "event_failed"
    EVENTS_LOST = "events_lost"
    MESSAGE_REFUSED = "message_refused"
    MESSAGE_REPEATED = "message_repeated"
    SEND_WAS_UNCERTAIN = "send_was_uncertain"
    # linking
    CODE_SHOWN = "code_shown"
    CODE_NOT_SHOWN = "code_not_shown"
    CODE_EXPIRED = "code_expired"
    # coordination
    COMMAND_HANDLED = "command_handled"
    REDIS_LOST = "redis_lost"
    REDIS_FOUND = "redis_found"
