"""Front desks as pods: real processes, a real Prosody and Redis, an API server in memory. One serves, one stands by."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ponton_bridge.coordination.contract import Door
from ponton_operator.cluster.door_users import DoorUsers, door_url
from ponton_operator.cluster.prosody import ProsodyControl
from ponton_operator.plan.desk_epochs import SPENT, stock, write_stock
from ponton_operator.plan.manifests_desk import EPOCHS
from ponton_operator.plan.manifests_door import gateway_file
from ponton_operator.resources.account import account_name
from tests.harness.kube_fake import KubeFake, kube_fake
from tests.harness.prosody import Prosody, free_ports, running_prosody
from tests.harness.redis import running_redis
from tests.harness.xmpp import logged_in
from tests.integration.local_world import until
from tests.unit.gateway_world import gateway

SECONDS = 60.0  # a deadline: a process starts, and a Lease runs out, in a fraction of it


class Pod:
    """One front desk's process."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path, port: int) -> None:
        self.process, self.log, self.port = process, log, port

    def events(self, name: str) -> list[dict[str, Any]]:
        """Give what it logged of one kind."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it; gives its exit code."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), SECONDS)


class Bed:
    """Everything around the pods."""

    def __init__(self, root: Path, prosody: Prosody, fake: KubeFake) -> None:
        self.root, self.prosody, self.fake = root, prosody, fake
        self.pods: list[Pod] = []
        self.gateway = gateway(
            domain=prosody.component,
            xmpp={"host": "127.0.0.1", "port": prosody.ports.shards},
            accounts={"allowedOwners": [prosody.domain]},
        )
        fake.put("leases", "bridges", {"metadata": {"name": "wa-frontdesk"}})
        fake.kubeconfig(root / "kubeconfig")
        (root / "gateway.yaml").write_text(gateway_file(self.gateway, self.gateway.spec.selfservice))
        (root / "secrets").mkdir()
        self.issue(0)

    def issue(self, last: int) -> None:
        """Fill the stock, as the operator does."""
        epochs = stock((), last, 1_800_000_000.0)
        text = write_stock(self.prosody.secrets.master, self.prosody.component, epochs)
        (self.root / "secrets" / EPOCHS).write_text(text)

    async def start(self, name: str) -> Pod:
        """Start a pod."""
        (port,) = free_ports(1)
        log = self.root / f"{name}.log"
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "KUBECONFIG": str(self.root / "kubeconfig"),
            "PONTON_CLUSTER": "1",
            "PONTON_DOMAIN": self.prosody.component,
            "PONTON_GATEWAY": "wa",
            "PONTON_GATEWAY_FILE": str(self.root / "gateway.yaml"),
            "PONTON_INSTANCE": f"uid-{name}",
            "PONTON_LEASE": "wa-frontdesk",
            "PONTON_METRICS_PORT": str(port),
            "PONTON_NAMESPACE": "bridges",
            "PONTON_POD": name,
            "PONTON_SECRETS": str(self.root / "secrets"),
            "PONTON_XMPP_HOST": "127.0.0.1",
            "PONTON_XMPP_PORT": str(self.prosody.ports.shards),
        }
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "ponton_bridge.cli", "frontdesk", env=environment, stderr=output, stdout=output
            )
        self.pods.append(Pod(process, log, port))
        return self.pods[-1]

    @property
    def holder(self) -> str:
        """The pod that the Lease names."""
        lease = self.fake.get("leases", "bridges", "wa-frontdesk") or {}
        return str((lease.get("spec") or {}).get("holderIdentity") or "")

    @property
    def spent(self) -> int:
        """The epoch that was spent last."""
        lease = self.fake.get("leases", "bridges", "wa-frontdesk") or {}
        return int((lease["metadata"].get("annotations") or {}).get(SPENT, 0))

    async def serving(self) -> int:
        """Wait until a front desk serves; gives its epoch, as Prosody knows it."""
        async with asyncio.timeout(SECONDS):
            while not (whole := await self.prosody.view("/shards?limit=1"))["gateway"]["connected"]:  # noqa: ASYNC110  # HTTP
                await asyncio.sleep(0.05)
        return int(whole["gateway"]["epoch"])

    async def until(self, pod: Pod, event: str) -> None:
        """Wait until a pod has logged something."""
        await until(lambda: pod.events(event) or pod.process.returncode is not None, SECONDS)
        assert pod.events(event), pod.log.read_text()


@pytest.fixture
async def bed(tmp_path: Path) -> AsyncIterator[Bed]:
    """Servers, and an owner who may log in."""
    async with (
        running_prosody(tmp_path / "prosody", users={"alice": "word"}) as prosody,
        running_redis(tmp_path / "redis", requirepass="control-plane") as redis,
    ):
        user = DoorUsers(redis.url, "wa", prosody.secrets.master)
        await user.look(Door, 0.0)
        await user.close()
        with kube_fake() as fake:
            made = Bed(tmp_path, prosody, fake)
            (tmp_path / "secrets" / "redis-url").write_text(
                door_url(redis.url, "wa", prosody.secrets.master, Door.FRONT_DESK)
            )
            yield made
            for pod in made.pods:
                if pod.process.returncode is None:
                    await pod.end(signal.SIGKILL)


async def test_one_serves_and_the_other_takes_over(bed: Bed) -> None:
    """Only the holder of the Lease has a stream; killed, the other follows with a higher epoch that it had at hand."""
    first = await bed.start("desk-1")
    await bed.until(first, "stream_opened")
    epoch = await bed.serving()
    assert ("desk-1", epoch) == (bed.holder, bed.spent)
    second = await bed.start("desk-2")
    await bed.until(second, "desk_stands_by")
    assert [] == second.events("desk_started")
    await first.end(signal.SIGKILL)
    await bed.until(second, "stream_opened")
    assert epoch < await bed.serving() == bed.spent
    assert "desk-2" == bed.holder


async def test_a_pod_that_is_told_to_end_hands_over(bed: Bed) -> None:
    """SIGTERM ends the active one with 0 and frees the Lease; one that stands by ends at once, and took nothing."""
    first = await bed.start("desk-1")
    await bed.until(first, "stream_opened")
    second = await bed.start("desk-2")
    await bed.until(second, "desk_stands_by")
    assert 0 == await second.end()
    assert "desk-1" == bed.holder
    third = await bed.start("desk-3")
    await bed.until(third, "desk_stands_by")
    assert 0 == await first.end()
    await bed.until(third, "stream_opened")
    assert "desk-3" == bed.holder


async def test_an_owner_registers_and_is_a_resource(bed: Bed) -> None:
    """What an owner writes to the gateway's domain becomes a BridgeAccount on the cluster."""
    first = await bed.start("desk-1")
    await bed.until(first, "stream_opened")
    owner = f"alice@{bed.prosody.domain}"
    name = account_name(bed.prosody.component, owner)
    async with logged_in(bed.prosody, "alice", "word") as alice:
        alice.say(bed.prosody.component, "register")
        await until(lambda: bed.fake.get("bridgeaccounts", "bridges", name), SECONDS)
    made = bed.fake.get("bridgeaccounts", "bridges", name)
    assert made
    assert owner == made["spec"]["owner"]
    assert "alice" not in first.log.read_text()


