"""A shard's log: one JSON object a line on stderr, an event and its fields, redacted in one place.

`Log` is made once by the program. What libraries log is not passed on (it holds stanzas, addresses, raw data): only
who spoke and how loud. Errors are logged by class and place, never by their text.
"""

import json
import logging
import re
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, TextIO

from ponton_bridge.shard.events import Event

REDACTED: Final = "[redacted]"
Value = str | int | float | bool | None

# Fields by these names never say anything, whatever they hold.
_FORBIDDEN: Final = frozenset({
    "answer", "argument", "body", "chat", "code", "content", "from", "header", "jid", "name", "number", "owner",
    "password", "phone", "qr", "secret", "sender", "sentence", "stanza", "subject", "text", "to", "token", "url", "xml",
})  # fmt: skip
# Fields by these names are ids or counts of ours, which the patterns below would take for numbers or tokens.
_OURS: Final = frozenset({"account", "bytes", "count", "epoch", "gateway", "instance", "pid", "time"})
_PATTERNS: Final = (
    re.compile(r"[^\s\"'<>@/]+@[^\s\"'<>@/]+(/\S*)?"),  # a JID, a mail address, user info of a URL
    re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE),  # a URL
    re.compile(r"\+?\d(?:[\s().-]{0,2}\d){5,}"),  # a phone number however written, a LID
    re.compile(r"[A-Za-z0-9+/=_-]{20,}"),  # a key, a token, part of a code
    re.compile(r"\b[A-Z0-9]{4}-[A-Z0-9]{4}\b"),  # WhatsApp's eight letters
    re.compile(r"<[^>]*>"),  # XML
)
_LONGEST: Final = 300  # characters of a value


def redact(fields: Mapping[str, Value]) -> dict[str, Value]:
    """Give fields as they may be logged: by key first, then by pattern.

    >>> redact({"reason": "Connected", "owner": "alice@example.org", "what": "lost alice@example.org"})
    {'reason': 'Connected', 'owner': '[redacted]', 'what': 'lost [redacted]'}
    """
    return {key: REDACTED if key.lower() in _FORBIDDEN else _clean(key, value) for key, value in fields.items()}


def _clean(key: str, value: Value) -> Value:
    if key in _OURS or value is None or isinstance(value, bool):
        return value
    text = str(value)
    for pattern in _PATTERNS:
        text = pattern.sub(REDACTED, text)
    return value if text == str(value) and not isinstance(value, str) else text[:_LONGEST]


class Log:
    """Writes events; `bound` fields go with each of them. Levels: debug, info, warning, error."""

    def __init__(
        self,
        level: str = "info",
        *,
        out: TextIO | None = None,
        clock: Callable[[], float] = time.time,
        bound: Mapping[str, Value] | None = None,
    ) -> None:
        self._level = logging.getLevelNamesMapping()[level.upper()]
        self._out = out or sys.stderr
        self._clock = clock
        self._bound = dict(bound or {})

    def __call__(self, event: StrEnum, level: str = "info", **fields: Value) -> None:
        """Write one event; a broken stderr is no reason to end."""
        if logging.getLevelNamesMapping()[level.upper()] < self._level:
            return
        line = {"time": round(self._clock(), 3), "level": level, "event": str(event)} | self._bound | redact(fields)
        try:
            self._out.write(json.dumps(line, separators=(",", ":")) + "\n")
            self._out.flush()
        except (OSError, ValueError):
            return

    def failure(self, event: StrEnum, error: BaseException, level: str = "error", **fields: Value) -> None:
        """Write an event with an error: its class, and the places in our code that it came through.

        Of a group (a task group raises one) the first error counts.
        """
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        frames = traceback.extract_tb(error.__traceback__)
        places = [
            f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames if "ponton" in frame.filename
        ]
        if error.__cause__ is not None:
            fields["cause"] = type(error.__cause__).__name__
        self(event, level, error=type(error).__name__, at=" ".join(places[-6:]), **fields)

    def catch_libraries(self) -> None:
        """Turn what libraries log into one event that names the logger and the level and says nothing else."""
        root = logging.getLogger()
        root.handlers[:] = [_Forwarding(self)]
        root.setLevel(logging.WARNING)


class _Forwarding(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
        level = "error" if record.levelno >= logging.ERROR else "warning"
        self._log(Event.LIBRARY_LOGGED, level, logger=record.name, line=record.lineno, error=kind)
