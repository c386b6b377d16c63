"""The demo's stage: Prosody, Redis, the sandbox and `ponton local`, each a real process on free loopback ports.

Called by `__main__` and, as the simplest whole system there is, by tests that need everything at once.
"""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.demo import picture
from tests.demo.say import Say
from tests.harness.local import Local, running_local
from tests.harness.prosody import Prosody, answers, running_prosody, until
from tests.harness.redis import RedisServer, free_port, running_redis
from tests.harness.xmpp import Client, logged_in
from tests.sandbox.client import SandboxClient
from tests.sandbox.harness import running_sandbox

HOST = "localhost"
GATEWAY = "whatsapp.localhost"
UPLOAD = "upload.localhost"
USER, PASSWORD = "alice", "alice-demo"


@dataclass
class Stage:
    """All parts, running. `sandbox` is None when the demo is played live; `page` is the portal's address, if any."""

    folder: Path
    prosody: Prosody
    redis: RedisServer
    local: Local
    sandbox: SandboxClient | None
    page: str = ""

    def fetch(self, url: str) -> bytes:
        """Fetch a picture from the upload service; only from there."""
        return picture.fetch(url, self.prosody.ca_file)

    @property
    def domain(self) -> str:
        """Of the XMPP server."""
        return self.prosody.domain

    @property
    def gateway(self) -> str:
        """The gateway's domain."""
        return self.prosody.component

    def client(self, resource: str) -> AbstractAsyncContextManager[Client]:
        """Log the owner in, with carbons."""
        return logged_in(self.prosody, USER, PASSWORD, resource=resource, carbons=True)

    async def kill(self) -> None:
        """Kill the one shard (kill -9)."""
        (pid,) = self.local.shards().values()
        os.kill(pid, signal.SIGKILL)

    async def left(self) -> list[str]:
        """Name what there is of accounts: resources, stores, processes, streams."""
        # It is being removed while we look, which os.walk takes as it comes.
        there = [
            name
            for folder in ("accounts", "state")
            for tree in os.walk(self.local.folder / folder)
            for name in (*tree[1], *tree[2])
        ]
        files = [name for name in there if "acc-" in name]
        return [*files, *self.local.shards(), *["streams"] * (await self.prosody.view())["connected"]]


@asynccontextmanager
async def built(folder: Path, say: Say, *, live: bool = False, page: bool = False) -> AsyncIterator[Stage]:
    """Start everything in order, give the stage, end everything in reverse order; `page`: with the portal."""
    port = free_port()
    spec = {"selfservice": {"portal": {"url": f"http://127.0.0.1:{port}", "port": port}}} if page else None
    async with AsyncExitStack() as stack:
        prosody = await stack.enter_async_context(
            running_prosody(folder / "prosody", domain=HOST, component=GATEWAY, upload=UPLOAD, users={USER: PASSWORD})
        )
        say(f"Prosody runs (clients on port {prosody.ports.c2s})")
        redis = await stack.enter_async_context(running_redis(folder / "redis"))
        say("Redis runs")
        sandbox = None
        if not live:
            sandbox = await stack.enter_async_context(running_sandbox(folder))
            say("The sandbox, a WhatsApp of our own, runs")
        local = await stack.enter_async_context(
            running_local(
                folder / "ponton", prosody, redis, sandbox=sandbox.config_file if sandbox else None, spec=spec
            )
        )
        say("ponton local runs, its front desk is connected")
        if page:
            await until(lambda: answers(port), what="the portal")
            say("The self-service page is served")
        yield Stage(folder, prosody, redis, local, sandbox, f"http://127.0.0.1:{port}" if page else "")
        say("Ending everything")
