"""`make chaos`, `python -m tests.chaos [--seed N] [--short] [--heavy]`: a storm over the whole system, and the verdict.

Prints a table; a full run also keeps it in docs/figures/: chaos.json, or chaos-DRIVER.json when SANDBOX_DRIVER names
one. The exit code is 1 when something does not hold.
"""

import argparse
import asyncio
import logging
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

from tests.bench.report import FOLDER, file_name
from tests.chaos.heavy import KILLS, VICTIMS, WAITING, heavy
from tests.chaos.report import Row, evidence, keep, machine, rows, table
from tests.chaos.rogue import rogue
from tests.chaos.run import FULL, SHORT, Profile, Run, played
from tests.chaos.town import Town
from tests.demo.say import Say


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="the same seed plans the same storm")
    parser.add_argument("--short", action="store_true", help="four owners and a minute")
    parser.add_argument(
        "--heavy",
        action="store_true",
        help="instead: one account, 3,000 waiting and 100 kills for each part of a driver",
    )
    parser.add_argument("--size", type=float, default=1.0, help="of the heavy case; 0.1 is a tenth of it")
    parser.add_argument("--keep", type=Path, default=None, help="leave all files in this folder")
    return parser.parse_args()


async def storm(folder: Path, profile: Profile, seed: int, say: Say) -> tuple[Run, list[Row]]:
    """Play a storm, and a rogue after it."""
    found: list[Row] = []

    async def play(town: Town, owner: str, place: Path) -> None:
        found.extend(await rogue(town, owner, place))

    run = await played(folder, profile, seed, say, play)
    return run, [*rows(run), *found]


async def main() -> int:
    """Play and judge."""
    args = arguments()
    logging.getLogger("slixmpp").setLevel(logging.CRITICAL)  # what it says of streams that die while they open
    seed = secrets.randbelow(1_000_000) if args.seed is None else args.seed
    say = Say(lambda line: print(line, flush=True))  # noqa: T201 - a program for the terminal
    say(f"seed {seed}")
    folder = args.keep or Path(tempfile.mkdtemp(prefix="ponton-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    try:
        if args.heavy:
            found = []
            for driver in VICTIMS:
                (folder / driver).mkdir()
                waiting, kills = int(WAITING * args.size), int(KILLS * args.size)
                found += await heavy(folder / driver, seed, say, driver, waiting, kills)
        else:
            run, found = await storm(folder, SHORT if args.short else FULL, seed, say)
            if args.keep:
                (folder / "evidence.txt").write_text("\n".join(evidence(run)) + "\n")
    finally:
        if args.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    print(table(found))  # noqa: T201 - as above
    if not args.heavy and not args.short:
        keep(FOLDER / file_name("chaos"), run, found, machine())
    return int(any(row.holds is False for row in found))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