async def test_without_an_epoch_nobody_serves(bed: Bed) -> None:
    """When all epochs are spent the pod stands by and says so, and goes on as soon as the operator issued more."""
    (bed.root / "secrets" / EPOCHS).write_text("{}")
    first = await bed.start("desk-1")
    await bed.until(first, "epochs_spent")
    assert ("", 1) == (bed.holder, len(first.events("epochs_spent")))
    bed.issue(7)
    await bed.until(first, "stream_opened")
    assert bed.spent == await bed.serving()


async def test_a_lease_that_went_back_costs_a_try(bed: Bed) -> None:
    """A pod with an epoch that was spent before is refused, frees the Lease and ends with 0; the next one is let in."""
    first = await bed.start("desk-1")
    await bed.until(first, "stream_opened")
    epoch = await bed.serving()
    bed.prosody.pause()  # so that the first one's stream is there when the second one comes
    lease = {
        "metadata": {"name": "wa-frontdesk", "annotations": {SPENT: str(epoch - 1)}},
        "spec": {"holderIdentity": ""},
    }
    bed.fake.put("leases", "bridges", lease)
    second = await bed.start("desk-2")
    await bed.until(second, "desk_started")
    assert epoch == bed.spent
    assert 75 == await asyncio.wait_for(first.process.wait(), SECONDS)
    await second.end(signal.SIGKILL)
    bed.prosody.resume()
    bed.fake.put("leases", "bridges", lease)
    third, fourth = await bed.start("desk-3"), await bed.start("desk-4")
    await until(lambda: third.events("stream_opened") or fourth.events("stream_opened"), SECONDS)
    assert bed.spent == await bed.serving() >= epoch


async def test_the_view_for_the_kubelet(bed: Bed) -> None:
    """A pod that stands by is alive and ready, and gives its figures."""
    first = await bed.start("desk-1")
    await bed.until(first, "desk_stands_by")
    for path, expected in (("/healthz", b"ok"), ("/readyz", b"ok"), ("/metrics", b"ponton_kube_calls")):
        reader, writer = await asyncio.open_connection("127.0.0.1", first.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), SECONDS)
        writer.close()
        assert answer.startswith(b"HTTP/1.1 200")
        assert expected in answer


async def test_prosody_says_whether_it_serves(bed: Bed) -> None:
    """The operator's own proof: the module's view tells whether the front desk's stream is open."""
    control = ProsodyControl(
        f"http://127.0.0.1:{bed.prosody.ports.http}/shards", bed.prosody.component, bed.prosody.secrets.admin_token
    )
    assert not await control.front_desk_connected()
    first = await bed.start("desk-1")
    await bed.until(first, "stream_opened")
    assert await control.front_desk_connected()
