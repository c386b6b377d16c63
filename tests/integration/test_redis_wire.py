"""One connection to Redis: deadlines, typed errors, and what it costs to have it."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ponton_bridge.coordination.client import wire as wires
from ponton_bridge.coordination.client.wire import RedisAway, RedisRefused, Wire, Wires
from ponton_bridge.model.errors import Actor
from tests.harness.redis import RedisServer, free_port, running_redis


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A Redis of our own."""
    async with running_redis(tmp_path) as running:
        yield running


@pytest.fixture
async def wire(server: RedisServer) -> AsyncIterator[Wire]:
    """A connection to it."""
    made = Wire(server.url)
    yield made
    await made.close()


async def why(wire: Wire | Wires, *command: str, seconds: float = 3.0) -> str:
    """Call, and give the reason for which Redis counts as away."""
    with pytest.raises(RedisAway) as caught:
        await wire.call(*command, seconds=seconds)
    assert Actor.HOST is caught.value.actor
    assert caught.value.sentence.endswith(".")
    return caught.value.why


async def test_calls(wire: Wire) -> None:
    """Answers come as text, numbers, lists and None; nothing is open before the first call."""
    assert [False] == [wire.connected]
    assert await wire.call("SET", "key", "größe") == "OK"
    assert [True] == [wire.connected]
    assert ["größe", None, 1, ["key"]] == await wire.calls([
        ["GET", "key"],
        ["GET", "none"],
        ["EXISTS", "key"],
        ["KEYS", "*"],
    ])  # fmt: skip


async def test_a_refused_command(wire: Wire) -> None:
    """Redis's errors are typed by their code; in a row of commands each stands in its own place."""
    await wire.call("SET", "key", "text")
    with pytest.raises(RedisRefused) as caught:
        await wire.call("HGETALL", "key")
    assert caught.value.code == "WRONGTYPE"
    replies = await wire.calls([["HGETALL", "key"], ["GET", "key"], ["NONSENSE"]])
    assert replies[1] == "text"
    assert ["WRONGTYPE", "ERR"] == [reply.code for reply in (replies[0], replies[2])]
    assert wire.connected


async def test_odd_bytes_stop_nobody(wire: Wire) -> None:
    """A value that is no UTF-8 is read as well as it can be."""
    await wire.call("EVAL", "redis.call('SET', 'key', string.char(255, 65))", 0)
    assert await wire.call("GET", "key") == "\ufffdA"


async def test_nobody_there() -> None:
    """A refused connection is told at once."""
    assert "unreachable" == await why(Wire(f"redis://127.0.0.1:{free_port()}/0"), "PING")


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:6379", "nonsense", "redis://host:port/0"])
def test_what_is_no_url(url: str) -> None:
    """A URL that is none is told when it is given, not when it is used."""
    with pytest.raises(ValueError, match=r"(?i)redis url|port"):
        Wire(url)


async def test_a_frozen_server(server: RedisServer, wire: Wire) -> None:
    """Every call has its deadline; afterwards the same wire works again, without answers of before."""
    await wire.call("SET", "key", "old")
    server.pause()
    assert "timeout" == await why(wire, "GET", "key", seconds=0.1)
    server.resume()
    assert await wire.call("GET", "none") is None
    assert await wire.call("GET", "key") == "old"


