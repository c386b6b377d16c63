"""A real shard process inside the sandbox: configured by environment and files, started, killed, measured by its pid.

shard = ShardProcess(prosody, redis.url, sandbox.config_file, folder)
await shard.start(); ...; await shard.kill(); await shard.start(); assert 0 == await shard.stop()
"""

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from ponton_bridge.whatsapp.neonize_driver.environment import WANTED
from tests.harness.prosody import Prosody
from tests.sandbox.launch import sandboxed

ROOT = Path(__file__).resolve().parents[2]
OWNER = "alice@example.test"
GATEWAY, ACCOUNT = "whatsapp", "acc-1f3b"
END = 40.0  # seconds; longer than a shard may drain


class ShardProcess:
    """One account's shard, over restarts: the epoch and the instance stay unless they are changed."""

    def __init__(self, prosody: Prosody, redis_url: str, sandbox_config: Path, folder: Path, **changes: str) -> None:
        self.epoch = 1
        self.instance = "instance-1"
        self.store = folder / "store"
        self.changes = changes  # further variables
        self.process: asyncio.subprocess.Process | None = None
        self.started = 0.0  # time.monotonic() at exec
        self._prosody = prosody
        self._redis_url = redis_url
        self._sandbox = sandbox_config
        self._secrets = folder / "secrets"
        self._log = folder / "shard.log"
        for made in (self.store, self._secrets):
            made.mkdir(mode=0o700, parents=True, exist_ok=True)

    def environment(self) -> dict[str, str]:
        """Write the secret files and give the environment."""
        secret = self._prosody.shard_secret(OWNER, self.epoch)
        files = {"owner": OWNER, "component-secret": secret, "redis-url": self._redis_url}
        for name, value in files.items():
            path = self._secrets / name
            path.touch(mode=0o600)
            path.write_text(value)
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT / 'bridge'}",
            "PONTON_GATEWAY": GATEWAY,
            "PONTON_ACCOUNT": ACCOUNT,
            "PONTON_DOMAIN": self._prosody.component,
            "PONTON_EPOCH": str(self.epoch),
            "PONTON_INSTANCE": self.instance,
            "PONTON_STORE": str(self.store),
            "PONTON_SECRETS": str(self._secrets),
            "PONTON_XMPP_HOST": "127.0.0.1",
            "PONTON_XMPP_PORT": str(self._prosody.ports.shards),
            "PONTON_UPLOAD_HOST": self._prosody.upload,
            "PONTON_UPLOAD_CA": str(self._prosody.ca_file),
            **WANTED,
            **self.changes,
        }

    async def start(self) -> None:
        """Start it; returns at once."""
        argv = [sys.executable, "-P", "-m", "ponton_bridge.cli", "shard"]
        argv, environment = sandboxed(argv, self.environment(), self._sandbox)
        with self._log.open("ab") as log:
            self.started = time.monotonic()
            self.process = await asyncio.create_subprocess_exec(
                *argv, env=environment, cwd="/", stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None
        return self.process.pid

    async def ended(self) -> int:
        """Wait for its end; gives the exit code."""
        assert self.process is not None
        async with asyncio.timeout(END):
            return await self.process.wait()

    async def stop(self) -> int:
        """SIGTERM; gives the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()

    async def kill(self) -> None:
        """Kill -9."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    def log(self) -> str:
        """All that it wrote, over its restarts."""
        return self._log.read_text() if self._log.exists() else ""

    def events(self, name: str) -> list[dict[str, Any]]:
        """Give the log lines of one event."""
        lines = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]

    def pss_kib(self) -> int:
        """Its proportional memory, KiB."""
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
