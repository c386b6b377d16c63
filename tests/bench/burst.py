"""Messages a second: 500 at once to one account, 500 from one account. `python -m tests.bench.burst [--short]`.

Counted from the first being sent until the last has arrived, at the owner's client and on the contact's phone; in
order means that exactly what was sent arrived, each once, one after the other. The sandbox, its encryption in Python,
and the client run on the same cores as what is measured.
"""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench import usage
from tests.bench.bed import Bed, Owner, Seen, linked
from tests.bench.figures import Line, at_least, at_most, holds, in_order, spread
from tests.bench.report import Result, alone

NAME = "burst"
MESSAGES: Final = 500
ROUNDS: Final = 5
RATE: Final = 150.0  # messages a second, at least
CPU: Final = 5.0  # milliseconds of a shard's CPU for one message, at most


@dataclass(frozen=True, slots=True)
class Round:
    """Messages a second, whether they were in order, and CPU milliseconds for each."""

    rate: float
    ordered: bool
    shard: float
    prosody: float


async def _timed(bed: Bed, owner: Owner, count: int, way: str, number: int) -> Round:
    pid, prosody = bed.shard(owner), bed.stage.prosody
    before = usage.cpu_seconds(pid), prosody.cpu_seconds()
    texts = [f"{way}{number}.{n}" for n in range(count)]
    begun = time.time()
    seen = await (inwards if way == "in" else outwards)(owner, texts)
    after = usage.cpu_seconds(pid), prosody.cpu_seconds()
    shard, server = ((late - early) / count * 1000 for late, early in zip(after, before, strict=True))
    return Round(count / (seen[-1].at - begun), in_order([s.text for s in seen], texts), shard, server)


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


def judged(rounds: dict[str, list[Round]]) -> list[Line]:
    """Judge the medians, and the order of every round."""
    lines = []
    for way, word in (("in", "to"), ("out", "from")):
        done = rounds[way]
        rate = spread([each.rate for each in done])["median"]
        shard = spread([each.shard for each in done])["median"]
        lines += [
            at_least(f"burst of {MESSAGES} {word} one account", RATE, rate, "/s"),
            holds(f"burst {word} one account, in order", "each round", sum(not each.ordered for each in done)),
            at_most(f"CPU a message, shard, burst {way}", CPU, shard, "ms"),
        ]
    return lines


async def measure(*, short: bool) -> Result:
    """Alternate the ways."""
    rounds: dict[str, list[Round]] = {"in": [], "out": []}
    with tempfile.TemporaryDirectory(prefix="ponton-bench-") as folder:
        async with linked(Path(folder)) as bed:
            for number in range(1 if short else ROUNDS):
                for way, done in rounds.items():
                    done.append(await _timed(bed, bed.owners[0], 100 if short else MESSAGES, way, number))
    figures = {
        way: {
            "messages_per_second": spread([each.rate for each in done], 1),
            "shard_cpu_ms_per_message": spread([each.shard for each in done]),
            "prosody_cpu_ms_per_message": spread([each.prosody for each in done]),
        }
        for way, done in rounds.items()
    }
    return Result(NAME, {"messages": MESSAGES, **figures}, judged(rounds))


if __name__ == "__main__":
    raise SystemExit(alone(measure, __doc__))
