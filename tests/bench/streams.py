"""Prosody's memory for 2,000 shard streams that do nothing, acks on. `python -m tests.bench.streams [--short]`."""

import asyncio
import tempfile
from pathlib import Path
from typing import Final

from tests.bench.figures import at_most
from tests.bench.report import Result, alone
from tests.harness.prosody import Prosody, running_prosody
from tests.harness.shard_stream import ShardStream

NAME = "streams"
STREAMS: Final = 2_000
EACH: Final = 32.0  # KiB, at most
SETTLE, WATCH = 2.0, 5.0  # seconds of rest before memory is read, and over which idle CPU is counted
WARM: Final = 20  # streams whose memory does not count: what the first ones make is made once


async def _open(server: Prosody, first: int, count: int) -> list[ShardStream]:
    numbers = range(first, first + count)
    return [await ShardStream.open(server, owner=f"u{n}@{server.domain}", epoch=1) for n in numbers]


async def measure(*, short: bool) -> Result:
    """Open them one after the other, let them rest, look."""
    count = 200 if short else STREAMS
    with tempfile.TemporaryDirectory(prefix="ponton-bench-") as folder:
        async with running_prosody(Path(folder)) as server:
            warm = await _open(server, 0, WARM)
            before, cpu = server.rss_bytes(), server.cpu_seconds()
            streams = await _open(server, WARM, count)
            connect = (server.cpu_seconds() - cpu) / count * 1000
            await asyncio.sleep(SETTLE)
            each = (server.rss_bytes() - before) / count / 1024
            cpu = server.cpu_seconds()
            await asyncio.sleep(WATCH)
            idle = (server.cpu_seconds() - cpu) / WATCH * 100
            for stream in (*warm, *streams):
                await stream.abort()
    figures = {
        "streams": count,
        "kib_each": round(each, 1),
        "cpu_ms_to_connect": round(connect, 2),
        "idle_cpu_percent": round(idle, 2),
    }
    return Result(NAME, figures, [at_most(f"memory of {count:,} idle shard streams, each", EACH, each, "KiB")])


if __name__ == "__main__":
    raise SystemExit(alone(measure, __doc__))
