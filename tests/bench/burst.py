"""Messages a second: 500 at once to one account, 500 from one account. `python -m tests.bench.burst [--short]`.

Counted from the first being sent until the last has arrived, at the owner's client and on the contact's phone; in
order means that exactly what was sent arrived, each once, one after the other. The sandbox, its encryption in Python,
and the client run on the same cores as what is measured.
"""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench import usage
from tests.bench.bed import Bed, Owner, Seen, linked
from tests.bench.figures import Line, holds, in_order, spread
from tests.bench.latency import bare_client, echoes
from tests.bench.pace import Pace
from tests.bench.report import Result, alone

NAME = "burst"
MESSAGES: Final = 500
ROUNDS: Final = 5
RATE: Final = 150.0  # messages a second, at least
CPU: Final = 5.0  # milliseconds of a shard's CPU for one message, at most


@dataclass(frozen=True, slots=True)
class Round:
    """Messages a second, whether they were in order, and CPU milliseconds for each by process."""

    rate: float
    ordered: bool
    cpu: Mapping[str, float]


async def _timed(bed: Bed, owner: Owner, count: int, way: str, number: int) -> Round:
    before = bed.cpu_seconds()
    texts = [f"{way}{number}.{n}" for n in range(count)]
    begun = time.time()
    seen = await (inwards if way == "in" else outwards)(owner, texts)
    cpu = usage.per_message(before, bed.cpu_seconds(), count)
    return Round(count / (seen[-1].at - begun), in_order([each.text for each in seen], texts), cpu)


async def inwards(owner: Owner, texts: list[str]) -> list[Seen]:
    """Let the contact write all these at once (they end in 0, 1 ...); gives what arrived at the owner's client."""
    owner.arrived.clear()
    await owner.contact.burst(to=owner.phone, count=len(texts), prefix=texts[0].removesuffix("0"))
    return list(await owner.here(len(texts)))


async def outwards(owner: Owner, texts: list[str]) -> list[Seen]:
    """Let the owner write all these at once; gives what arrived on the contact's phone."""
    for text in texts:
        owner.say(text)
    return await owner.there(len(texts))


def by_process(rounds: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Give the spread over the rounds for each process."""
    return {name: spread([each[name] for each in rounds]) for name in rounds[0]}


def judged(rounds: dict[str, list[Round]], pace: Pace) -> list[Line]:
    """Judge the medians, and the order of every round."""
    lines = [pace.line()]
    for way, word in (("in", "to"), ("out", "from")):
        done = rounds[way]
        rate = spread([each.rate for each in done])["median"]
        shard = spread([each.cpu["shard"] for each in done])["median"]
        lines += [
            pace.at_least(f"burst of {MESSAGES} {word} one account", RATE, rate, "/s"),
            holds(f"burst {word} one account, in order", "each round", sum(not each.ordered for each in done)),
            pace.at_most(f"CPU a message, shard, burst {way}", CPU, shard, "ms"),
        ]
    return lines


async def measure(*, short: bool) -> Result:
    """Alternate the ways."""
    rounds: dict[str, list[Round]] = {"in": [], "out": []}
    with tempfile.TemporaryDirectory(prefix="ponton-bench-") as folder:
        async with linked(Path(folder)) as bed, bare_client(bed.sandbox, Path(folder)) as bare:
            pace = await echoes(bare)
            for number in range(1 if short else ROUNDS):
                for way, done in rounds.items():
                    done.append(await _timed(bed, bed.owners[0], 100 if short else MESSAGES, way, number))
    figures = {
        way: {
            "messages_per_second": spread([each.rate for each in done], 1),
            "cpu_ms_per_message": by_process([each.cpu for each in done]),
        }
        for way, done in rounds.items()
    }
    return Result(NAME, {"messages": MESSAGES, "pace": pace.figures(), **figures}, judged(rounds, pace))


if __name__ == "__main__":
    raise SystemExit(alone(measure, __doc__))
