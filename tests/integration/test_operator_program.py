"""The program `ponton operator accounts`, kopf and all, against an API server in memory: take-over, end, health."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ponton_operator.cluster.lease import DURATION
from tests.harness.kube_discovery import KINDS, DiscoFake
from tests.harness.kube_fake import kube_fake
from tests.harness.kube_town import NS, Town
from tests.unit.test_operator_health import ask

SECONDS = 90.0  # two starts of Python with all libraries, on a busy machine


@dataclass(slots=True)
class Program:
    """One replica, and what it logged."""

    process: asyncio.subprocess.Process
    log: Path
    port: int

    def said(self, event: str) -> list[dict[str, Any]]:
        """Give the logged events of a name."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]


@pytest.fixture
def fake() -> Iterator[DiscoFake]:
    """An API server that tells what it has."""
    made = DiscoFake()
    with kube_fake(made):
        yield made


@asynccontextmanager
async def replica(fake: DiscoFake, folder: Path, name: str, **environment: str) -> AsyncIterator[Program]:
    """Run one replica of the operator; it is told to end at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = {
        "PATH": os.environ["PATH"],
        "KUBECONFIG": str(fake.kubeconfig(folder / "config")),
        "POD_ID": name,
        "POD_NAMESPACE": "ponton",
        "PONTON_NAMESPACES": NS,
        "PONTON_METRICS_PORT": str(port),
        "PONTON_SHARD_IMAGE": "ponton-bridge:test",
    }
    log = folder / f"{name}.log"
    with log.open("w") as err:
        command = [sys.executable, "-m", "ponton_bridge.cli", "operator", "accounts"]
        process = await asyncio.create_subprocess_exec(*command, env=told | environment, stderr=err)
    try:
        yield Program(process, log, port)
    finally:
        if process.returncode is None:
            process.terminate()
            await asyncio.wait_for(process.wait(), SECONDS)


async def until(holds: Callable[[], object], *programs: Program) -> None:
    """Wait until something holds."""
    try:
        async with asyncio.timeout(SECONDS):
            while not holds():  # noqa: ASYNC110  # a file and a thread tell nobody
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError([program.log.read_text()[-3000:] for program in programs]) from None


@pytest.mark.timeout(300)
async def test_one_works_the_other_stands_by_and_follows(fake: DiscoFake, tmp_path: Path) -> None:
    """Killed, the first is followed when its Lease is over; told to end, the second leaves 0 and gives it up."""
    here = Town(fake)
    here.gateway()
    async with replica(fake, tmp_path, "one") as one, replica(fake, tmp_path, "two") as two:
        await until(lambda: one.said("operator_works") or two.said("operator_works"), one, two)
        first, second = (one, two) if one.said("operator_works") else (two, one)
        here.account()
        await until(here.pods, first, second)
        await until(lambda: second.said("operator_stands_by"), second)
        assert [] == second.said("operator_works")
        assert (await ask(second.port, b"GET /readyz HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200")
        loop = asyncio.get_running_loop()
        first.process.send_signal(signal.SIGKILL)
        killed = loop.time()
        here.account("acc-2", owner="b@example.test")
        await until(lambda: here.pods("acc-2") and second.said("shard_started"), second)
        assert loop.time() - killed >= DURATION - 3.0  # a renewal lies up to 2 s back
        assert 1 == len(here.pods())
        assert (await ask(second.port, b"GET /healthz HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200")
        metrics = await ask(second.port, b"GET /metrics HTTP/1.1\r\n\r\n")
        assert b'ponton_kube_calls_total{resource="pods",result="ok",verb="create"} 1.0' in metrics
        assert b'ponton_events_total{event="shard_started"} 1.0' in metrics
        second.process.terminate()
        assert 0 == await asyncio.wait_for(second.process.wait(), SECONDS)
        [lease] = [obj for key, obj in fake.objects.items() if key[0] == "leases"]
        assert ("", 1) == (lease["spec"]["holderIdentity"], lease["spec"]["leaseTransitions"])
        assert second.said("operator_ended")


@pytest.mark.timeout(200)
async def test_who_cannot_renew_ends(fake: DiscoFake, tmp_path: Path) -> None:
    """With the API away the holder ends itself before another may begin, and says why."""
    async with replica(fake, tmp_path, "one") as one:
        await until(lambda: one.said("listed"), one)
        fake.down = True
        assert 75 == await asyncio.wait_for(one.process.wait(), SECONDS)
        assert one.said("lease_lost")


@pytest.mark.timeout(200)
async def test_a_process_that_was_stopped_writes_no_more(fake: DiscoFake, tmp_path: Path) -> None:
    """Frozen for longer than its Lease and woken, it ends without another write."""
    here = Town(fake)
    here.gateway()
    async with replica(fake, tmp_path, "one") as one:
        await until(lambda: one.said("listed"), one)
        one.process.send_signal(signal.SIGSTOP)
        here.account()
        await asyncio.sleep(DURATION)  # the Lease's own time is what is tested
        before = len([path for method, path in fake.asked if method != "GET" and "leases" not in path])
        one.process.send_signal(signal.SIGCONT)
        assert 75 == await asyncio.wait_for(one.process.wait(), SECONDS)
        assert before == len([path for method, path in fake.asked if method != "GET" and "leases" not in path])
        assert not here.pods()


@pytest.mark.timeout(200)
async def test_a_namespace_that_is_refused_ends_nothing(fake: DiscoFake, tmp_path: Path) -> None:
    """Kopf's watches in it wait, whether it is refused at the start or later; those of the other namespace go on."""
    here = Town(fake)
    here.gateway()
    here.gateway("other")
    fake.forbidden.add("other")

    def watched() -> list[str]:
        return [path for _, path in fake.asked if "watch=true" in path and "/namespaces/other/" in path]

    async with replica(fake, tmp_path, "one", PONTON_NAMESPACES=f"other,{NS}") as one:
        await until(lambda: one.said("namespace_left_out"), one)
        here.account()
        await until(here.pods, one)
        assert [] == watched()
        fake.forbidden.clear()
        await until(lambda: one.said("namespace_served"), one)
        await until(lambda: len(watched()) == 3, one)
        fake.forbidden.add("other")
        await until(lambda: len(one.said("namespace_left_out")) == 2, one)
        here.account("acc-2", owner="b@example.test")
        await until(lambda: here.pods("acc-2"), one)
        assert len(watched()) <= 6  # each was refused once at most, and waits
        assert (await ask(one.port, b"GET /healthz HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200")
        metrics = await ask(one.port, b"GET /metrics HTTP/1.1\r\n\r\n")
        assert b'ponton_namespace_served{name="other"} 0.0' in metrics
        assert b'ponton_events_total{event="namespace_left_out"} 2.0' in metrics
        assert "Traceback" not in one.log.read_text()
        one.process.terminate()
        assert 0 == await asyncio.wait_for(one.process.wait(), SECONDS)


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "words"),
    [
        ([], {}, 64, "usage: ponton operator accounts|gateways|scaler"),
        (["nothing"], {}, 64, "usage: ponton operator accounts|gateways|scaler"),
        (["accounts"], {}, 78, "POD_NAMESPACE is not set"),
        (
            ["accounts"],
            {"POD_NAMESPACE": "x", "PONTON_METRICS_PORT": "many"},
            78,
            "PONTON_METRICS_PORT is not a number",
        ),
        (["accounts"], {"POD_NAMESPACE": "x", "PONTON_LOG_LEVEL": "loud"}, 78, "PONTON_LOG_LEVEL is not one of"),
        (
            ["accounts"],
            {"POD_NAMESPACE": "x", "KUBECONFIG": "/nowhere"},
            78,
            "neither a service account nor a KUBECONFIG",
        ),
    ],
)
async def test_what_the_host_has_to_change_is_said(
    arguments: list[str], environment: dict[str, str], code: int, words: str
) -> None:
    """In a sentence, with its exit code."""
    command = [sys.executable, "-m", "ponton_bridge.cli", "operator", *arguments]
    process = await asyncio.create_subprocess_exec(
        *command, env={"PATH": os.environ["PATH"], "HOME": "/nowhere"} | environment, stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(process.communicate(), SECONDS)
    assert code == process.returncode
    assert words in said.decode()


async def test_a_cluster_without_our_kinds_is_told(
    fake: DiscoFake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Installed in the wrong order: a sentence, and the kubelet tries again."""
    monkeypatch.delitem(KINDS, "ponton.im/v1alpha1")
    async with replica(fake, tmp_path, "one") as one:
        assert 78 == await asyncio.wait_for(one.process.wait(), SECONDS)
        assert "install the chart's resource definitions first" in one.log.read_text()
