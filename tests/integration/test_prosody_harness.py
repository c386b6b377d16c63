"""The harness itself: a private Prosody that others' tests and the demo can rely on."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.harness.prosody import ProsodyError, derive_secret, free_ports, running_prosody, until
from tests.harness.prosody_config import LuaValue, Options, lua
from tests.harness.xmpp import logged_in


def test_derives_the_secrets_of_the_specification() -> None:
    """The vectors of component-shards/1 hold for the harness, too."""
    shard = derive_secret("m", "wa.test", "shard", "alice@example.test", 7)
    assert "b00ad758ac45ffed5ab568b8df3328f4821f5e9a6d00984d6b42b160694c23ca" == shard
    gateway = derive_secret("m", "wa.test", "gateway", "", 3)
    assert "260e4da8cd3744642ae1c25eb7c430ed31bdc7ce5057e478ba463cb6a18d26b0" == gateway


def test_spells_values_in_lua() -> None:
    """Strings are quoted, booleans and numbers are Lua's, lists and mappings are tables."""
    value: LuaValue = {"a b": [1, 2.5, True, 'say "x"\n\\'], "none": {}}
    assert '{ ["a b"] = { 1; 2.5; true; "say \\"x\\"\\n\\\\"; }; ["none"] = { }; }' == lua(value)


def test_finds_different_free_ports() -> None:
    """Ports asked for together differ."""
    ports = free_ports(20)
    assert 20 == len(set(ports))
    assert all(1024 < port < 65536 for port in ports)


async def test_runs_a_server_that_nobody_else_sees(tmp_path: Path) -> None:
    """Everything it writes is below its root; its own log knows that it runs; it ends with its block."""
    async with running_prosody(tmp_path, users={"alice": "pw"}) as server:
        pid = server.pid
        assert str(pid) == server.layout.pidfile.read_text().strip()
        assert server.rss_bytes() > 5_000_000
        assert server.cpu_seconds() > 0
        assert "Hello and welcome" in server.log_text()
        assert "example.test" in await server.shell("host:list()")
        async with logged_in(server, "alice", "pw") as alice:
            assert "alice@example.test" == alice.boundjid.bare
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_survives_each_way_to_end_and_start(tmp_path: Path) -> None:
    """Stop, kill and restart keep ports, accounts and data; a second start or a stop too many is told or harmless."""
    async with running_prosody(tmp_path, users={"alice": 'it\'s \\ "quoted"'}) as server:
        ports = server.ports
        for end in (server.stop, server.kill):
            await end()
            await end()
            with pytest.raises(ProsodyError, match="not running"):
                _ = server.pid
            await server.start()
        with pytest.raises(ProsodyError, match="runs already"):
            await server.start()
        await server.restart()
        assert ports == server.ports
        async with logged_in(server, "alice", 'it\'s \\ "quoted"'):
            pass


async def test_takes_new_users_while_it_runs(tmp_path: Path) -> None:
    """An account made now can log in now."""
    async with running_prosody(tmp_path) as server:
        assert "o-connor.1@example.test" == server.add_user("o-connor.1", "pw")
        async with (
            logged_in(server, "o-connor.1", "pw", resource="a", smacks=True) as one,
            logged_in(server, "o-connor.1", "pw", resource="b") as two,
        ):
            one.say("o-connor.1@example.test/b", "hello")
            await two.message(lambda m: m["body"] == "hello")
            await one.taken()


async def test_hangs_and_goes_on(tmp_path: Path) -> None:
    """While it is paused nothing answers; afterwards everything does."""
    async with running_prosody(tmp_path) as server:
        server.pause()
        asking = asyncio.create_task(server.view())
        done, _ = await asyncio.wait({asking}, timeout=0.3)
        assert set() == done
        server.resume()
        assert server.component == (await asking)["domain"]


async def test_says_why_it_does_not_start(tmp_path: Path) -> None:
    """A configuration that Prosody cannot read, or a module that does not load, is an error with the log's end."""
    async with running_prosody(tmp_path / "a", options=Options(more="this is not lua"), start=False) as server:
        with pytest.raises(ProsodyError, match="ended at once"):
            await server.start()
    options = Options(component={"component_shards_storage": "stone"})
    async with running_prosody(tmp_path / "b", options=options, start=False) as server:
        with pytest.raises(ProsodyError, match="must be"):
            await server.start()


async def test_names_what_it_waited_for(tmp_path: Path) -> None:
    """A condition that is never met ends with a sentence; one that is met, plain or async, does not wait."""
    with pytest.raises(TimeoutError, match="the moon"):
        await until(lambda: False, timeout=0.05, what="the moon")

    async def met() -> bool:
        return True

    await until(met)
    await until(lambda: True)
