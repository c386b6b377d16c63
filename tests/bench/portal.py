"""500 pages wait for a code at one portal, and owners look meanwhile. `python -m tests.bench.portal [--short]`.

The portal is the real program on a folder of accounts; sessions, heartbeats and codes are put into Redis as logins and
shards would. Each waiting page listens to the events, and fetches the new part when all codes are renewed at once.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from ponton_bridge.coordination.client.wire import Wire
from ponton_bridge.coordination.contract import Heartbeat, Keys, LiveCode
from ponton_bridge.model.states import Reason
from ponton_operator.resources.account import AccountSpec, BridgeAccount, GatewayRef, account_name
from ponton_operator.resources.base import Metadata
from ponton_operator.resources.yamlfile import dump
from ponton_operator.selfservice.web.keep import Keep
from tests.bench.figures import at_most, quantile
from tests.bench.report import Result, alone
from tests.bench.usage import cpu_seconds, memory
from tests.harness.prosody import until
from tests.harness.redis import RedisServer, free_port, running_redis
from tests.integration.portal_bed import GATEWAY, gateway
from tests.unit.desk_world import DOMAIN, NOW

NAME = "portal"
PAGES: Final = 500  # that wait at once
LOOKS: Final = 1_000  # pages asked for meanwhile, ten at once
P99: Final = 500.0  # milliseconds, for a page
EACH: Final = 100.0  # KiB of the portal's memory for a page that waits
SETTLE: Final = 3.0  # seconds until what was opened is at rest


@dataclass
class Field:
    """The portal with its accounts; `cookies` are sessions that are open."""

    base: str
    pid: int
    wire: Wire
    owners: list[str]
    cookies: list[str]

    async def codes(self, number: int) -> None:
        """Give every owner another live code."""
        commands: list[list[str | float]] = []
        for owner in self.owners:
            keys = Keys(GATEWAY, account_name(DOMAIN, owner))
            beat = Heartbeat(epoch=1, instance="i", time=time.time(), reason=Reason.WAITING_FOR_SCAN, since=1.0)
            flat = [part for pair in beat.to_redis().items() for part in pair]
            code = LiveCode("qr", f"2@{number}{'x' * 200}{owner}", number, 6, 0.0)
            commands += [["HSET", keys.heartbeat, *flat], ["SET", keys.code, code.to_json(), "PX", 600_000]]
        await self.wire.calls(commands, seconds=20)

    def memory(self) -> float:
        """Give what the portal holds for itself, in KiB (PSS)."""
        return memory(self.pid).pss * 1024


@asynccontextmanager
async def field(folder: Path, redis: RedisServer, pages: int) -> AsyncIterator[Field]:
    """Run the portal with so many accounts."""
    port = free_port()
    resource = gateway(f"http://127.0.0.1:{port}", port)
    (folder / "accounts").mkdir()
    (folder / "gateway.yaml").write_text(dump(resource))
    (folder / "redis-url").write_text(redis.url)
    owners = [f"owner{number}@example.org" for number in range(pages)]
    for owner in owners:
        name = account_name(DOMAIN, owner)
        spec = AccountSpec(owner=owner, gateway_ref=GatewayRef(name=GATEWAY))
        account = BridgeAccount(metadata=Metadata(name=name, creation_timestamp=NOW), spec=spec)
        (folder / "accounts" / f"{name}.yaml").write_text(dump(account))
    keep = Keep(redis.url, GATEWAY)
    cookies = [await keep.open(owner) for owner in owners]
    await keep.close()
    told = {"PONTON_GATEWAY_FILE": "gateway.yaml", "PONTON_ACCOUNTS": "accounts", "PONTON_SECRETS": "."}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ponton_bridge.cli", "portal", cwd=folder, env={**os.environ, **told}
    )
    made = Field(f"http://127.0.0.1:{port}", process.pid, Wire(redis.url), owners, cookies)
    try:
        await until(lambda: _answers(made.base), what="the portal")
        yield made
    finally:
        await made.wire.close()
        process.terminate()
        await process.wait()


async def _answers(base: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{base}/healthz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


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
    """Open the pages, look meanwhile, renew all codes at once."""
    pages, looks = (50, 100) if short else (PAGES, LOOKS)
    with tempfile.TemporaryDirectory(prefix="ponton-bench-") as name:
        async with running_redis(Path(name) / "redis") as redis, field(Path(name), redis, pages) as portal:
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
    figures = {
        "waiting": pages,
        "page_ms_median": round(quantile(looked, 0.5), 1),
        "page_ms_p99": round(quantile(looked, 0.99), 1),
        "renewed_at_once_ms_p99": round(quantile(renewed, 0.99), 1),
        "page_cpu_ms": round(page_cpu * 1000, 2),
        "renewal_cpu_ms": round(part_cpu * 1000, 2),
        "kib_each": round(each, 1),
        "mib_before": round(before / 1024, 1),
    }
    return Result(NAME, figures, [
        at_most(f"a page while {pages} others wait for a code, 99 of 100", P99, quantile(looked, 0.99), "ms"),
        at_most("memory of the portal for a page that waits", EACH, each, "KiB"),
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
