"""`make chaos`, `python -m tests.chaos [--seed N] [--short]`: a storm over the whole system, and the verdict.

Prints a table; a full run also keeps it in docs/figures/chaos.json. The exit code is 1 when something does not hold.
"""

import argparse
import asyncio
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos.report import keep, machine, rows, table
from tests.chaos.run import FULL, SHORT, played
from tests.demo.stage import Say

RESULT = Path("docs/figures/chaos.json")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="the same seed plans the same storm")
    parser.add_argument("--short", action="store_true", help="four owners and a minute")
    parser.add_argument("--keep", type=Path, default=None, help="leave all files in this folder")
    return parser.parse_args()


async def main() -> int:
    """Play and judge."""
    args = arguments()
    seed = secrets.randbelow(1_000_000) if args.seed is None else args.seed
    say = Say(lambda line: print(line, flush=True))  # noqa: T201 - a program for the terminal
    say(f"seed {seed}")
    folder = args.keep or Path(tempfile.mkdtemp(prefix="ponton-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    try:
        run = await played(folder, SHORT if args.short else FULL, seed, say)
    finally:
        if args.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    found = rows(run)
    print(table(found))  # noqa: T201 - as above
    if not args.short:
        keep(RESULT, run, found, machine())
    return int(any(row.holds is False for row in found))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
