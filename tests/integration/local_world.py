"""The local runtime in this process, with stand-ins for its children: folders, a gateway, and a hand on everything.

Used by the tests of `ponton_operator.cluster.local_*`. Without servers given, Redis and Prosody are away.
"""

import asyncio
import io
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.local_accounts import LocalAccounts
from ponton_operator.cluster.local_folder import STATUS
from ponton_operator.cluster.local_gateway import Gateway
from ponton_operator.cluster.local_runtime import LocalRuntime, Settings
from ponton_operator.cluster.local_spawn import Child, SpawnOptions, spawn_child
from ponton_operator.programs import local
from ponton_operator.resources.account import BridgeAccount
from ponton_operator.resources.yamlfile import load
from tests.harness.prosody import Prosody
from tests.harness.redis import RedisServer

STAND_IN = Path(__file__).parents[1] / "harness" / "stand_in.py"
SECONDS = 20.0  # a deadline for conditions; nothing that is right takes a tenth of it
CLOSED = 1  # a port where nobody listens


def account_yaml(name: str, **spec: object) -> str:
    """Write an account as a person would; the owner is Alice if the test does not care."""
    return yaml.safe_dump({
        "apiVersion": "ponton.im/v1alpha1",
        "kind": "BridgeAccount",
        "metadata": {"name": name},
        "spec": {"owner": "alice@example.test", "gatewayRef": {"name": "wa"}} | spec,
    })  # fmt: skip


