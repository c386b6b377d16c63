"""500 pages wait for a code at one portal, and owners look meanwhile; the host's table of 10,000 accounts in a browser.

`python -m tests.bench.portal [--short]`. The portal is the real program on a folder of accounts; sessions, heartbeats
and codes are put into Redis as logins and shards would. Each waiting page listens to the events, and fetches the new
part when all codes are renewed at once. The table is `portal_table`.
"""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Final

import aiohttp

from tests.bench.figures import at_most, quantile
from tests.bench.portal_field import Field, field, write_owners
from tests.bench.portal_table import measure_table
from tests.bench.report import Result, alone
from tests.bench.usage import cpu_seconds
from tests.harness.prosody import until
from tests.harness.redis import running_redis
from tests.integration.portal_bed import GATEWAY

NAME = "portal"
PAGES: Final = 500  # that wait at once
LOOKS: Final = 1_000  # pages asked for meanwhile, ten at once
P99: Final = 500.0  # milliseconds, for a page
EACH: Final = 100.0  # KiB of the portal's memory for a page that waits
SETTLE: Final = 3.0  # seconds until what was opened is at rest


async def wait_at(page: Field, session: aiohttp.ClientSession, cookie: str, seen: list[float]) -> None:
    """Be one page: listen, and fetch the part at each change; notes how long the fetch took, in milliseconds."""
    headers = {"Cookie": f"ponton-{GATEWAY}={cookie}"}
    async with session.get(f"{page.base}/account/events", headers=headers) as events:
        async for line in events.content:
            if line.startswith(b"data: "):
                took = await timed(session, f"{page.base}/account/part", headers)
                seen.append(took)


async def timed(session: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> float:
    """Give how long an answer took, in milliseconds."""
    began = time.monotonic()
    async with session.get(url, headers=headers) as answer:
        await answer.read()
        assert 200 == answer.status
    return (time.monotonic() - began) * 1000


async def measure(*, short: bool) -> Result:
    """Open the pages, look meanwhile, renew all codes at once; then the host's table."""
    pages, looks = (50, 100) if short else (PAGES, LOOKS)
    owners = [f"owner{number}@example.org" for number in range(pages)]
    with tempfile.TemporaryDirectory(prefix="ponton-bench-") as name:
        async with (
            running_redis(Path(name) / "redis") as redis,
            field(Path(name) / "pages", redis, owners, fill=write_owners(owners)) as portal,
        ):
            await portal.codes(1)
            connector = aiohttp.TCPConnector(limit=0)
            async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout()) as session:
                await _look(portal, session, 50)
                before, renewed = portal.memory(), list[float]()
                waiting = [asyncio.create_task(wait_at(portal, session, c, renewed)) for c in portal.cookies]
                await until(lambda: _many(renewed, pages), what="all pages to open", timeout=120)
                await asyncio.sleep(SETTLE)
                each = (portal.memory() - before) / pages
                used = cpu_seconds(portal.pid)
                looked = await _look(portal, session, looks)
                page_cpu = (cpu_seconds(portal.pid) - used) / looks
                renewed.clear()
                used = cpu_seconds(portal.pid)
                await portal.codes(2)
                await until(lambda: _many(renewed, pages), what="all pages to renew", timeout=120)
                part_cpu = (cpu_seconds(portal.pid) - used) / pages
                for task in waiting:
                    task.cancel()
                await asyncio.gather(*waiting, return_exceptions=True)
        async with running_redis(Path(name) / "redis-table") as redis:
            table, lines = await measure_table(Path(name) / "table", redis, short=short)
    figures = {
        "waiting": pages,
        "page_ms_median": round(quantile(looked, 0.5), 1),
        "page_ms_p99": round(quantile(looked, 0.99), 1),
        "renewed_at_once_ms_p99": round(quantile(renewed, 0.99), 1),
        "page_cpu_ms": round(page_cpu * 1000, 2),
        "renewal_cpu_ms": round(part_cpu * 1000, 2),
        "kib_each": round(each, 1),
        "mib_before": round(before / 1024, 1),
        **table,
    }
    return Result(NAME, figures, [
        at_most(f"a page while {pages} others wait for a code, 99 of 100", P99, quantile(looked, 0.99), "ms"),
        at_most("memory of the portal for a page that waits", EACH, each, "KiB"),
        *lines,
    ])  # fmt: skip


async def _many(seen: list[float], count: int) -> bool:
    return len(seen) >= count


async def _look(portal: Field, session: aiohttp.ClientSession, looks: int) -> list[float]:
    """Ask for owners' pages, ten at a time."""
    took: list[float] = []
    for first in range(0, looks, 10):
        asked = [portal.cookies[n % len(portal.cookies)] for n in range(first, first + 10)]
        url = f"{portal.base}/account"
        took += await asyncio.gather(*(timed(session, url, {"Cookie": f"ponton-{GATEWAY}={c}"}) for c in asked))
    return took


if __name__ == "__main__":
    raise SystemExit(alone(measure, __doc__))
