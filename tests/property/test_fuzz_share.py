"""A small share of `python -m tests.fuzz` in every run, and that the fuzzer finds what there is to find."""

from random import Random

import pytest

from tests.fuzz import __main__ as program
from tests.fuzz.targets import TARGETS

SHARE = 6_600  # cases; about two seconds, three hundred for each unit of weight
SEED = 20_261_123


def test_a_share_of_the_fuzzing_finds_nothing() -> None:
    """Every converter takes thousands of odd things without an error of ours, and each in well under a second."""
    findings = program.fuzz(SEED, SHARE, seconds=60.0)
    assert {} == findings.found
    assert TARGETS.keys() == findings.cases.keys()
    assert SHARE == findings.cases.total()


def test_a_finding_is_told_once_with_the_way_to_see_it_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error in a converter ends the program with 1, and the printed words give the very same error again."""

    def odd(random: Random) -> None:
        if random.random() < 0.1:
            raise RuntimeError("found")

    monkeypatch.setitem(TARGETS, "logs", (1, odd))
    assert 1 == program.main(["--seed", "7", "--cases", "100", "--only", "logs"])
    out = capsys.readouterr().out
    assert 1 == out.count("FOUND logs: RuntimeError")
    again = next(line.split() for line in out.splitlines() if "--at" in line)
    with pytest.raises(RuntimeError, match="found"):
        program.main(again)


def test_time_bounds_it() -> None:
    """With no time left it ends after the first case."""
    assert 1 == program.fuzz(1, 1000, seconds=0.0).cases.total()


def test_the_same_seed_is_the_same_case() -> None:
    """Seed, target and number make a case, wherever it stands in a run."""
    first, second = (program.source(3, "serial", 5).random() for _ in range(2))
    assert first == second
    assert first != program.source(3, "serial", 6).random()