async def until(condition: Callable[[], object], seconds: float = SECONDS) -> None:
    """Wait until a condition holds; it is what the test is about that says what was waited for."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # files tell nobody
            await asyncio.sleep(0.005)


@dataclass
class World:
    """Folders below `root`, and the runtime while it runs."""

    root: Path
    gateway: dict[str, Any] = field(default_factory=dict)
    python: str = sys.executable
    settings: dict[str, Any] = field(default_factory=dict)
    runtime: LocalRuntime | None = None
    log: io.StringIO = field(default_factory=io.StringIO)

    def __post_init__(self) -> None:
        """Make the folders and secrets."""
        for name in ("accounts", "state/shards", "orders", "secrets/a"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        orders = self.root / "orders"  # for children of any user
        orders.chmod(0o777)
        (orders / "started").touch()
        (orders / "started").chmod(0o666)
        for key, value in (("master", "m"), ("token", "t"), ("redis", f"redis://127.0.0.1:{CLOSED}/0")):
            if not (self.root / "secrets" / "a" / key).exists():
                self.secret(key, value)
        if not (self.root / "gateway.yaml").exists():
            self.write_gateway()

    @property
    def accounts(self) -> Path:
        """The folder of accounts."""
        return self.root / "accounts"

    def secret(self, key: str, value: str, mode: int = 0o600) -> None:
        """Write a secret."""
        path = self.root / "secrets" / "a" / key
        path.touch(mode=0o600)
        path.write_text(value)
        path.chmod(mode)

    def write_gateway(self, **spec: object) -> None:
        """Write the gateway's file."""
        ref = {key: {"name": "a", "key": key} for key in ("master", "token", "redis")}
        usual = {
            "domain": "wa.example.test",
            "xmpp": {"port": CLOSED},
            "prosody": {"url": f"http://127.0.0.1:{CLOSED}/shards", "tokenRef": ref["token"]},
            "redis": {"urlRef": ref["redis"]},
            "secrets": {"masterRef": ref["master"]},
            "selfservice": {"frontDesk": False},
            "scaling": {"startsPerSecond": 100, "startsBurst": 100},
        }
        head = {"apiVersion": "ponton.im/v1alpha1", "kind": "BridgeGateway", "metadata": {"name": "wa"}}
        file = self.root / "gateway.yaml"
        draft = file.with_suffix(".new")
        draft.write_text(yaml.safe_dump(head | {"spec": usual | self.gateway | spec}))
        draft.replace(file)

    def put(self, name: str, text: str | None = None, **spec: object) -> Path:
        """Write an account's file."""
        file = self.accounts / f"{name}.yaml"
        file.write_text(account_yaml(name, **spec) if text is None else text)
        return file

    def store(self) -> LocalAccounts:
        """Open the doors' store."""
        return LocalAccounts(self.accounts, Gateway.open(self.root / "gateway.yaml", self.root / "secrets").resource)

    def status(self, name: str) -> BridgeAccount | None:
        """Give the resource as the runtime wrote it."""
        try:
            return load(BridgeAccount, (self.accounts / f"{name}{STATUS}").read_bytes())
        except OSError:
            return None

    def reason(self, name: str) -> str:
        """Give the reason of an account, '' when there is none."""
        account = self.status(name)
        return account.status.reason if account else ""

    def gateway_status(self) -> dict[str, Any]:
        """Give the gateway's status."""
        try:
            return dict(yaml.safe_load((self.root / "gateway.status.yaml").read_text()).get("status", {}))
        except OSError:
            return {}

    def started(self, name: str) -> list[dict[str, Any]]:
        """Give what each child of this name was told, in the order of their starts."""
        with suppress(FileNotFoundError):
            lines = (self.root / "orders" / "started").read_text().rpartition("\n")[0].splitlines()
            return [told for line in lines if (told := json.loads(line))["name"] == name]
        return []

    def running(self, name: str) -> bool:
        """Whether the child that was started last is there."""
        told = self.started(name)
        return bool(told) and alive(told[-1]["pid"])

    def order(self, name: str, *orders: str) -> None:
        """Tell the child of this name what to do."""
        file = self.root / "orders" / f"{name}.do"
        draft = file.with_suffix(".new")
        draft.write_text("\n".join(orders))
        draft.replace(file)

    def events(self, name: str) -> list[dict[str, Any]]:
        """Give the logged events of a name."""
        lines = (json.loads(line) for line in self.log.getvalue().splitlines())
        return [line for line in lines if line["event"] == name]

    def spawn(self, argv: Sequence[str], env: Mapping[str, str], options: SpawnOptions) -> Child:
        """Start a stand-in instead of the program."""
        return spawn_child([self.python, "-I", str(STAND_IN), str(self.root / "orders"), argv[-1]], env, options)

    @asynccontextmanager
    async def up(self) -> AsyncIterator[LocalRuntime]:
        """Run the runtime; at the end it is told to end."""
        gateway = Gateway.open(self.root / "gateway.yaml", self.root / "secrets")
        settings = Settings(self.accounts, self.root / "state", **self.settings)
        runtime = LocalRuntime(settings, gateway, self.spawn, Log("debug", out=self.log))
        stop = asyncio.Event()
        task = asyncio.create_task(runtime.run(stop))
        try:
            yield runtime
        finally:
            stop.set()
            await asyncio.wait_for(task, SECONDS)


def with_servers(world: World, prosody: Prosody, redis: RedisServer) -> World:
    """Let a world's gateway find real servers."""
    world.gateway = {
        "domain": prosody.component,
        "prosody": {
            "url": f"http://127.0.0.1:{prosody.ports.http}/shards",
            "tokenRef": {"name": "a", "key": "token"},
        },
    }
    world.secret("token", prosody.secrets.admin_token)
    world.secret("master", prosody.secrets.master)
    world.secret("redis", redis.url)
    world.write_gateway()
    return world


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@asynccontextmanager
async def apart(world: World, uids: str = "none") -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a world's runtime as a process of its own, which the test may kill."""
    command = [sys.executable, "-m", "tests.integration.local_world", str(world.root), world.python, uids]
    with (world.root / "runtime.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(*command, stderr=log)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 2 * SECONDS)


def main(root: str, python: str, uids: str) -> int:
    """Be that process: the program, with the stand-in's way to spawn."""
    world = World(Path(root), python=python)
    return local.run(["-f", str(world.root / "gateway.yaml"), "--uids", uids], world.spawn)


def kill(pid: int) -> None:
    """End a process by kill -9."""
    with suppress(ProcessLookupError):
        os.kill(pid, 9)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
