"""Prosody's half of a gateway at a real Prosody: mounted as the page says, it lets shards and the front desk in."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from ponton_bridge.xmpp.stream import Opened, ShardStream, StreamSettings
from ponton_operator.cluster.prosody import ProsodyControl
from ponton_operator.cluster.prosody_module import module_files
from ponton_operator.plan.manifests_prosody import CONFIG, MODULE, Shared, prosody
from ponton_operator.plan.secrets import front_desk_secret, shard_secret
from ponton_operator.selfservice.xmpp.stream import DeskSettings
from tests.harness.prosody import Prosody, running_prosody
from tests.harness.prosody_config import MODULE_FOLDER, Options
from tests.unit.gateway_world import find, gateway, text

DOMAIN = "second.other.test"
OWNER = "bob@other.test"
SHARED = Shared("s" * 40, "k" * 32, front_desk="plain-secret")


def test_the_module_is_complete() -> None:
    """Every Lua file of the module is handed out, nothing else."""
    folder = MODULE_FOLDER / MODULE
    assert {path.name: path.read_text() for path in folder.glob("*.lua")} == module_files()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Prosody]:
    """A Prosody that has everything of the second gateway from the two mounted objects."""
    (tmp_path / "lua" / MODULE).mkdir(parents=True)
    async with running_prosody(tmp_path / "first") as first:
        port = first.ports.shards
    resource = gateway(
        domain=DOMAIN, xmpp={"host": "127.0.0.1", "port": port}, shard={"upload": {"host": "up.other.test"}}
    )
    manifests = prosody(resource, SHARED, module_files())
    for name, content in find(manifests, "ConfigMap")["data"].items():
        (tmp_path / "lua" / MODULE / name).write_text(content)
    (tmp_path / CONFIG).write_text(text(find(manifests, "Secret"), CONFIG))
    options = Options(everywhere={"plugin_paths": [str(tmp_path / "lua")]}, more=f'Include "{tmp_path / CONFIG}"')
    first.write_config(options)
    await first.start()
    yield first
    await first.stop()


async def opened(settings: StreamSettings) -> bool:
    """Whether a stream with these settings is let in."""
    stream = ShardStream(settings, ("", 0), covered=lambda _seq: None, random=random.random)
    running = asyncio.create_task(stream.run())
    try:
        first = asyncio.create_task(stream.inbox.get())
        await asyncio.wait([running, first], timeout=20, return_when=asyncio.FIRST_COMPLETED)
        return first.done() and isinstance(first.result(), Opened)
    finally:
        first.cancel()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_shards_and_the_front_desk_are_let_in(server: Prosody) -> None:
    """Derived secrets of the gateway's own master open both kinds of streams on its own domain."""
    secret = shard_secret(SHARED.master, DOMAIN, OWNER, 7)
    shard = StreamSettings(
        domain=DOMAIN,
        owner=OWNER,
        epoch=7,
        instance="i",
        secret=secret,
        host="127.0.0.1",
        port=server.ports.shards,
        ca=None,
    )
    assert await opened(shard)
    desk = DeskSettings(
        domain=DOMAIN, owner="", epoch=3, instance="d", secret=front_desk_secret(SHARED.master, DOMAIN, 3),
        host="127.0.0.1", port=server.ports.shards, ca=None,
    )  # fmt: skip
    plain = replace(desk, secret=SHARED.front_desk, epoch=9)  # binds no epoch: any derived one fences it out
    for settings, let_in in ((plain, True), (desk, True), (plain, False)):
        assert let_in == await opened(settings)


async def test_the_view_takes_the_token(server: Prosody) -> None:
    """The operators' control works with the gateway's own token, on its own domain."""
    control = ProsodyControl(f"http://127.0.0.1:{server.ports.http}/shards", DOMAIN, SHARED.token)
    assert False is await control.front_desk_connected()
    await control.assign(OWNER, 5)
    found = await control.status(OWNER)
    assert found
    assert 5 == found["epoch"]
