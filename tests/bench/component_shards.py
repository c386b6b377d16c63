"""The module against the stock component, in one run. `python -m tests.bench.component_shards [--short]`.

Messages with a body of 108 bytes from a user to a component and back: Prosody's CPU for each, for the stock
mod_component and for a shard with acks, in alternating rounds of one run, once with the journal in memory and once on
disk; and the time of a round trip. Compare only within a round: a busy machine changes absolute figures by a factor of
two, so what is judged is the median of the rounds' ratios. Modules that would hide the routing (MAM, carbons, stream
management) are off.
"""

import asyncio
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final, Literal

from tests.bench.figures import Line, at_most, differences, quantile, ratios, spread
from tests.bench.report import Result, alone
from tests.bench.wires import STOCK, Wire, shard, stock_component, user
from tests.harness.prosody import Prosody, free_ports, running_prosody
from tests.harness.prosody_config import Options

NAME = "component_shards"
BODY = "x" * 108  # bytes; the length that the first measurements used
ROUNDS: Final = 6
MESSAGES: Final = 10_000  # each way in a round
PINGS: Final = 1_000  # round trips in a round
BATCH: Final = 128  # messages sent before the first must have arrived
CPU: Final = {"memory": 14.0, "disk": 60.0}  # percent more than stock, at most
TAIL: Final = 1.0  # milliseconds more than stock for a round trip, p99
WAYS: Final = ("user to component", "component to user")

Storage = Literal["memory", "disk"]


class Course:
    """Messages on their way from one wire to another, `batch` at a time (a flood when that is all of them)."""

    def __init__(self, server: Prosody, messages: int, batch: int) -> None:
        self._server = server
        self._messages = messages
        self._batch = batch

    async def run(self, source: Wire, target: Wire, text: str, number: int | None = None) -> float:
        """Prosody's CPU microseconds per message; `number` is the first one's, if the target acknowledges."""
        before = self._server.cpu_seconds()
        for start in range(0, self._messages, self._batch):
            count = min(self._batch, self._messages - start)
            receiving = asyncio.ensure_future(target.count(count, None if number is None else number + start))
            source.writer.write((text * count).encode())
            await asyncio.wait_for(receiving, 120)
        return (self._server.cpu_seconds() - before) / self._messages * 1e6


@dataclass
class End:
    """A component's stream. `number` is that of the next stanza which it gets; None where nothing is acknowledged."""

    wire: Wire
    domain: str
    number: int | None
    cpu: dict[str, list[float]] = field(default_factory=lambda: {way: [] for way in WAYS})
    tails: list[float] = field(default_factory=list)  # milliseconds, p99 of each round
    middles: list[float] = field(default_factory=list)

    async def round(self, server: Prosody, alice: Wire, messages: int, pings: int) -> None:
        """Let messages pass both ways, then one at a time there and back."""
        there = f"<message type='chat' to='c@{self.domain}' id='m'><body>{BODY}</body></message>"
        back = (
            f"<message type='chat' from='c@{self.domain}/wa' to='alice@{server.domain}/bench' id='m'>"
            f"<body>{BODY}</body></message>"
        )
        course = Course(server, messages, BATCH)
        self.cpu[WAYS[0]].append(await course.run(alice, self.wire, there, self.number))
        self._passed(messages)
        self.cpu[WAYS[1]].append(await course.run(self.wire, alice, back))
        trips = []
        for _ in range(pings):
            begun = time.perf_counter()
            alice.writer.write(there.encode())
            await self.wire.count(1, self.number)
            self._passed(1)
            self.wire.writer.write(back.encode())
            await alice.count(1)
            trips.append((time.perf_counter() - begun) * 1000)
        self.tails.append(quantile(trips, 0.99))
        self.middles.append(quantile(trips, 0.5))

    def _passed(self, count: int) -> None:
        if self.number is not None:
            self.number += count


def options(storage: Storage, stock_port: int) -> Options:
    """Give a configuration with both components, without what would hide the routing."""
    return Options(
        everywhere={
            "c2s_require_encryption": False,
            "allow_unencrypted_plain_auth": True,
            "component_ports": [stock_port],
            "component_interfaces": ["127.0.0.1"],
        },
        component={
            "component_shards_storage": storage,
            "component_shards_rate": 1e9,
            "component_shards_burst": 1e9,
            "component_shards_queue_size": 1e9,
            "component_shards_queue_bytes": 1e12,
        },
        without_modules=("carbons", "smacks", "mam", "pep", "bookmarks", "blocklist", "csi_simple", "vcard_legacy"),
        more=f'Component "{STOCK}"\ncomponent_secret = "stock"\n',
    )


async def routing(storage: Storage, rounds: int, messages: int, pings: int) -> tuple[End, End]:
    """Alternate stock and shard; which goes first changes each time."""
    stock_port = free_ports(1)[0]
    with tempfile.TemporaryDirectory(prefix="ponton-bench-") as folder:
        chosen = options(storage, stock_port)
        async with running_prosody(Path(folder), users={"alice": "pw"}, options=chosen) as server:
            alice = await user(server)
            stock = End(await stock_component(stock_port), STOCK, None)
            wire, number = await shard(server)
            ours = End(wire, server.component, number)
            for turn in range(rounds):
                for end in (stock, ours) if turn % 2 else (ours, stock):
                    await end.round(server, alice, messages, pings)
    return stock, ours


def figures(stock: End, ours: End) -> dict[str, object]:
    """Give what is written down for one kind of storage."""
    cpu = {
        way: {
            "stock_us": spread(stock.cpu[way], 1),
            "shard_us": spread(ours.cpu[way], 1),
            "more_percent": spread(ratios(ours.cpu[way], stock.cpu[way]), 1),
        }
        for way in WAYS
    }
    trips = {
        "stock": {"p50": spread(stock.middles, 3), "p99": spread(stock.tails, 3)},
        "shard": {"p50": spread(ours.middles, 3), "p99": spread(ours.tails, 3)},
        "p99_added": spread(differences(ours.tails, stock.tails), 3),
    }
    return {"cpu_per_message": cpu, "round_trip_ms": trips}


def judged(storage: Storage, stock: End, ours: End) -> list[Line]:
    """Judge the medians of the paired rounds."""
    lines = [
        at_most(
            f"module over stock, {storage}, CPU, {way}",
            CPU[storage],
            median(ratios(ours.cpu[way], stock.cpu[way])),
            "%",
        )
        for way in WAYS
    ]
    added = median(differences(ours.tails, stock.tails))
    return [*lines, at_most(f"module over stock, {storage}, round trip p99", TAIL, added, "ms")]


async def measure(*, short: bool) -> Result:
    """Measure with each kind of storage."""
    rounds, messages, pings = (2, 1_000, 200) if short else (ROUNDS, MESSAGES, PINGS)
    written: dict[str, object] = {"rounds": rounds, "messages": messages, "pings": pings}
    lines: list[Line] = []
    for storage in ("memory", "disk"):
        kind: Storage = "memory" if storage == "memory" else "disk"
        stock, ours = await routing(kind, rounds, messages, pings)
        written[kind] = figures(stock, ours)
        lines += judged(kind, stock, ours)
    return Result(NAME, written, lines)


if __name__ == "__main__":
    raise SystemExit(alone(measure, __doc__))
