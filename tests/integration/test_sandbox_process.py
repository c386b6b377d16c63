"""The sandbox as a process: starting, ending, dying with its parent, and the command line."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.sandbox import harness
from tests.sandbox.client import SandboxClient
from tests.sandbox.harness import ROOT, running_sandbox
from tests.sandbox.launch import CONFIG_VARIABLE, Config
from tests.sandbox.probing import Probe

pytestmark = pytest.mark.asyncio(loop_scope="module")

ORPHAN = """
import asyncio, os, sys
from pathlib import Path
from tests.sandbox.harness import running_sandbox

async def main():
    async with running_sandbox(Path(sys.argv[1])) as sandbox:
        print(sandbox.control, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SandboxClient]:
    """One process for the command line's tests."""
    async with running_sandbox(tmp_path_factory.mktemp("process")) as sandbox:
        yield sandbox


async def python(*args: str, **env: str) -> Process:
    """Start Python in the repository."""
    return await asyncio.create_subprocess_exec(
        sys.executable, *args, cwd=ROOT, env=os.environ | env, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )


async def command(sandbox: SandboxClient, *args: str) -> tuple[int, list[Any], str]:
    """Run a command against the sandbox; its status, its lines as JSON, and what it said on standard error."""
    child = await python("-m", "tests.sandbox", *args, **{CONFIG_VARIABLE: str(sandbox.config_file)})
    output, errors = await child.communicate()
    return child.returncode or 0, [json.loads(line) for line in output.splitlines()], errors.decode()


async def answers(control: str) -> bool:
    """Whether a sandbox answers at this URL."""
    async with aiohttp.ClientSession(control) as http:
        try:
            async with http.get("/stats") as response:
                return response.ok
        except aiohttp.ClientError:
            return False


async def test_two_run_side_by_side_and_end(tmp_path: Path) -> None:
    """Takes free ports, writes a file for launchers, and is gone afterwards."""
    async with running_sandbox(tmp_path / "one") as one, running_sandbox(tmp_path / "two") as two:
        assert one.control != two.control
        await one.account("Alice")
        assert (1, 0) == ((await one.stats())["accounts"], (await two.stats())["accounts"])
        config = Config.read(one.config_file or tmp_path)
        assert (one.control, 64) == (config.control, len(config.root))
        authority = await asyncio.to_thread(Path(config.ca).read_text, encoding="ascii")
        assert authority.startswith("-----BEGIN CERTIFICATE")
        async with SandboxClient.of_config(one.config_file or tmp_path) as again:
            assert 1 == (await again.stats())["accounts"]
        ended = one.control, two.control
    assert [False, False] == [await answers(control) for control in ended]


async def test_the_settings_reach_the_server(tmp_path: Path) -> None:
    """Accepts the server's settings as options, and fixed ports."""
    async with running_sandbox(tmp_path, qr_refs=1, fresh_count=100, linger=0.05) as sandbox:
        port = int(sandbox.control.rpartition(":")[2])
    async with running_sandbox(tmp_path, control_port=port) as sandbox:
        assert f"http://127.0.0.1:{port}" == sandbox.control


async def test_a_start_that_fails_says_why(tmp_path: Path, sandbox: SandboxClient) -> None:
    """Raises with the log, here that the port is taken."""
    port = sandbox.control.rpartition(":")[2]
    with pytest.raises(RuntimeError, match="address already in use"):
        async with running_sandbox(tmp_path, control_port=port):
            pass


