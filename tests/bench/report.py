"""How a bench is run and what becomes of its result: the table on the screen, docs/figures/NAME.json, the exit code.

A run with a chosen WhatsApp driver (SANDBOX_DRIVER) leaves the figures of the usual one alone: NAME-DRIVER.json.

A bench is a module with NAME and `async def measure(*, short) -> Result`; it ends with `raise SystemExit(alone(...))`.
`--short` measures little, for a look whether it works: then nothing is written, since the figures mean nothing.
"""

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from tests.bench.figures import Figures, Line, table
from tests.sandbox import launch

FOLDER = Path("docs/figures")
LIBRARIES = ("neonize", "slixmpp", "protobuf", "redis")
PACKAGES = ("prosody", "redis-server", "lua5.4")


@dataclass(frozen=True, slots=True)
class Result:
    """What a bench found: `figures` for the file, `lines` for the table."""

    name: str
    figures: Figures
    lines: Sequence[Line]


class Measure(Protocol):
    """The function of a bench."""

    def __call__(self, *, short: bool) -> Awaitable[Result]:
        """Measure; `short` for a quick check."""


def load() -> float:
    """Give the load average of the last minute: who else was busy on these cores."""
    return round(os.getloadavg()[0], 1)


def surroundings() -> dict[str, object]:
    """Say on what machine and with which versions this was measured."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}",
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in LIBRARIES},
            **{name: installed for name in PACKAGES if (installed := _package(name))},
        },
        "driver": launch.driver(),
        "day": datetime.now(UTC).date().isoformat(),
    }


def _package(name: str) -> str:
    """Give the version of a Debian package, '' where there is none to ask."""
    try:
        asked = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Version}", name], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return asked.stdout


def file_name(name: str) -> str:
    """Give the name of a result's file."""
    chosen = os.environ.get(launch.DRIVER_VARIABLE)
    return f"{name}-{chosen}.json" if chosen else f"{name}.json"


def keep(result: Result, around: Figures, folder: Path = FOLDER) -> Path:
    """Write a result's file; gives its path."""
    musts = [{"figure": e.figure, "must": e.must, "measured": e.measured, "met": e.met} for e in result.lines]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file_name(result.name)
    path.write_text(json.dumps({**around, "figures": result.figures, "musts": musts}, indent=2) + "\n")
    return path


def perform(measure: Measure, *, short: bool) -> Result:
    """Run one bench; its file is written unless it was short."""
    before = load()
    result = asyncio.run(_awaited(measure, short=short))
    if not short:
        keep(result, {**surroundings(), "load": {"before": before, "after": load()}})
    return result


async def _awaited(measure: Measure, *, short: bool) -> Result:
    return await measure(short=short)


def say(text: str) -> None:
    """Print at once: a bench takes minutes."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def alone(measure: Measure, doc: str | None) -> int:
    """Run one bench as a program; the exit code is 1 when something is not as it must be."""
    parser = argparse.ArgumentParser(description=(doc or "").split("\n")[0])
    parser.add_argument("--short", action="store_true", help="measure little and write nothing")
    short: bool = parser.parse_args().short
    result = perform(measure, short=short)
    say(json.dumps(result.figures, indent=2))
    say(table(result.lines))
    return int(not all(line.met for line in result.lines))
