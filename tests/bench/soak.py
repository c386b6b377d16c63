"""Memory of one shard over 10,000 messages, in and out in turn. `python -m tests.bench.soak [--short]`.

Flat means: what the process has at the end is within 3 MiB of what it had after the first 1,000, when its caches, the
heaps of Python and Go, and SQLite's pages are warm.
"""

import asyncio
import tempfile
from pathlib import Path
from typing import Final

from tests.bench import usage
from tests.bench.bed import Bed, linked
from tests.bench.burst import inwards, outwards
from tests.bench.figures import at_most, growth, holds, in_order
from tests.bench.report import Result, alone

NAME = "soak"
MESSAGES: Final = 10_000
CHUNK: Final = 250  # messages in one direction, then the other
WARM: Final = 1_000  # messages after which memory has to be flat
GROWTH: Final = 3.0  # MiB, at most
REST: Final = 1.0  # seconds of silence before each look, for acknowledgements and the collectors


async def _samples(bed: Bed, total: int, chunk: int) -> tuple[list[tuple[int, float]], list[tuple[int, float]], int]:
    """Give (messages, MiB) of PSS and of private memory, and how many chunks were not in order."""
    owner = bed.owners[0]
    pid, wrong = bed.shard(owner), 0
    pss: list[tuple[int, float]] = []
    private: list[tuple[int, float]] = []
    for done in range(0, total, 2 * chunk):
        for send in (inwards, outwards):
            texts = [f"{send.__name__} {done} {n}" for n in range(chunk)]
            wrong += not in_order([each.text for each in await send(owner, texts)], texts)
        owner.client.messages.clear()
        await asyncio.sleep(REST)
        now = usage.memory(pid)
        pss.append((done + 2 * chunk, now.pss))
        private.append((done + 2 * chunk, now.private))
    return pss, private, wrong


async def measure(*, short: bool) -> Result:
    """Send them all through one shard."""
    total, chunk, warm = (800, 50, 200) if short else (MESSAGES, CHUNK, WARM)
    with tempfile.TemporaryDirectory(prefix="ponton-bench-") as folder:
        async with linked(Path(folder)) as bed:
            pss, private, wrong = await _samples(bed, total, chunk)
    grown = growth(private, warm)
    figures = {
        "messages": total,
        "private_mib_grown_after_warm": round(grown, 2),
        "pss_mib_grown_after_warm": round(growth(pss, warm), 2),
        "private_mib": {str(done): round(value, 1) for done, value in private},
        "pss_mib": {str(done): round(value, 1) for done, value in pss},
    }
    lines = [
        at_most(f"growth over {total:,} messages, after {warm:,}", GROWTH, grown, "MiB"),
        holds(f"{total:,} messages through one shard, in order", "each", wrong),
    ]
    return Result(NAME, figures, lines)


if __name__ == "__main__":
    raise SystemExit(alone(measure, __doc__))