async def test_a_start_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends the process that did not become ready in time, and says so."""
    monkeypatch.setattr(harness, "START_PATIENCE", 0.01)
    with pytest.raises(RuntimeError, match="did not start"):
        async with running_sandbox(tmp_path):
            pass
    assert not (tmp_path / "sandbox" / "sandbox.json").exists()


@pytest.mark.parametrize("ending", ["SIGTERM", "SIGINT"])
async def test_ends_when_told(tmp_path: Path, ending: str) -> None:
    """Exits 0 at a signal, also with a long poll open."""
    child = await python("-m", "tests.sandbox", "serve", "--folder", str(tmp_path))
    assert child.stdout is not None
    control = json.loads(await child.stdout.readline())["control"]
    async with SandboxClient(control) as sandbox:
        alice = await sandbox.account("Alice")
        poll = asyncio.create_task(alice.inbox(wait=60))
        await sandbox.stats()  # a round trip, so that the poll has most likely begun
        child.send_signal(signal.Signals[ending])
        assert 0 == await asyncio.wait_for(child.wait(), 20)
        await asyncio.gather(poll, return_exceptions=True)
    assert not await answers(control)


async def test_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    """Leaves nothing behind when a test run dies without a word."""
    parent = await python("-c", ORPHAN, str(tmp_path))
    assert parent.stdout is not None
    control = (await parent.stdout.readline()).decode().strip()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(control.rpartition(":")[2]))
    parent.kill()
    await parent.wait()
    assert b"" == await asyncio.wait_for(reader.read(), 20)  # the sandbox has closed its side
    writer.close()
    assert not await answers(control)


async def test_people_can_be_scripted_by_hand(sandbox: SandboxClient) -> None:
    """Makes people, lets them write and type, and shows what a phone saw, one JSON line each."""
    made = await command(sandbox, "account", "Ida", "--number", "+33612666001", "--contact", "Jo")
    assert (0, "+33612666001", "Ida") == (made[0], made[1][0]["number"], made[1][0]["name"])
    _, listed, _ = await command(sandbox, "accounts")
    assert {"Ida", "Jo"} <= {each["name"] for each in listed}
    _, (sent,), _ = await command(sandbox, "send", "Jo", "Ida", "héllo")
    location = json.dumps({"locationMessage": {"name": "here"}})
    await command(sandbox, "send", "Jo", "Ida", location, "--json")
    await command(sandbox, "typing", "Jo", "Ida", "recording")
    _, seen, _ = await command(sandbox, "inbox", "Ida", "--wait", "5", "--kinds", "message,chatstate")
    assert [("message", "héllo"), ("message", ""), ("chatstate", None)] == [
        (record["kind"], record.get("text")) for record in seen
    ]
    assert sent["id"] == seen[0]["id"]
    _, later, _ = await command(sandbox, "inbox", "Ida", "--since", str(seen[1]["n"]))
    assert ["chatstate"] == [record["kind"] for record in later]


async def test_faults_and_counts_by_hand(sandbox: SandboxClient) -> None:
    """Turns knobs, clears them, shows counts and the trace."""
    _, (fault,), _ = await command(sandbox, "fault", "delay", "--count", "2", "--value", "50")
    assert ("delay", 2) == (fault["name"], fault["left"])
    assert (0, []) == (await command(sandbox, "clear"))[:2]
    assert [] == await sandbox.faults()
    _, (stats,), _ = await command(sandbox, "stats")
    assert stats["counts"] == (await sandbox.stats())["counts"]
    _, trace, _ = await command(sandbox, "trace", "--limit", "1")
    assert 1 == len(trace)
    assert (0, []) == (await command(sandbox, "devices", "Ida"))[:2]
    assert (0, [{"removed": []}]) == (await command(sandbox, "unlink", "Ida"))[:2]


async def test_a_client_is_linked_and_removed_by_hand(sandbox: SandboxClient, tmp_path: Path) -> None:
    """Scans the code of a real client, types one for a second, lists both and removes them, as in the demo."""
    owner = await sandbox.account("Kim")
    async with Probe(sandbox.config_file or tmp_path, tmp_path) as probe:
        await probe.start("scanned")
        qr = await probe.event("scanned", "QR")
        assert (0, [{"device": 1}]) == (await command(sandbox, "scan", "Kim", qr))[:2]
        await probe.event("scanned", "Connected")
        await probe.start("typed")
        await probe.event("typed", "QR")
        code = await probe.call("typed", "PairPhone", owner.number.removeprefix("+"), True)  # noqa: FBT003 - neonize's
        assert (0, [{"device": 2}]) == (await command(sandbox, "code", "Kim", code))[:2]
        await probe.event("typed", "Connected")
        await owner.wait_for("companion_active", device=2)
        _, devices, _ = await command(sandbox, "devices", owner.number)
        assert [(1, True), (2, True)] == [(each["device"], each["connected"]) for each in devices]
        assert (0, [{"removed": [1, 2]}]) == (await command(sandbox, "unlink", owner.number))[:2]
        for name in ("scanned", "typed"):
            await probe.event(name, "LoggedOut")


async def test_the_help_names_every_command(sandbox: SandboxClient) -> None:
    """Explains itself, and refuses what it does not know with status 2."""
    child = await python("-m", "tests.sandbox", "--help")
    output, _ = await child.communicate()
    named = {"serve", "account", "scan", "code", "send", "inbox", "fault", "clear", "stats", "trace", "unlink"}
    assert named <= set(output.decode().replace(",", " ").replace("{", " ").replace("}", " ").split())
    assert 2 == (await command(sandbox, "dance"))[0]


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["inbox", "Nobody"], "nobody here is 'Nobody'"),
        (["scan", "Ida", "hello"], "not a linking code"),
        (["code", "Ida", "ABCD-1234"], "no companion waits"),
        (["fault", "rain"], "no lasting fault"),
        (["--config", "/nowhere.json", "stats"], "/nowhere.json"),
        (["--control", "http://127.0.0.1:9", "stats"], "127.0.0.1:9"),
    ],
    ids=["nobody", "scan", "code", "fault", "no file", "no sandbox"],
)
async def test_mistakes_by_hand_are_a_sentence(sandbox: SandboxClient, args: list[str], sentence: str) -> None:
    """Exits 1 and says on standard error what is wrong, without a traceback."""
    await sandbox.contact("Ida")
    status, lines, errors = await command(sandbox, *args)
    assert (1, []) == (status, lines)
    assert sentence in errors
    assert "Traceback" not in errors
