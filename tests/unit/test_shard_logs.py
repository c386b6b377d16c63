"""A shard's log lines: their form, and what never gets into them."""

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest

from ponton_bridge.shard.events import Event
from ponton_bridge.shard.logs import REDACTED, Log


@pytest.fixture
def out() -> io.StringIO:
    """Where the log goes."""
    return io.StringIO()


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, as it was before."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    """Read what was logged."""
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_writes_one_object_a_line(out: io.StringIO) -> None:
    """Gives time, level, event, what is bound, and the fields."""
    log = Log(out=out, clock=lambda: 1763900000.1234, bound={"account": "acc-1"})
    log(Event.SHARD_STARTED, epoch=1763900000000, paired=True)
    expected = {"time": 1763900000.123, "level": "info", "event": "shard_started", "account": "acc-1"}
    assert [expected | {"epoch": 1763900000000, "paired": True}] == lines(out)


def test_leaves_out_what_is_below_its_level(out: io.StringIO) -> None:
    """Writes warnings and errors only when told so."""
    log = Log("warning", out=out)
    log(Event.CODE_SHOWN)
    log(Event.STREAM_CLOSED, "warning", reason="reset")
    assert ["stream_closed"] == [line["event"] for line in lines(out)]


def test_tells_an_error_by_class_and_place(out: io.StringIO) -> None:
    """Never writes an error's text: it may hold whatever was being handled."""
    log = Log(out=out)
    failed = ValueError("hello")
    failed.__cause__ = LookupError("alice@example.test wrote hello")
    log.failure(Event.EVENT_FAILED, failed, kind="Message")
    (line,) = lines(out)
    assert ("ValueError", "LookupError", "Message", "error") == (
        line["error"],
        line["cause"],
        line["kind"],
        line["level"],
    )
    assert "hello" not in out.getvalue()


def test_tells_where_in_our_code_an_error_came_from(out: io.StringIO) -> None:
    """Names file and line of the bridge's own frames."""
    from ponton_bridge.model.address import parse_number  # noqa: PLC0415 - any function of ours that fails

    try:
        parse_number("nothing")
    except ValueError as error:
        raise AssertionError from error
    except Exception as error:  # noqa: BLE001 - whatever it raises
        Log(out=out).failure(Event.EVENT_FAILED, error)
    assert re.search(r"address\.py:\d+", lines(out)[0]["at"])


def test_a_group_of_errors_names_its_first(out: io.StringIO) -> None:
    """Looks into what a task group raises, however deep."""
    inner = ExceptionGroup("inner", [KeyError("x"), ValueError("y")])
    Log(out=out).failure(Event.SHARD_CRASHED, ExceptionGroup("tasks", [inner]))
    assert "KeyError" == lines(out)[0]["error"]


def test_says_that_a_library_spoke_and_not_what(out: io.StringIO, root: logging.Logger) -> None:
    """Passes on logger, level and line of a library's message, at warnings and above."""
    Log(out=out).catch_libraries()
    logging.getLogger("slixmpp.xmlstream").error("Parse error: %r", b"<message to='alice@example.test'>hello")
    logging.getLogger("slixmpp.xmlstream").debug("SEND: hello")
    (line,) = lines(out)
    assert ("library_logged", "slixmpp.xmlstream", "error") == (line["event"], line["logger"], line["level"])
    assert "hello" not in out.getvalue()


def test_goes_on_when_nobody_listens() -> None:
    """Survives a closed stderr."""
    closed = io.StringIO()
    closed.close()
    Log(out=closed)(Event.SHARD_STARTED)


def test_cuts_long_values(out: io.StringIO) -> None:
    """Keeps a line readable, whatever somebody passes."""
    Log(out=out)(Event.STREAM_CLOSED, reason="ab " * 1000)
    assert 300 == len(lines(out)[0]["reason"])


@pytest.mark.parametrize("key", ["owner", "body", "text", "code", "url", "TOKEN", "to"])
def test_some_fields_say_nothing(out: io.StringIO, key: str) -> None:
    """Redacts by the name of the field, whatever is in it."""
    Log(out=out)(Event.CODE_SHOWN, **{key: "x"})
    assert REDACTED == lines(out)[0][key]


def test_names_of_events_are_past_tense_words() -> None:
    """Keeps to snake case without digits; the longest name fits a column."""
    for event in Event:
        assert re.fullmatch(r"[a-z]+(_[a-z]+){1,3}", event), event
        assert event.name.lower() == event.value
