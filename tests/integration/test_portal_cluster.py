"""Portals as pods: real processes, a real Redis, an API server in memory. Both serve, and know the same sessions."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest

from ponton_bridge.coordination.client.desk import DeskInbox
from ponton_bridge.coordination.client.door import DoorClient
from ponton_bridge.coordination.contract import Door
from ponton_operator.cluster.door_users import DoorUsers, door_url
from ponton_operator.plan.manifests_base import decoded
from ponton_operator.plan.manifests_door import GATEWAY_FILE, Settings
from ponton_operator.plan.manifests_portal import portal
from ponton_operator.resources.account import account_name
from ponton_operator.selfservice.service import AccountService, read_limits
from ponton_operator.selfservice.xmpp.confirm import Confirms
from ponton_operator.selfservice.xmpp.orders import Orders
from tests.harness.kube_fake import KubeFake, kube_fake
from tests.harness.prosody import free_ports
from tests.harness.redis import RedisServer, running_redis
from tests.harness.visitor import Visitor, visitor
from tests.integration.local_world import until
from tests.unit.desk_world import MemoryAccounts
from tests.unit.gateway_world import MASTER, find, gateway

SECONDS = 60.0  # a deadline: a process starts, and ends, in a fraction of it
ALICE = "alice@example.org"


@dataclass(slots=True)
class Pod:
    """One portal's process; `port` of its pages, `health` of its view for the kubelet."""

    process: asyncio.subprocess.Process
    port: int
    health: int

    async def says(self, path: str) -> str:
        """Ask its view; gives status and body, '' while it does not listen."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.health)
        except OSError:
            return ""
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head, _, body = (await asyncio.wait_for(reader.read(), SECONDS)).decode().partition("\r\n\r\n")
        writer.close()
        return f"{head.split(' ')[1]} {body}".strip()

    async def ready(self) -> None:
        """Wait until it is ready."""
        async with asyncio.timeout(SECONDS):
            while not (await self.says("/readyz")).startswith("200"):  # noqa: ASYNC110  # it tells nobody
                await asyncio.sleep(0.05)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it; gives its exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), SECONDS)


@dataclass
class Bed:
    """Everything around the pods; `said` is what the front desk has said."""

    root: Path
    redis: RedisServer
    fake: KubeFake
    said: list[Element] = field(default_factory=list)

    def code(self) -> str:
        """Give the code that was said last, '' before that."""
        return (self.said[-1].findtext("{jabber:client}body") or "")[:8] if self.said else ""

    @asynccontextmanager
    async def pod(self, name: str) -> AsyncIterator[Pod]:
        """Run a pod of what the plan makes, ready, until the block ends."""
        port, health = free_ports(2)
        folder = self.root / name
        folder.mkdir()
        url = door_url(self.redis.url, "wa", MASTER, Door.PORTAL)
        page = {"portal": {"url": f"http://127.0.0.1:{port}", "port": port}}
        manifests = portal(gateway(selfservice=page), Settings(image="x"), {"redis-url": url})
        (folder / GATEWAY_FILE).write_text(find(manifests, "ConfigMap")["data"][GATEWAY_FILE])
        (folder / "redis-url").write_text(decoded(find(manifests, "Secret"), "redis-url"))
        container = find(manifests, "Deployment")["spec"]["template"]["spec"]["containers"][0]
        environment = {one["name"]: one.get("value", f"uid-{name}") for one in container["env"]} | {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "KUBECONFIG": str(self.root / "kubeconfig"),
            "PONTON_GATEWAY_FILE": str(folder / GATEWAY_FILE),
            "PONTON_SECRETS": str(folder),
            "PONTON_METRICS_PORT": str(health),
            "PONTON_LISTEN": "127.0.0.1",
        }
        with (self.root / f"{name}.log").open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "ponton_bridge.cli", *container["args"], env=environment, stderr=output,
                stdout=output,
            )  # fmt: skip
        made = Pod(process, port, health)
        try:
            await made.ready()
            yield made
        finally:
            await made.end(signal.SIGKILL)


@pytest.fixture
async def bed(tmp_path: Path) -> AsyncIterator[Bed]:
    """Redis with the portal's user, an API server, and a front desk that keeps what it says."""
    async with running_redis(tmp_path / "redis", requirepass="control-plane") as redis, AsyncExitStack() as stack:
        users = DoorUsers(redis.url, "wa", MASTER)
        await users.look(Door, 0.0)
        await users.close()
        fake = stack.enter_context(kube_fake())
        fake.kubeconfig(tmp_path / "kubeconfig")
        made = Bed(tmp_path, redis, fake)
        url = door_url(redis.url, "wa", MASTER, Door.FRONT_DESK)
        doors = DoorClient(url, "wa")
        stack.push_async_callback(doors.close)
        service = AccountService(read_limits(gateway()), MemoryAccounts(), doors)

        def send(stanza: Element) -> bool:
            made.said.append(stanza)
            return True

        orders = Orders("wa.example.org", service, send, Confirms())
        inbox = asyncio.create_task(DeskInbox(url, "wa", orders.handle).run())
        yield made
        inbox.cancel()
        await asyncio.gather(inbox, return_exceptions=True)


