"""Plants addresses, numbers, tokens and codes in arbitrary log fields and looks for them in the line."""

import io
import json
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from ponton_bridge.shard.events import Event
from ponton_bridge.shard.logs import _OURS, Log, Value, redact

KEYS = st.sampled_from(["reason", "what", "kind", "error", "at", "condition", "detail", "owner", "verb"])
AROUND = st.text(st.sampled_from(" abc,.:;()'\"{}[]\n"), max_size=12)
LOCAL = st.text(st.sampled_from("abcxyz0129.-_+"), min_size=1, max_size=12)
JIDS = st.builds(lambda a, b, r: f"{a}@{b}.test" + (f"/{r}" if r else ""), LOCAL, LOCAL, st.just("") | LOCAL)
DIGITS = st.text(st.sampled_from("0123456789"), min_size=7, max_size=15)
NUMBERS = st.one_of(
    DIGITS,
    DIGITS.map("+{}".format),
    DIGITS.map(lambda d: f"+{d[:2]} {d[2:4]}-{d[4:]}"),
    DIGITS.map(lambda d: f"({d[:3]}) {d[3:]}"),
    DIGITS.map(lambda d: f"lid-{d}"),
)
TOKENS = st.one_of(
    st.binary(min_size=16, max_size=40).map(bytes.hex),
    st.text(st.sampled_from("ABCXYZabcxyz0189+/="), min_size=24, max_size=80),
    st.text(st.sampled_from("ABCDEFGHJKLMNPQRSTVWXYZ123456789"), min_size=8, max_size=8).map(
        lambda c: f"{c[:4]}-{c[4:]}"
    ),
    st.builds("https://{}.test/{}".format, st.text(st.sampled_from("abc"), min_size=1, max_size=5), LOCAL),
)


@given(KEYS, AROUND, JIDS | NUMBERS | TOKENS, AROUND)
def test_a_planted_secret_is_not_in_the_line(key: str, before: str, planted: str, after: str) -> None:
    """Hides JIDs, numbers in any writing, keys, tokens, links and pairing codes wherever they stand."""
    out = io.StringIO()
    Log(out=out)(Event.STREAM_CLOSED, **{key: f"{before} {planted} {after}"})
    assert planted not in json.loads(out.getvalue())[key]


@given(KEYS, st.integers(10**6, 10**15))
def test_a_number_that_is_a_number_is_hidden_too(key: str, number: int) -> None:
    """Hides what could be a phone number even when it is passed as an integer."""
    assert str(number) not in str(redact({key: number})[key])


@given(st.sampled_from(sorted(_OURS)), st.integers(0, 10**15))
def test_our_own_counts_and_ids_stay(key: str, number: int) -> None:
    """Leaves epochs, times and counts alone."""
    assert {key: number} == redact({key: number})


@given(KEYS, st.text(st.sampled_from("abcdefgh _"), max_size=19) | st.integers(0, 99999) | st.booleans() | st.none())
def test_harmless_values_stay(key: str, value: object) -> None:
    """Leaves short words, small numbers and flags as they are."""
    if key != "owner":
        assert {key: value} == redact(cast("dict[str, Value]", {key: value}))


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=50), max_size=4))
def test_any_fields_give_one_line(fields: dict[str, str]) -> None:
    """Writes exactly one readable line, whatever the fields hold."""
    out = io.StringIO()
    Log(out=out)(Event.STREAM_CLOSED, **{f"f{key}": value for key, value in fields.items()})
    assert 1 == out.getvalue().count("\n")
    assert "stream_closed" == json.loads(out.getvalue())["event"]
