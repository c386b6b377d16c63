"""A shard in this process over a scripted WhatsApp, with a real Prosody and a real Redis: for composition tests.

async with running_shard(prosody, redis, folder, FakeWhatsApp(linked=True)) as shard:
    ...
"""

import asyncio
import io
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ponton_bridge.coordination.client.shard import ShardClient
from ponton_bridge.coordination.contract import Keys
from ponton_bridge.shard.account import Account
from ponton_bridge.shard.config import Config
from ponton_bridge.shard.linking import LINKED
from ponton_bridge.shard.logs import Log
from ponton_bridge.shard.shard import Shard
from ponton_bridge.store.opening import open_store
from ponton_bridge.store.worker import JournalWorker
from ponton_bridge.whatsapp import port
from tests.harness.fake_port import FakeWhatsApp
from tests.harness.prosody import Prosody, until

OWNER = "alice@example.test"
GATEWAY, ACCOUNT = "whatsapp", "acc-1f3b"


@dataclass
class Running:
    """A shard that runs; `reason` is how it ended once `task` is done."""

    shard: Shard
    account: Account
    task: "asyncio.Task[str]"
    stop: asyncio.Event
    out: io.StringIO = field(default_factory=io.StringIO)
    crashed: bool = False

    def events(self, name: str) -> list[dict[str, Any]]:
        """Give the log lines of one event."""
        lines = [json.loads(line) for line in self.out.getvalue().splitlines()]
        return [line for line in lines if line["event"] == name]

    def crash(self) -> None:
        """End it at once, as a kill would: nothing is drained, nothing is told."""
        self.crashed = True
        self.task.cancel()

    async def ended(self, seconds: float = 15) -> str:
        """Wait for its end; gives the reason."""
        async with asyncio.timeout(seconds):
            return await asyncio.shield(self.task)


def config_for(prosody: Prosody, redis_url: str, folder: Path, **changes: Any) -> Config:  # noqa: ANN401 - any field
    """Give the configuration of alice's shard."""
    store = folder / "store"
    store.mkdir(mode=0o700, parents=True, exist_ok=True)
    epoch = changes.pop("epoch", 1)
    return replace(
        Config(
            gateway=GATEWAY,
            account=ACCOUNT,
            domain=prosody.component,
            epoch=epoch,
            instance="instance-1",
            store=store,
            xmpp_host="127.0.0.1",
            xmpp_port=prosody.ports.shards,
            owner=OWNER,
            secret=prosody.shard_secret(OWNER, epoch),
            redis_url=redis_url,
            upload_host=prosody.upload,
            upload_ca=prosody.ca_file,
        ),
        **changes,
    )


@asynccontextmanager
async def running_shard(config: Config, whatsapp: FakeWhatsApp) -> AsyncIterator[Running]:
    """Run a shard whose stream is open; it is told to stop when the block ends, and its errors are raised."""
    out = io.StringIO()
    journal = await asyncio.to_thread(open_store, config.store, config.epoch)
    if whatsapp.linked:
        journal.set(LINKED, "1")
    account = Account(config, Log("debug", out=out), JournalWorker(journal))
    client = ShardClient(config.redis_url, Keys(config.gateway, config.account), config.epoch, config.instance)
    stop = asyncio.Event()

    def make(database: Path) -> port.WhatsApp:
        return whatsapp.make(database)

    shard = await Shard.make(account, make, client)
    task = asyncio.create_task(shard.run(stop))
    running = Running(shard, account, task, stop, out)
    try:
        await until(lambda: task.done() or shard.stream.session is not None, what="an open stream")
        yield running
        if not running.crashed:
            stop.set()
            await running.ended(30)
    except BaseException:
        sys.stderr.write(out.getvalue()[-5000:])  # what the shard had to say belongs to a failed test
        raise
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await account.journal.close()
