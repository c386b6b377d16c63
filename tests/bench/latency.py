"""What the bridge adds to the time a message takes, both ways. `python -m tests.bench.latency [--short]`.

In: a contact sends -> the owner's XMPP client has it, minus contact sends -> a bare neonize client has it. Out: the
client sends -> the contact's phone has it, minus a bare neonize client sends -> the phone has it. Messages come at 10 a
second through the bridge and, half a turn later, through the bare client, so that both meet the same machine.
Also the CPU of shard and Prosody for messages that come one by one, as people write.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.bench import usage
from tests.bench.bed import PATIENCE, Bed, Owner, Seen, linked, paced, there
from tests.bench.figures import Line, added, at_most, differences, distribution, quantile
from tests.bench.pace import Pace
from tests.bench.report import Result, alone
from tests.sandbox.client import AccountHandle, SandboxClient
from tests.sandbox.harness import ROOT
from tests.sandbox.launch import sandboxed

NAME = "latency"
MESSAGES: Final = 500  # each way
RATE: Final = 10.0  # a second
MEDIAN, TAIL = 15.0, 100.0  # milliseconds that may be added at p50 and at p99
FIRST: Final = "first in"  # what the contact writes before anything is measured
CPU: Final = 5.0  # milliseconds of a shard's CPU for one message, at most
ECHOES: Final = 100  # messages out and back that tell the pace


@dataclass
class Bare:
    """The bare client, linked to `phone`; `arrived` fills with what `contact` writes."""

    phone: AccountHandle
    contact: AccountHandle
    process: asyncio.subprocess.Process
    arrived: list[Seen] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _said: dict[str, str] = field(default_factory=dict)
    read: int = 0

    async def listen(self) -> None:
        """Take what the child says, until it ends."""
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            said: dict[str, Any] = json.loads(line)
            if said.get("text") == FIRST:
                self._said["first"] = FIRST
            elif said.get("text") == "":  # the phone's notices to its new companion
                continue
            elif "text" in said:
                self.arrived.append(Seen(said["at"], said["text"]))
            else:
                self._said |= said
            self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that the child says."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def link(self) -> None:
        """Scan, wait until it is connected as a linked device, and use both ways once."""
        await self.until(lambda: "qr" in self._said)
        await self.phone.scan(self._said["qr"])
        await self.until(lambda: "connected" in self._said)
        await self.contact.send_text(to=self.phone, text=FIRST)
        await self.until(lambda: "first" in self._said)
        self.say("first out")
        _, self.read = await there(self.contact, 1, self.read)

    def say(self, text: str) -> float:
        """Write to the contact; gives when."""
        assert self.process.stdin is not None
        at = time.time()
        self.process.stdin.write(json.dumps({"to": self.contact.number.lstrip("+"), "text": text}).encode() + b"\n")
        return at

    async def write(self, text: str) -> float:
        """Let the contact write; gives when."""
        at = time.time()
        await self.contact.send_text(to=self.phone, text=text)
        return at


@asynccontextmanager
async def bare_client(sandbox: SandboxClient, folder: Path) -> AsyncIterator[Bare]:
    """Give a linked bare client with a contact of its own."""
    assert sandbox.config_file is not None
    phone = await sandbox.account(push_name="Bare", contacts=["Bare's contact"])
    contact = await sandbox.contact("Bare's contact")
    argv = [sys.executable, "-m", "tests.bench.bare", str(folder / "bare.db")]
    argv, env = sandboxed(argv, {**os.environ, "NEONIZE_BOT_TAG": "off"}, sandbox.config_file)
    with (folder / "bare.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *argv, env=env, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log
        )
    client = Bare(phone, contact, process)
    listening = asyncio.create_task(client.listen())
    try:
        await client.link()
        yield client
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await listening


async def echoes(bare: Bare, count: int = ECHOES) -> Pace:
    """Let a bare client write, one by one, and measure how long each echo of its contact takes to come."""
    took = []
    await bare.contact.settings(echo=0)
    for number in range(count):
        begun = bare.say(f"pace {number}")
        await bare.until(lambda: bool(bare.arrived))
        took.append((bare.arrived.pop().at - begun) * 1000)
    await bare.contact.settings(echo=-1)
    _, bare.read = await there(bare.contact, count, bare.read)
    return Pace(quantile(took, 0.5))


@dataclass
class Way:
    """Milliseconds of each message of one direction, by both roads, and CPU milliseconds a message."""

    bridge: list[float]
    bare: list[float]
    shard: float
    prosody: float
    library: float  # of the bare client's process: what the library takes without a bridge

    def figures(self) -> dict[str, object]:
        """Give what is written down."""
        return {
            "through_bridge_ms": distribution(self.bridge),
            "through_bare_client_ms": distribution(self.bare),
            "added_ms": {
                f"p{share * 100:.0f}": round(added(self.bridge, self.bare, share), 2) for share in (0.5, 0.99)
            },
            "pairwise_difference_p50_ms": round(quantile(differences(self.bridge, self.bare), 0.5), 2),
            "shard_cpu_ms_per_message": round(self.shard, 2),
            "prosody_cpu_ms_per_message": round(self.prosody, 2),
            "bare_client_cpu_ms_per_message": round(self.library, 2),
        }

    def lines(self, word: str) -> list[Line]:
        """Judge it."""
        return [
            at_most(f"latency added {word}, p50", MEDIAN, added(self.bridge, self.bare, 0.5), "ms"),
            at_most(f"latency added {word}, p99", TAIL, added(self.bridge, self.bare, 0.99), "ms"),
        ]


async def _way(bed: Bed, bare: Bare, count: int, sending: Callable[[Owner | Bare, str], Awaitable[float]]) -> Way:
    """Send `count` by both roads in turn, then gather what arrived."""
    owner = bed.owners[0]
    sent: dict[str, float] = {}

    async def one(number: int) -> None:
        """Send one by each road; which goes first changes each time."""
        roads: list[tuple[str, Owner | Bare]] = [("bridge", owner), ("bare", bare)]
        for road, who in roads if number % 2 else roads[::-1]:
            sent[f"{road} {number}"] = await sending(who, f"{road} {number}")
            await asyncio.sleep(1 / RATE / 2)

    def used() -> dict[str, float]:
        bared = usage.cpu_seconds(usage.child(os.getpid(), "tests.bench.bare"))
        return {**bed.cpu_seconds(), "bare": bared}

    before = used()
    await paced(count, RATE, one)
    if sending is inwards:
        await owner.here(count)
        await bare.until(lambda: len(bare.arrived) >= count)
        seen = [*owner.arrived, *bare.arrived]
        owner.arrived.clear()
        bare.arrived.clear()
    else:
        by_bare, bare.read = await there(bare.contact, count, bare.read)
        seen = [*await owner.there(count), *by_bare]
    cpu = usage.per_message(before, used(), count)
    took = {each.text: (each.at - sent[each.text]) * 1000 for each in seen}
    bridged, bared = ([took[f"{road} {number}"] for number in range(count)] for road in ("bridge", "bare"))
    return Way(bridged, bared, cpu["shard"], cpu["prosody"], cpu["bare"])


async def inwards(who: Owner | Bare, text: str) -> float:
    """Let the contact write."""
    return await who.write(text)


async def outwards(who: Owner | Bare, text: str) -> float:
    """Let the owner, or the bare client, write."""
    return who.say(text)


async def measure(*, short: bool) -> Result:
    """Measure one way, then the other."""
    count = 50 if short else MESSAGES
    with tempfile.TemporaryDirectory(prefix="ponton-bench-") as name:
        folder = Path(name)
        async with linked(folder) as bed, bare_client(bed.sandbox, folder) as bare:
            ways = {"in": await _way(bed, bare, count, inwards)}
            pace = await echoes(bare)
            ways["out"] = await _way(bed, bare, count, outwards)
    cpu = statistics.mean(way.shard for way in ways.values())
    lines = [
        pace.line(),
        *(line for word, way in ways.items() for line in way.lines(word)),
        pace.at_most("CPU a message, shard, one by one, both ways", CPU, cpu, "ms"),
    ]
    figures = {word: way.figures() for word, way in ways.items()}
    return Result(NAME, {"messages": count, "pace": pace.figures(), **figures}, lines)


if __name__ == "__main__":
    raise SystemExit(alone(measure, __doc__))
