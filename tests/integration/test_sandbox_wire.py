"""The first bytes between the real client and the sandbox: proxy, TLS, pin, prologue, handshake, dictionaries."""

import asyncio
import datetime as dt
import os
import sys
import time
from pathlib import Path

import pytest

from tests.integration.sandbox_bed import make_bed
from tests.sandbox import frames, noise, proto, tokens, websocket
from tests.sandbox.authority import Authority
from tests.sandbox.connection import Connection, Stage
from tests.sandbox.keys import KEY_TYPE, KeyPair
from tests.sandbox.launch import Config, sandboxed
from tests.sandbox.probing import ROOT, Probe
from tests.sandbox.proto import wa_e2e
from tests.sandbox.proxy import Proxy
from tests.sandbox.server import Sandbox
from tests.sandbox.world import Settings


async def test_first_bytes_are_the_prologue(tmp_path: Path) -> None:
    """The client reaches us through CONNECT and our TLS, and says WA, 6, 3 before its first frame."""
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder = websocket.Decoder()
        while not heard.done() and (data := await reader.read(4096)):
            for _opcode, message in decoder.feed(data):
                heard.set_result(message)
        writer.close()

    authority = Authority.make(tmp_path, dt.datetime.now(dt.UTC))
    proxy = Proxy(authority.context(), listen, lambda: None)
    port = await proxy.start()
    config = tmp_path / "sandbox.json"
    Config(f"http://127.0.0.1:{port}", str(authority.ca), bytes(32).hex()).write(config)
    async with Probe(config, tmp_path) as probe:
        await probe.start("prologue")
        async with asyncio.timeout(10):
            first = await heard
    await proxy.stop()
    assert frames.PROLOGUE == first[:4]
    assert bytes.fromhex("57410603") == frames.PROLOGUE


class Listening(Sandbox):
    """A sandbox that keeps what each handshake brought."""

    def _begin(self, connection: Connection, done: noise.Finished) -> Stage | None:
        self.finished = done
        return super()._begin(connection, done)


async def test_client_registers_with_its_keys(tmp_path: Path) -> None:
    """The handshake's payload parses and holds the registration of a new device."""
    async with Listening(Settings(qr_refs=2)) as box, Probe(box.config, tmp_path) as probe:
        await probe.start("registering")
        await probe.event("registering", "QR")
    payload = box.finished.payload
    assert payload.HasField("devicePairingData")
    assert not payload.HasField("username")
    data = payload.devicePairingData
    fields = data.eRegid, data.eIdent, data.eSkeyID, data.eSkeyVal, data.eSkeySig
    assert [4, 32, 3, 32, 64] == [len(field) for field in fields]
    assert KEY_TYPE == data.eKeytype
    assert 32 == len(box.finished.client_static)


async def test_result_of_pair_device_decodes(tmp_path: Path) -> None:
    """The client's answer to the offered codes comes back as a result."""
    async with make_bed(tmp_path) as bed:
        await bed.qr("decodes")
        heard = (entry.stanza for entry in bed.box.world.trace if entry.event == "heard_unlinked")
        await bed.until(lambda: bed.box.world.counts["heard_unlinked"], "the client answered")
        answer = next(stanza for stanza in heard if stanza and stanza.tag == "iq")
        assert ("result", "s.whatsapp.net") == (answer.get("type"), answer.get("to"))
        assert not bed.box.world.counts["broke_protocol"]


async def refusal(box: Sandbox, folder: Path) -> str:
    """Let a client meet a server that it must refuse; what it says about it."""
    async with Probe(box.config, folder) as probe:
        await probe.start("refusing")
        end = await probe.event("refusing", "Returned")
        assert not [event for event in probe.events if event.name == "QR"]
        return str(end["error"])


async def test_wrong_root_key_is_refused(tmp_path: Path) -> None:
    """A chain under another root than the swapped one is not believed."""
    box = Sandbox(Settings(qr_refs=2))
    stranger = KeyPair.of(os.urandom(32))
    await box.start(identity=noise.Identity.make(stranger, time.time(), os.urandom))
    try:
        assert "failed to verify" in await refusal(box, tmp_path)
    finally:
        await box.stop()


