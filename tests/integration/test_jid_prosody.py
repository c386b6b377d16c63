"""Owner JIDs are prepared as the installed Prosody prepares them: a secret derived from another form would not fit."""

import random
import stringprep
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from ponton_bridge.model.errors import OwnerError
from ponton_bridge.model.jid import prepare_bare

SCRIPT = Path(__file__).with_name("prepare_jids.lua")
# Where stringprep has work: case, width, ligatures, combining marks, letters of two directions, code points that came
# later than Unicode 3.2, and everything else.
BLOCKS = (
    (0x20, 0x7F), (0x80, 0x250), (0x300, 0x400), (0x400, 0x530), (0x590, 0x700), (0xE00, 0xE80), (0x10A0, 0x1100),
    (0x13A0, 0x1400), (0x1C80, 0x1CC0), (0x1E00, 0x2100), (0x2100, 0x2200), (0x20D0, 0x2100), (0x3000, 0x3100),
    (0xA640, 0xA800), (0xFB00, 0xFB50), (0xFF00, 0xFFF0), (0x1D400, 0x1D500), (0x20, 0xD7FF), (0xE000, 0x10FFFF),
)  # fmt: skip
CASES = 40_000


def by_prosody(jids: Sequence[str]) -> list[str | None]:
    """Prepare with Prosody's library; None where it refuses."""
    lines = "".join(f"{jid.encode().hex()}\n" for jid in jids)
    done = subprocess.run(["lua5.4", str(SCRIPT)], input=lines, capture_output=True, text=True, check=True)
    return [None if line == "-" else bytes.fromhex(line).decode() for line in done.stdout.splitlines()]


def by_us(jid: str) -> str | None:
    """Prepare with our function; None where it refuses."""
    try:
        return prepare_bare(jid)
    except OwnerError:
        return None


def some_text(rng: random.Random, most: int) -> str:
    """A few characters from the blocks."""
    return "".join(chr(rng.randrange(*rng.choice(BLOCKS))) for _ in range(rng.randint(1, most)))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_same_form(seed: int) -> None:
    """What both accept has one form; only code points that Unicode 3.2 did not know are judged differently."""
    rng = random.Random(seed)
    jids = []
    for _ in range(CASES // 3):
        jids += [f"{some_text(rng, 4)}@example.org", f"alice@{some_text(rng, 4)}.org"]
        jids += [f"{some_text(rng, 3)}@{some_text(rng, 3)}"]
    accepted = 0
    for jid, theirs in zip(jids, by_prosody(jids), strict=True):
        ours = by_us(jid)
        if ours is not None and theirs is None:
            assert any(map(stringprep.in_table_a1, jid)), ascii(jid)
        elif ours is not None:
            assert theirs == ours, ascii(jid)
            accepted += 1
    assert accepted > CASES / 3


@pytest.mark.parametrize(
    ("jid", "expected"),
    [
        ("Alice@Example.ORG", "alice@example.org"),
        ("Straße@example.org", "strasse@example.org"),
        ("Ⅳ@example.org", "iv@example.org"),
        ("\uff21lice@example.org", "alice@example.org"),
        ("a\u00adlice@example.org", "alice@example.org"),
        ("alice@B\u00fccher.example", "alice@b\u00fccher.example"),
        ("alice@example.org.", "alice@example.org"),
        ("\u05d0\u05d1@example.org", "\u05d0\u05d1@example.org"),
        ("a\u05d0@example.org", None),
        ("a b@example.org", None),
        ("alice\u0000@example.org", None),
    ],
)
def test_known_forms(jid: str, expected: str | None) -> None:
    """Both give the known form of well-known cases."""
    assert [expected] == by_prosody([jid])
    assert expected == by_us(jid)
