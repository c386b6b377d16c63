"""The Redis of the tests themselves: what other tests rely on."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.harness.redis import RedisFailed, RedisServer, running_redis


async def ask(server: RedisServer, *lines: str, seconds: float = 5.0) -> str:
    """Send inline commands and give everything that was answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write("".join(f"{line}\r\n" for line in (*lines, "QUIT")).encode())
    try:
        return (await asyncio.wait_for(reader.read(), seconds)).decode()
    finally:
        writer.close()


async def test_runs_side_by_side(tmp_path: Path) -> None:
    """Two servers have ports, folders and data of their own."""
    async with running_redis(tmp_path / "a") as one, running_redis(tmp_path / "b") as two:
        assert one.port != two.port
        assert "+OK\r\n+OK\r\n" == await ask(one, "SET key here")
        assert "$-1\r\n+OK\r\n" == await ask(two, "GET key")


async def test_ends_with_the_block(tmp_path: Path) -> None:
    """Nothing runs and nothing listens once the block has ended."""
    async with running_redis(tmp_path) as server:
        pid = server.pid
    assert pid is not None
    assert server.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(OSError, match="Connect call failed"):
        await ask(server, "PING")


async def test_restart_loses_or_keeps(tmp_path: Path) -> None:
    """A restart keeps the port; the data only when told to be kept."""
    kept = {"appendonly": "yes", "appendfsync": "always"}
    async with running_redis(tmp_path / "a") as loses, running_redis(tmp_path / "b", **kept) as keeps:
        for server, expected in ((loses, "$-1\r\n+OK\r\n"), (keeps, "$4\r\nhere\r\n+OK\r\n")):
            port, pid = server.port, server.pid
            await ask(server, "SET key here")
            await server.restart()
            assert port == server.port
            assert pid != server.pid
            assert expected == await ask(server, "GET key")


async def test_kill_and_start_again(tmp_path: Path) -> None:
    """A killed server is gone until it is started again."""
    async with running_redis(tmp_path) as server:
        await server.kill()
        assert server.pid is None
        await server.start()
        assert "+PONG\r\n+OK\r\n" == await ask(server, "PING")


async def test_pause_and_resume(tmp_path: Path) -> None:
    """A frozen server takes connections and answers nothing until it goes on."""
    async with running_redis(tmp_path) as server:
        server.pause()
        with pytest.raises(TimeoutError):
            await ask(server, "PING", seconds=0.2)
        server.resume()
        assert "+PONG\r\n+OK\r\n" == await ask(server, "PING")


async def test_stops_a_frozen_server(tmp_path: Path) -> None:
    """A server left frozen ends with its block all the same."""
    async with running_redis(tmp_path) as server:
        server.pause()
    assert server.pid is None


async def test_password_and_users(tmp_path: Path) -> None:
    """A password is asked for, stands in the URL, and never on the command line."""
    async with running_redis(tmp_path, requirepass="p@ss/word") as server:
        assert "redis://:p%40ss%2Fword@" in server.url
        assert "redis://ponton%3Aa:x%20y@" in server.url_for("ponton:a", "x y")
        assert (await ask(server, "PING")).startswith("-NOAUTH")
        assert "+OK\r\n+PONG\r\n+OK\r\n" == await ask(server, "AUTH p@ss/word", "PING")
        line = (Path("/proc") / str(server.pid) / "cmdline").read_bytes()
        assert b"p@ss" not in line
        assert 0o600 == (tmp_path / "redis.conf").stat().st_mode & 0o777


async def test_says_why_it_does_not_start(tmp_path: Path) -> None:
    """A wrong option is an error that holds the server's own words."""
    with pytest.raises(RedisFailed):
        async with running_redis(tmp_path, maxmemory_policy="nonsense"):
            raise AssertionError("It started.")
