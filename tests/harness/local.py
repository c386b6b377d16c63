"""`ponton local` as a real child process on private servers: for integration tests, demo, chaos and benches.

    async with running_local(folder, prosody, redis, sandbox=sandbox) as local:
        local.account("alice@example.test")      # the resource's name
        await local.kill(); await local.start()

Writes the gateway's YAML and secret files as a host would, and reads what the runtime leaves in its folders.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ponton_operator.resources.account import account_name
from tests.harness.prosody import Prosody, until
from tests.harness.redis import RedisServer

GATEWAY = "whatsapp"
_READY_SECONDS = 30.0
_STOP_SECONDS = 40.0  # draining shards have their own deadline below this


class LocalError(RuntimeError):
    """The runtime did not start or end; the message carries the end of its output."""


@dataclass
class Local:
    """One `ponton local`; `config` is the sandbox's file for the launcher, None without a sandbox."""

    folder: Path
    prosody: Prosody
    redis: RedisServer
    config: Path | None
    template: Mapping[str, Any] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    process: asyncio.subprocess.Process | None = None

    @property
    def file(self) -> Path:
        """The gateway's YAML."""
        return self.folder / "gateway.yaml"

    @property
    def output(self) -> Path:
        """What the runtime and its children write to stdout and stderr."""
        return self.folder / "local.log"

    def account(self, owner: str) -> str:
        """Give the resource name of an owner's account."""
        return account_name(self.prosody.component, owner)

    def write(self) -> None:
        """Write the gateway and its secrets; make the folders."""
        for name in ("accounts", "state"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        secrets = {
            "prosody/master": self.prosody.secrets.master,
            "prosody/token": self.prosody.secrets.admin_token,
            "redis/url": self.redis.url,
            "upload/ca": self.prosody.ca_file.read_text(),
        }
        for name, value in secrets.items():
            path = self.folder / "secrets" / name
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)
            path.write_text(value)
        self.file.write_text(yaml.safe_dump(self._gateway(), sort_keys=False))

    def _gateway(self) -> dict[str, Any]:
        ports = self.prosody.ports
        spec = {
            "domain": self.prosody.component,
            "xmpp": {"host": "127.0.0.1", "port": ports.shards},
            "prosody": {
                "url": f"http://127.0.0.1:{ports.http}/shards",
                "tokenRef": {"name": "prosody", "key": "token"},
            },
            "redis": {"urlRef": {"name": "redis", "key": "url"}},
            "secrets": {"masterRef": {"name": "prosody", "key": "master"}},
            "shard": {
                "upload": {"host": self.prosody.upload, "caRef": {"name": "upload", "key": "ca"}},
                **self.template,
            },
            "accounts": {"allowedOwners": [self.prosody.domain]},
            **self.spec,
        }
        return {
            "apiVersion": "ponton.im/v1alpha1",
            "kind": "BridgeGateway",
            "metadata": {"name": GATEWAY},
            "spec": spec,
        }

    def command(self) -> list[str]:
        """Give the command line; with a sandbox its launcher starts the runtime with its own way to spawn."""
        places = [
            "-f",
            str(self.file),
            "--accounts",
            str(self.folder / "accounts"),
            "--state",
            str(self.folder / "state"),
        ]
        if self.config is None:
            return [sys.executable, "-m", "ponton_bridge.cli", "local", *places]
        return [sys.executable, "-m", "tests.sandbox.runtime", str(self.config), *places]

    async def start(self) -> None:
        """Start it and wait until the front desk is connected."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("PONTON_")}
        with self.output.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                *self.command(), stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, env=env
            )
        process = self.process

        async def ready() -> bool:
            if process.returncode is not None:
                raise self._error(f"ponton local ended at once with {process.returncode}")
            return bool((await self.prosody.view())["gateway"]["connected"])

        try:
            await until(ready, timeout=_READY_SECONDS, what="the front desk's connection")
        except TimeoutError:
            await self.kill()
            raise self._error("the front desk did not connect") from None

    async def stop(self) -> int:
        """End it the clean way; gives its exit code."""
        return await self._end(signal.SIGTERM)

    async def kill(self) -> int:
        """End it by kill -9; its children end with it."""
        return await self._end(signal.SIGKILL)

    async def _end(self, number: signal.Signals) -> int:
        process, self.process = self.process, None
        if process is None:
            return 0
        with suppress(ProcessLookupError):
            process.send_signal(number)
        try:
            return await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise self._error(f"ponton local did not end within {_STOP_SECONDS} s") from None

    def shards(self) -> dict[str, int]:
        """Give the running shards: resource name -> pid."""
        found = {}
        for pid in children(self.process.pid) if self.process else []:
            environment = _environ(pid)
            if "PONTON_STORE" in environment:
                found[environment["PONTON_ACCOUNT"]] = pid
        return found

    def status(self, owner: str) -> dict[str, Any] | None:
        """Give the status that the runtime wrote for an owner's account, None when there is no such file."""
        for path in (self.folder / "accounts").glob(f"{self.account(owner)}*status*"):
            return dict(json.loads(path.read_text()) if path.suffix == ".json" else yaml.safe_load(path.read_text()))
        return None

    def log_text(self) -> str:
        """Give all that runtime and children wrote so far."""
        files = [self.output, *sorted((self.folder / "state").rglob("*.log"))]
        return "\n".join(path.read_text(errors="replace") for path in files if path.exists())

    def _error(self, sentence: str) -> LocalError:
        return LocalError(f"{sentence}\n{self.log_text()[-4000:]}")


def children(pid: int) -> list[int]:
    """Give the pids of all processes below `pid` (Linux)."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, task.read_text().split()):
                found += [child, *children(child)]
    return found


def _environ(pid: int) -> dict[str, str]:
    with suppress(OSError):
        pairs = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
        return dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    return {}


@asynccontextmanager
async def running_local(
    folder: Path,
    prosody: Prosody,
    redis: RedisServer,
    *,
    sandbox: Path | None = None,
    template: Mapping[str, Any] | None = None,
    spec: Mapping[str, Any] | None = None,
) -> AsyncIterator[Local]:
    """A started runtime below `folder`; `sandbox` is the launcher's file, `template` and `spec` change the gateway."""
    local = Local(folder, prosody, redis, sandbox, template or {}, spec or {})
    local.write()
    await local.start()
    try:
        yield local
    finally:
        await local.stop()
