"""The bundled Prosody and Redis with what the chart gives them, run as processes: only paths and ports differ."""

import asyncio
import base64
import os
import re
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ponton_operator.cluster.prosody import ProsodyControl, ProsodyRefused
from tests.cluster.chart_kit import EVERYTHING, Object, named, render, sandbox_gateway
from tests.harness.prosody import answers, free_ports
from tests.harness.redis import free_port

URL = "https://wa-ponton-xmpp.bridges.svc:5281/shards"
PATIENCE = 30.0  # seconds until a server answers; each takes less than one on an idle machine


@pytest.fixture(scope="module")
def objects() -> list[Object]:
    """All that the chart makes."""
    return render(EVERYTHING)


def write(folder: Path, texts: Mapping[str, str]) -> Path:
    """Lay out a volume."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text)
    return folder


def texts_of(secret: Object) -> dict[str, str]:
    """Give what a Secret holds."""
    plain: dict[str, str] = secret.get("stringData", {})
    coded = {key: base64.b64decode(text).decode() for key, text in secret.get("data", {}).items()}
    return coded | plain


@asynccontextmanager
async def running(script: str, folder: Path, *ports: int) -> AsyncIterator[None]:
    """Run a start script until the block ends; it is ready when all ports answer."""
    with (folder / "log").open("ab") as log:
        child = await asyncio.create_subprocess_exec("sh", "-c", script, stdout=log, stderr=log, cwd=folder)
    try:
        async with asyncio.timeout(PATIENCE):
            while not all([await answers(port) for port in ports]):
                assert child.returncode is None, (folder / "log").read_text()
                await asyncio.sleep(0.05)
        yield
    finally:
        if child.returncode is None:
            child.terminate()
        await child.wait()


async def redis(port: int, *commands: str) -> list[str]:
    """Ask Redis in its plain form of commands; gives the first line of each answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write("".join(f"{command}\r\n" for command in (*commands, "QUIT")).encode())
    lines = (await asyncio.wait_for(reader.read(), PATIENCE)).decode().split("\r\n")
    writer.close()
    return lines


@pytest.fixture
def redis_start(objects: list[Object], tmp_path: Path) -> tuple[str, int, str, Path]:
    """Give the start script of Redis, its port, the password, and its volume."""
    port = free_port()
    config = named(objects, "ConfigMap", "wa-ponton-redis")["data"]
    secret = texts_of(named(objects, "Secret", "wa-ponton-redis"))
    volume = write(tmp_path / "data", {})
    etc = tmp_path / "etc"
    places = {"/data": str(volume), "/etc/ponton": str(etc), "/run/ponton": str(write(tmp_path / "run", secret))}

    def here(text: str) -> str:
        for there, place in places.items():
            text = text.replace(there, place)
        return text

    write(etc, {"redis.conf": here(config["redis.conf"]).replace("bind * -::*", f"bind 127.0.0.1\nport {port}")})
    return here(config["start.sh"]), port, secret["password"], volume


async def test_redis_knows_its_control_plane_and_nobody_else(redis_start: tuple[str, int, str, Path]) -> None:
    """The default user is off; ours may make users, and may not change the server."""
    script, port, password, volume = redis_start
    async with running(script, volume.parent, port):
        assert "-NOAUTH" in (await redis(port, "PING"))[0]
        said = await redis(port, f"AUTH ponton {password}", "ACL SETUSER shard on >word ~s:* +get", "CONFIG GET dir")
        assert ["+OK", "+OK"] == said[:2]
        assert said[2].startswith("-NOPERM")


async def test_users_of_shards_survive_a_restart_of_redis(redis_start: tuple[str, int, str, Path]) -> None:
    """Once the operators have saved them; our own password may change meanwhile."""
    script, port, password, volume = redis_start
    async with running(script, volume.parent, port):
        await redis(port, f"AUTH ponton {password}", "ACL SETUSER shard on >word ~s:* +get", "ACL SAVE")
    (volume.parent / "run" / "password").write_text("another-password")
    async with running(script, volume.parent, port):
        assert "+OK" == (await redis(port, "AUTH shard word"))[0]
        assert "-WRONGPASS" in (await redis(port, f"AUTH ponton {password}"))[0]
        assert "+OK" == (await redis(port, "AUTH ponton another-password"))[0]
    users = (volume / "users.acl").read_text()
    assert 1 == users.count("user ponton ")
    assert password not in users


async def test_prosody_serves_shards_clients_and_uploads(
    objects: list[Object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As its configuration says, with its certificate; the operators' control finds the view of each gateway."""
    c2s, https, shards = free_ports(3)
    config = named(objects, "ConfigMap", "wa-ponton-xmpp")["data"]
    module = named(objects, "ConfigMap", "wa-ponton-xmpp-module")["data"]
    secret = texts_of(named(objects, "Secret", "wa-ponton-xmpp"))
    tls = texts_of(named(objects, "Secret", "wa-ponton-xmpp-tls"))
    users = {"alice": 'a "strange"\\password', "b.o-b_1": "word"}
    places = {
        "/etc/ponton/modules": str(write(tmp_path / "modules" / "mod_component_shards", module).parent),
        "/etc/ponton/prosody.cfg.lua": str(tmp_path / "prosody.cfg.lua"),
        "/run/ponton-tls": str(write(tmp_path / "tls", tls)),
        "/run/ponton-users": str(write(tmp_path / "users", users)),
        "/run/ponton": str(write(tmp_path / "run", secret)),
        "/var/lib/prosody": str(write(tmp_path / "data", {})),
        "/tmp/": f"{tmp_path}/",  # noqa: S108  # of the pod
        "= { 5222 }": f"= {{ {c2s} }}",
        "{ 5281 }": f"{{ {https} }}",
        "{ 5349 }": f"{{ {shards} }}",
        'interfaces = { "*" }': 'interfaces = { "127.0.0.1" }',
    }
    pattern = re.compile("|".join(re.escape(there) for there in places))

    def here(text: str) -> str:
        return pattern.sub(lambda found: places[found[0]], text)

    root = "run_as_root = true\n" if os.geteuid() == 0 else ""
    write(tmp_path, {"prosody.cfg.lua": root + here(config["prosody.cfg.lua"])})
    async with running(here(config["start.sh"]), tmp_path, c2s, https, shards):
        context = ssl.create_default_context(cadata=tls["ca.crt"])
        # What pods know Prosody by is here: only the name is resolved otherwise.
        connect = socket.create_connection
        monkeypatch.setattr(socket, "create_connection", lambda _, *rest: connect(("127.0.0.1", https), *rest))
        for domain in ("whatsapp.example.test", "sandbox.example.test"):
            assert not await ProsodyControl(URL, domain, secret["token"], tls["ca.crt"]).front_desk_connected()
            with pytest.raises(ProsodyRefused):
                await ProsodyControl(URL, domain, "another token", tls["ca.crt"]).front_desk_connected()
            _, writer = await asyncio.open_connection("127.0.0.1", shards, ssl=context, server_hostname=domain)
            writer.close()
    accounts = tmp_path / "data" / "example%2etest" / "accounts"
    assert ["alice.dat", "b%2eo%2db%5f1.dat"] == sorted(path.name for path in accounts.iterdir())
    assert '["password"] = "a \\"strange\\"\\\\password";' in (accounts / "alice.dat").read_text()


def test_the_gateway_asks_prosody_where_prosody_answers(objects: list[Object]) -> None:
    """Under the URL that the test above uses."""
    assert URL == sandbox_gateway(objects)["spec"]["prosody"]["url"]