async def test_a_server_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that takes connections and says nothing is away as well."""
    monkeypatch.setattr(wires, "CALL", 0.1)
    ended = asyncio.Event()

    async def listen(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    silent = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    assert "timeout" == await why(Wire(f"redis://:secret@127.0.0.1:{port}/0"), "PING", seconds=0.1)
    ended.set()
    silent.close()


async def test_something_else_on_the_port() -> None:
    """A server that speaks another language is away, not a crash."""

    async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    other = await asyncio.start_server(speak, "127.0.0.1", 0)
    port = other.sockets[0].getsockname()[1]
    assert "unreachable" == await why(Wire(f"redis://127.0.0.1:{port}/0"), "PING")
    other.close()


async def test_a_restart_is_survived(server: RedisServer, wire: Wire) -> None:
    """A connection that died is away once, and made again by the next call."""
    await wire.call("PING")
    await server.restart()
    assert "unreachable" == await why(wire, "PING")
    assert await wire.call("PING") == "PONG"


async def test_a_cancelled_call_leaves_no_answer_behind(server: RedisServer, wire: Wire) -> None:
    """A call that is given up takes its connection with it: nobody else reads its answer."""
    waiting = asyncio.create_task(wire.call("BLPOP", "list", 0, seconds=60))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not wire.connected
    assert await wire.call("ECHO", "mine") == "mine"


async def test_calls_take_turns(wire: Wire) -> None:
    """Many callers of one wire each get their own answer."""
    texts = [str(number) for number in range(200)]
    assert texts == await asyncio.gather(*(wire.call("ECHO", text) for text in texts))


async def test_credentials_and_rights(tmp_path: Path) -> None:
    """A wrong password, none, and a right that is missing are told apart."""
    async with running_redis(tmp_path, requirepass="secret") as server:
        owner = Wire(server.url)
        await owner.call("ACL", "SETUSER", "poor", "on", ">p", "+ping")
        await owner.close()
        assert "credentials" == await why(Wire(server.url_for("default", "wrong")), "PING")
        assert "credentials" == await why(Wire(f"redis://127.0.0.1:{server.port}/0"), "PING")
        poor = Wire(server.url_for("poor", "p"))
        assert await poor.call("PING") == "PONG"
        assert "rights" == await why(poor, "GET", "key")


async def test_a_full_server(server: RedisServer, wire: Wire) -> None:
    """A Redis that takes no writes now counts as closed, whatever the reason."""
    await wire.call("CONFIG", "SET", "maxmemory", "1")
    assert "closed" == await why(wire, "SET", "key", "value")
    await wire.call("CONFIG", "SET", "maxmemory", "0")
    await wire.call("REPLICAOF", "127.0.0.1", str(free_port()))
    assert "closed" == await why(wire, "SET", "key", "value")


async def test_many_callers_share_few_connections(server: RedisServer) -> None:
    """Doors wait side by side, up to the bound; afterwards only a few connections stay open."""
    shared = Wires(server.url, 20)
    waits = [asyncio.create_task(shared.call("BLPOP", f"list{n}", 5, seconds=10)) for n in range(19)]
    await asyncio.sleep(0.1)
    for n in range(19):
        await shared.call("RPUSH", f"list{n}", f"value{n}")
    assert [[f"list{n}", f"value{n}"] for n in range(19)] == await asyncio.gather(*waits)
    assert len((await shared.call("CLIENT", "LIST")).splitlines()) <= wires.KEPT + 1
    await shared.close()


async def test_a_kept_connection_that_died_is_no_reason_to_fail(server: RedisServer) -> None:
    """After a restart of Redis the first callers of a door notice nothing."""
    shared = Wires(server.url, 20)
    await asyncio.gather(*(shared.call("BLPOP", "none", 0.05) for _ in range(5)))
    await server.restart()
    assert ["PONG"] * 5 == await asyncio.gather(*(shared.call("PING") for _ in range(5)))
    await shared.close()


async def test_closed_is_closed(server: RedisServer, wire: Wire) -> None:
    """A call that ends after the close leaves no connection behind."""
    shared = Wires(server.url, 2)
    late = asyncio.create_task(shared.call("BLPOP", "none", 0.2))
    await asyncio.sleep(0.05)
    await shared.close()
    assert await late is None
    assert len((await wire.call("CLIENT", "LIST")).splitlines()) == 1


async def test_a_door_without_redis(server: RedisServer) -> None:
    """Without Redis each call says so once."""
    shared = Wires(server.url, 2)
    await shared.call("PING")
    await server.kill()
    assert "unreachable" == await why(shared, "PING")
    assert "unreachable" == await why(shared, "PING")


MEASURE = """
import sys
import asyncio, json, slixmpp, sqlite3
def private():
    with open("/proc/self/smaps_rollup") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Private_"))
before = private()
if sys.argv[1] == "slim":
    from ponton_bridge.coordination.client import shard
    assert not [name for name in sys.modules if name.startswith("redis")]
else:
    import redis.asyncio
if len(sys.argv) > 2:
    import redis.asyncio
    assert redis.Redis and redis.asyncio.Redis and redis.exceptions.RedisError
print(private() - before)
"""


def measure(*words: str) -> int:
    """Import in a fresh process; gives the private memory it cost, in KiB."""
    done = subprocess.run([sys.executable, "-c", MEASURE, *words], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_a_shard_loads_a_part_of_the_library() -> None:
    """What a shard's client loads is well below the whole library (5.6 of 10 MiB when it was written)."""
    slim = min(measure("slim") for _ in range(3))
    whole = min(measure("whole") for _ in range(3))
    assert slim < 0.7 * whole


def test_the_whole_library_can_be_had_later() -> None:
    """Somebody who imports redis in the same process gets all of it."""
    assert measure("slim", "then all") > 0


async def test_the_library_stays_out_while_it_is_used(server: RedisServer) -> None:
    """Calls, errors and time-outs load nothing more of it."""
    script = (
        "import asyncio, sys\n"
        "from ponton_bridge.coordination.client.wire import Wire, RedisRefused, RedisAway\n"
        "async def main():\n"
        f"    wire = Wire({server.url!r})\n"
        "    assert await wire.call('PING') == 'PONG'\n"
        "    for command, error in ((('NONSENSE',), RedisRefused), (('BLPOP', 'x', 0), RedisAway)):\n"
        "        try:\n"
        "            await wire.call(*command, seconds=0.1)\n"
        "        except error:\n"
        "            continue\n"
        "        raise AssertionError\n"
        "    await wire.close()\n"
        "    assert not [name for name in sys.modules if name.startswith('redis')]\n"
        "asyncio.run(main())\n"
    )
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stderr=asyncio.subprocess.PIPE)
    _, error = await child.communicate()
    assert (0, b"") == (child.returncode, error)
