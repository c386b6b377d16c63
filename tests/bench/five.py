"""Messages a second over five accounts at once, all to the owners and then all from them. `python -m tests.bench.five`.

Each account has a shard of its own; all of them, Prosody, Redis, the sandbox and the clients share the machine.
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from tests.bench import usage
from tests.bench.bed import Bed, Owner, Seen, linked
from tests.bench.burst import by_process, inwards, outwards
from tests.bench.figures import Line, holds, in_order, spread
from tests.bench.latency import bare_client, echoes
from tests.bench.pace import Pace
from tests.bench.report import Result, alone

NAME = "five"
ACCOUNTS: Final = 5
MESSAGES: Final = 200  # of each account
ROUNDS: Final = 5
RATE: Final = 200.0  # messages a second over all accounts, at least

Send = Callable[[Owner, list[str]], Awaitable[list[Seen]]]


async def _round(bed: Bed, count: int, send: Send, prefix: str) -> tuple[float, dict[str, float], int]:
    """Let all send at once; gives messages a second in sum, CPU by process, and how many accounts were not in order."""
    before = bed.cpu_seconds()
    texts = [f"{prefix}.{n}" for n in range(count)]
    begun = time.time()
    seen = await asyncio.gather(*(send(owner, texts) for owner in bed.owners))
    took = max(each[-1].at for each in seen) - begun
    wrong = sum(not in_order([one.text for one in each], texts) for each in seen)
    total = count * len(bed.owners)
    return total / took, usage.per_message(before, bed.cpu_seconds(), total), wrong


def judged(rates: dict[str, list[float]], wrong: int, pace: Pace) -> list[Line]:
    """Judge the medians, and the order over all rounds."""
    lines = [
        pace.line(),
        *(
            pace.at_least(f"{ACCOUNTS} accounts at once, {way}, in sum", RATE, spread(done)["median"], "/s")
            for way, done in rates.items()
        ),
    ]
    return [*lines, holds(f"{ACCOUNTS} accounts at once, in order", "each round", wrong)]


async def measure(*, short: bool) -> Result:
    """Alternate the ways."""
    rates: dict[str, list[float]] = {"in": [], "out": []}
    cpu: dict[str, list[dict[str, float]]] = {"in": [], "out": []}
    unordered = 0
    with tempfile.TemporaryDirectory(prefix="ponton-bench-") as folder:
        async with linked(Path(folder), ACCOUNTS) as bed, bare_client(bed.sandbox, Path(folder)) as bare:
            pace = await echoes(bare)
            for number in range(1 if short else ROUNDS):
                for way, send in (("in", inwards), ("out", outwards)):
                    rate, used, wrong = await _round(bed, 40 if short else MESSAGES, send, f"{way}{number}")
                    rates[way].append(rate)
                    cpu[way].append(used)
                    unordered += wrong
    figures = {
        "accounts": ACCOUNTS,
        "pace": pace.figures(),
        "messages_per_account": MESSAGES,
        "messages_per_second": {way: spread(done, 1) for way, done in rates.items()},
        "cpu_ms_per_message": {way: by_process(done) for way, done in cpu.items()},
    }
    return Result(NAME, figures, judged(rates, unordered, pace))


if __name__ == "__main__":
    raise SystemExit(alone(measure, __doc__))
