"""`python -m tests.fuzz`: random cases through all converters until there were enough, or the time is over.

    python -m tests.fuzz                          100,000 cases of a new seed, ten minutes at most
    python -m tests.fuzz --seed 7 --cases 5000    the same cases every time
    python -m tests.fuzz --seed 7 --only from_xmpp --at 4711    one case again, with its error

Prints how many cases each target had and what was found, one line for each different finding with how to see it again.
The exit code is 1 when something was found.
"""

import argparse
import secrets
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from random import Random

from tests.fuzz.targets import TARGETS

CASES = 100_000
SECONDS = 600.0
SLOW = 1.0  # seconds; a case that takes longer is a finding: one message must not hold a shard up


@dataclass
class Findings:
    """Cases by target, and findings: what -> the first case that had it."""

    seed: int
    cases: Counter[str] = field(default_factory=Counter)
    found: dict[str, str] = field(default_factory=dict)

    def run(self, name: str, number: int) -> None:
        """Run one case; the same seed, target and number are always the same case."""
        begun = time.process_time()
        try:
            TARGETS[name][1](source(self.seed, name, number))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
            self._note(f"{type(error).__name__} at {_place(error)}", name, number)
        if time.process_time() - begun > SLOW:
            self._note(f"slower than {SLOW} s", name, number)
        self.cases[name] += 1

    def _note(self, what: str, name: str, number: int) -> None:
        self.found.setdefault(f"{name}: {what}", f"--seed {self.seed} --only {name} --at {number}")


def source(seed: int, name: str, number: int) -> Random:
    """Give the random source of one case."""
    return Random(f"{seed} {name} {number}")


def fuzz(seed: int, cases: int, seconds: float, only: str = "") -> Findings:
    """Run cases, spread by the targets' weights."""
    findings = Findings(seed)
    plan = [name for name, (weight, _) in TARGETS.items() for _ in range(weight) if only in {"", name}]
    end = time.monotonic() + seconds
    for number in range(cases):
        findings.run(plan[number % len(plan)], number)
        if time.monotonic() > end:
            break
    return findings


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(frames[-3:]))


def main(arguments: list[str] | None = None) -> int:
    """Read the options, fuzz, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz all converters.")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--cases", type=int, default=CASES)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--only", choices=sorted(TARGETS), default="")
    parser.add_argument("--at", type=int, help="run this one case of --only and let its error through")
    given = parser.parse_args(arguments)
    if given.at is not None:
        TARGETS[given.only or parser.error("--at needs --only")][1](source(given.seed, given.only, given.at))
        return 0
    begun = time.monotonic()
    findings = fuzz(given.seed, given.cases, given.seconds, given.only)
    for name, count in sorted(findings.cases.items()):
        print(f"{name:<16}{count:>9,} cases")  # noqa: T201 - a program's output
    for what, again in findings.found.items():
        print(f"FOUND {what}\n      {again}")  # noqa: T201 - a program's output
    total, spent = sum(findings.cases.values()), time.monotonic() - begun
    print(f"seed {given.seed}: {total:,} cases in {spent:.1f} s, {len(findings.found)} findings")  # noqa: T201
    return 1 if findings.found else 0


if __name__ == "__main__":
    sys.exit(main())