async def log_in(bed: Bed, person: Visitor) -> None:
    """Log in with the code that the front desk says."""
    before = len(bed.said)
    assert 200 == await person.get("/login")
    assert 303 == await person.post("/login", jid=ALICE)
    assert 200 == await person.get("/login/code")
    await until(lambda: len(bed.said) > before, SECONDS)
    assert 303 == await person.post("/login/code", code=bed.code())
    assert 200 == await person.get("/account")
    assert ALICE in person.text


async def test_two_pods_share_sessions_and_accounts(bed: Bed) -> None:
    """Who logs in at one is known at the other, also when the first is gone; what is made is a resource."""
    name = account_name("wa.example.org", ALICE)
    async with bed.pod("one") as one, bed.pod("two") as two, visitor(f"http://127.0.0.1:{one.port}") as person:
        await log_in(bed, person)
        assert 303 == await person.post("/account/create", understood="yes")
        await until(lambda: bed.fake.get("bridgeaccounts", "bridges", name), SECONDS)
        await one.end(signal.SIGKILL)
        person.base = f"http://127.0.0.1:{two.port}"
        assert 200 == await person.get("/account")
        assert ALICE in person.text
        assert 401 != await person.get("/account/part")
    made = bed.fake.get("bridgeaccounts", "bridges", name) or {}
    assert (ALICE, ["ponton.im/unlink"]) == (made["spec"]["owner"], made["metadata"]["finalizers"])
    assert "alice" not in (bed.root / "one.log").read_text() + (bed.root / "two.log").read_text()


async def test_a_pod_tells_how_many_pages_are_open(bed: Bed) -> None:
    """By its own name, which is what the scaler goes by."""
    control = DoorClient(bed.redis.url, "wa")
    async with bed.pod("one"), asyncio.timeout(SECONDS):
        while {"uid-one": 0} != await control.open_pages():  # noqa: ASYNC110  # Redis tells nobody
            await asyncio.sleep(0.05)
    await control.close()


async def test_a_pod_that_is_told_to_end_serves_on_for_a_while(bed: Bed) -> None:
    """It is not ready any more, and answers who is still sent to it; then it ends with 0."""
    async with bed.pod("one") as one, visitor(f"http://127.0.0.1:{one.port}") as person:
        ending = asyncio.create_task(one.end())
        async with asyncio.timeout(SECONDS):
            while (await one.says("/readyz")).startswith("200"):  # noqa: ASYNC110  # it tells nobody
                await asyncio.sleep(0.02)
        assert 200 == await person.get("/login")
        assert (await one.says("/healthz")).startswith("200")
        assert 0 == await ending


async def test_without_redis_the_pages_say_so(bed: Bed) -> None:
    """A pod stays ready: a page with a sentence is better than none."""
    async with bed.pod("one") as one, visitor(f"http://127.0.0.1:{one.port}") as person:
        await person.get("/login")
        await bed.redis.stop()
        assert 503 == await person.post("/login", jid=ALICE)
        assert "<h1" in person.text
        assert (await one.says("/readyz")).startswith("200")
        assert "ponton_kube_calls_total" in await one.says("/metrics")
