"""`make bench`: all benches one after the other, one table, docs/figures/*.json; exit code 1 when a must is missed.

    python -m tests.bench [--short] [NAME ...]

A bench that fails counts as missed, and the others run all the same.
"""

import argparse
import importlib
import sys
import time
import traceback
from collections.abc import Sequence
from typing import Final

from tests.bench.figures import Line, table
from tests.bench.report import perform, say

BENCHES: Final = ("latency", "burst", "five", "memory", "soak", "component_shards", "streams", "linking", "portal")


def run(name: str, *, short: bool) -> Sequence[Line]:
    """Run one bench; a failure is a line that was not met, its cause on the screen."""
    begun = time.monotonic()
    try:
        lines = perform(importlib.import_module(f"tests.bench.{name}").measure, short=short).lines
    except Exception:  # noqa: BLE001 - whatever it is must not keep the others from being measured
        traceback.print_exc()
        lines = [Line(name, "runs to its end", "failed", met=False)]
    say(f"{name}: {time.monotonic() - begun:.0f} s")
    return lines


def main(arguments: Sequence[str]) -> int:
    """Run all, or those that are named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", choices=(*BENCHES, []), metavar="NAME", help="all when none is given")
    parser.add_argument("--short", action="store_true", help="measure little and write nothing")
    options = parser.parse_args(arguments)
    lines = [line for name in options.names or BENCHES for line in run(name, short=options.short)]
    say("\n" + table(lines))
    return int(not all(line.met for line in lines))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
