"""The portal as the real program, for the benches: a folder of accounts, a Redis, sessions that are open already."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from ponton_bridge.coordination.client.wire import Wire
from ponton_bridge.coordination.contract import Heartbeat, Keys, LiveCode
from ponton_bridge.model.states import Reason
from ponton_operator.resources.account import AccountSpec, BridgeAccount, GatewayRef, account_name
from ponton_operator.resources.base import Metadata
from ponton_operator.resources.yamlfile import dump
from ponton_operator.selfservice.web.keep import Keep
from tests.bench.usage import memory
from tests.harness.prosody import until
from tests.harness.redis import RedisServer, free_port
from tests.integration.portal_bed import GATEWAY, gateway
from tests.unit.desk_world import DOMAIN, NOW


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


def write_owners(owners: Sequence[str]) -> Callable[[Path], object]:
    """Give what writes an account for each owner into a folder."""

    def write(folder: Path) -> None:
        for owner in owners:
            name = account_name(DOMAIN, owner)
            spec = AccountSpec(owner=owner, gateway_ref=GatewayRef(name=GATEWAY))
            account = BridgeAccount(metadata=Metadata(name=name, creation_timestamp=NOW), spec=spec)
            (folder / f"{name}.yaml").write_text(dump(account))

    return write


@asynccontextmanager
async def field(
    folder: Path, redis: RedisServer, owners: list[str], *, fill: Callable[[Path], object], hosts: Sequence[str] = ()
) -> AsyncIterator[Field]:
    """Run the portal with the accounts that `fill` writes into a folder; `owners` are logged in."""
    port = free_port()
    resource = gateway(f"http://127.0.0.1:{port}", port, hosts)
    (folder / "accounts").mkdir(parents=True)
    (folder / "gateway.yaml").write_text(dump(resource))
    (folder / "redis-url").write_text(redis.url)
    fill(folder / "accounts")
    keep = Keep(redis.url, GATEWAY)
    cookies = [await keep.open(owner) for owner in owners]
    await keep.close()
    told = {"PONTON_GATEWAY_FILE": "gateway.yaml", "PONTON_ACCOUNTS": "accounts", "PONTON_SECRETS": "."}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ponton_bridge.cli", "portal", cwd=folder, env={**os.environ, **told}
    )
    made = Field(f"http://127.0.0.1:{port}", process.pid, Wire(redis.url), owners, cookies)
    try:
        await until(lambda: _answers(made.base), what="the portal", timeout=60)
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