async def test_expired_certificate_is_refused(tmp_path: Path) -> None:
    """A chain whose dates have passed is not believed."""
    box = Sandbox(Settings(qr_refs=2))
    past = time.time() - 10 * noise.VALIDITY
    await box.start(identity=noise.Identity.make(box.root, past, os.urandom))
    try:
        assert "expired" in await refusal(box, tmp_path)
    finally:
        await box.stop()


def test_dictionaries_of_the_library_are_complete(tmp_path: Path) -> None:
    """The library yields 236 single-byte and 4 x 256 double-byte tokens, all different, and the cache repeats them."""
    library = next(proto.library_folder().glob("neonize-linux*"))
    fresh = tokens.load(library, tmp_path)
    assert (236, [256] * 4) == (len(fresh.single), [len(table) for table in fresh.double])
    assert 235 + 4 * 256 == len(fresh.codes)
    assert {"xmlstreamstart", "s.whatsapp.net", "participant", "iq"} <= set(fresh.single)
    assert fresh == tokens.load(library, tmp_path)
    assert 1 == len(list(tmp_path.glob("tokens-*.json")))


async def run(argv: list[str], config: Path, **env: str) -> tuple[int, str, str]:
    """Run a command in the sandbox: exit status, standard output, standard error."""
    command, environment = sandboxed(argv, os.environ, config)
    child = await asyncio.create_subprocess_exec(
        *command, env=environment | env, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(child.communicate(), 30)
    return child.returncode or 0, out.decode(), err.decode()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A launchers' file with a root key of its own."""
    path = tmp_path / "sandbox.json"
    Config("http://127.0.0.1:9", "/nonexistent.pem", bytes(range(32)).hex()).write(path)
    return path


async def test_pin_is_swapped_exactly_once(config: Path, tmp_path: Path) -> None:
    """After the import the old pin is nowhere in the library's writable memory and the new one is there once."""
    script = tmp_path / "look.py"
    script.write_text(
        "import neonize._binder, os, sys\n"
        "from tests.sandbox import launch\n"
        "new = bytes(range(32))\n"
        "print(launch.swap_pin(launch.WHATSAPP_ROOT), launch.swap_pin(new, new))\n"
        "sys.stdout.flush(); os._exit(0)\n"
    )
    status, out, err = await run([sys.executable, str(script)], config, PYTHONPATH=str(ROOT))
    assert (0, "0 1") == (status, out.strip()), err


async def test_library_without_the_pin_stops_the_program(config: Path, tmp_path: Path) -> None:
    """Where the pin is not found once, nothing runs that could reach the real servers."""
    script = tmp_path / "broken.py"
    script.write_text("import neonize._binder\nprint('went on')\n")
    launcher = (ROOT / "tests/sandbox/launch.py").read_text()
    broken = tmp_path / "launch.py"
    broken.write_text(launcher.replace("142375574d0a58", "00000000000000"))
    env = sandboxed([sys.executable, str(script)], os.environ, config)[1]
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        str(broken),
        str(config),
        str(script),
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(child.communicate(), 30)
    assert child.returncode
    assert b"went on" not in out
    assert b"found 0 times" in err


async def test_sandbox_opens_no_connection(tmp_path: Path) -> None:
    """While a client pairs, is written to and goes, the sandbox's process dials nobody."""
    dialled: list[object] = []
    watching = True

    def audit(event: str, arguments: tuple[object, ...]) -> None:
        if watching and event in {"socket.connect", "socket.getaddrinfo", "socket.sendto"}:
            dialled.append(arguments)

    async with make_bed(tmp_path) as bed:
        sys.addaudithook(audit)  # it cannot be taken out again, only told to look away
        client, friend = await bed.client(), bed.phone("Friend")
        friend.send(client.account.lid, wa_e2e.Message(conversation="hello"))
        await client.text("hello")
    watching = False
    assert [] == dialled
