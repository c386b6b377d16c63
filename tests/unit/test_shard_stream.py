"""The shard's side of component-shards/1 against a scripted server: what no real server can be made to do at will."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import pytest

from ponton_bridge.model.xml import CLIENT, FORWARD, PRIVILEGE, el
from ponton_bridge.xmpp.connection import StreamError
from ponton_bridge.xmpp.stream import (
    MAX_STANZA,
    Arrived,
    Closed,
    Expired,
    NotOpen,
    Opened,
    RequestRefused,
    RequestTimedOut,
    ShardStream,
    StreamSettings,
)
from tests.harness.dialogue import plain, stanza
from tests.harness.shard_server import ScriptedServer, scripted_server

OWNER = "alice@example.test"
DOMAIN = "whatsapp.example.test"
MESSAGE = f"<message from='{OWNER}' to='+49@{DOMAIN}' id='%s'><body>hi</body></message>"
T = TypeVar("T")
Run = tuple[ShardStream, list[int], "asyncio.Task[StreamError | None]"]


@asynccontextmanager
async def running(
    server: ScriptedServer,
    *,
    cursor: tuple[str, int] = ("", 0),
    secret: str = "s",  # noqa: S107 - planted
    patience: tuple[float, float] = (60, 30),
) -> AsyncIterator[Run]:
    """Run a stream against the server; the waits between its attempts are nearly nothing."""
    covered: list[int] = []
    settings = StreamSettings(DOMAIN, OWNER, 7, "i-1", secret, "127.0.0.1", server.port)
    stream = ShardStream(settings, cursor, covered=covered.append, random=lambda: 0.01, patience=patience)
    task = asyncio.create_task(stream.run())
    try:
        yield stream, covered, task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def event(stream: ShardStream, kind: type[T]) -> T:
    """Give the next event of a kind; others are skipped."""
    async with asyncio.timeout(10):
        while True:
            found = await stream.inbox.get()
            if isinstance(found, kind):
                return found


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    """A scripted server that knows the secret."""
    async with scripted_server("s") as running_server:
        yield running_server


async def test_introduces_itself(server: ScriptedServer) -> None:
    """Says whose shard it is, in which epoch, as which instance, and how far its journal is."""
    async with running(server, cursor=("g", 41)):
        peer = await server.connected()
        expected = {"to": DOMAIN, "from": OWNER, "epoch": "7", "instance": "i-1", "acks": "1", "cursor": "g:41"}
        assert expected == peer.header


async def test_acknowledges_what_is_safe_and_no_more(server: ScriptedServer) -> None:
    """Acks the highest number below which everything is done, whatever the order in which it is done."""
    async with running(server) as (stream, _, _):
        peer = await server.connected()
        peer.session(following=5)
        for name in ("a", "b", "c"):
            peer.send(MESSAGE % name)
        arrived = [await event(stream, Arrived) for _ in range(3)]
        assert ["a", "b", "c"] == [a.stanza.get("id") for a in arrived]
        assert [5, 6, 7] == [a.ticket.number for a in arrived]
        stream.done(arrived[1].ticket)
        peer.send("<r xmlns='urn:xmpp:sm:3'/>")
        assert "4" == (await peer.read("a")).get("h")
        stream.done(arrived[0].ticket)
        assert "6" == (await peer.read("a")).get("h")
        stream.done(arrived[2].ticket)
        assert "7" == (await peer.read("a")).get("h")


async def test_hands_up_stanzas_of_clients(server: ScriptedServer) -> None:
    """Turns the component's namespace into the client's, and leaves what is wrapped as it is."""
    async with running(server) as (stream, _, _):
        peer = await server.connected()
        peer.session()
        peer.send(MESSAGE % "a")
        arrived = await event(stream, Arrived)
        assert plain(stanza(MESSAGE % "a")) == plain(arrived.stanza)


async def test_hands_up_nothing_twice_to_one_process(server: ScriptedServer) -> None:
    """Takes a stanza that comes again after a break as known, and acknowledges it once it is done."""
    async with running(server) as (stream, _, _):
        peer = await server.connected()
        peer.session()
        peer.send(MESSAGE % "a" + MESSAGE % "b")
        first, second = await event(stream, Arrived), await event(stream, Arrived)
        peer.cut()
        assert "connection-lost" == (await event(stream, Closed)).condition
        again = await server.connected()
        assert "cursor" in again.header
        again.session(following=1)
        again.send(MESSAGE % "a" + MESSAGE % "b" + MESSAGE % "c")
        third = await event(stream, Arrived)
        assert "c" == third.stanza.get("id")
        for one in (first, second, third):
            stream.done(one.ticket)
        assert "3" == (await again.read("a")).get("h")


async def test_counts_what_has_expired(server: ScriptedServer) -> None:
    """Gives a gap its number and says that something expired."""
    async with running(server) as (stream, _, _):
        peer = await server.connected()
        peer.session()
        peer.send("<gap xmlns='urn:component-shards:1'/>" + MESSAGE % "a")
        await event(stream, Expired)
        arrived = await event(stream, Arrived)
        assert 2 == arrived.ticket.number
        stream.done(arrived.ticket)
        assert "2" == (await peer.read("a")).get("h")


async def test_a_new_generation_starts_anew(server: ScriptedServer) -> None:
    """Takes low numbers of a server that has lost its store as new stanzas."""
    async with running(server, cursor=("old", 100)) as (stream, _, _):
        peer = await server.connected()
        peer.session(gen="new", following=1)
        peer.send(MESSAGE % "a")
        arrived = await event(stream, Arrived)
        assert ("new", 1) == (arrived.ticket.gen, arrived.ticket.number)


async def test_covers_rows_by_the_servers_count(server: ScriptedServer) -> None:
    """Numbers durable stanzas on the wire and reports the highest one that the server has counted."""
    async with running(server) as (stream, covered, _):
        peer = await server.connected()
        peer.session(seq=9)
        opened = await event(stream, Opened)
        assert 9 == opened.seq
        inner = el("message", CLIENT, el("body", CLIENT, "hi"), from_=OWNER)
        wrapped = el("privilege", PRIVILEGE, el("forwarded", FORWARD, inner))
        stream.write(el("message", CLIENT, wrapped, to="example.test", from_=DOMAIN), 10)
        stream.write(el("presence", CLIENT, to=OWNER, from_=DOMAIN))
        stream.write(el("message", CLIENT, el("body", CLIENT, "x"), to=OWNER, from_=DOMAIN), 12)
        stream.ask()
        stream.ask()
        first = await peer.read("message")
        assert ["{urn:xmpp:privilege:2}privilege", "{urn:component-shards:1}seq"] == [child.tag for child in first]
        assert "10" == first[1].get("n")
        assert "{jabber:client}message" == first[0][0][0].tag
        await peer.read("r")
        peer.send("<a xmlns='urn:xmpp:sm:3' h='2'/>")
        await peer.read("r")
        assert [10] == covered
        assert 1 == stream.uncovered
        peer.send("<a xmlns='urn:xmpp:sm:3' h='3'/>" + MESSAGE % "end")
        await event(stream, Arrived)
        assert [10, 12] == covered


async def test_a_reopened_stream_tells_what_had_arrived(server: ScriptedServer) -> None:
    """Covers by the count that the server gives at the next opening, and counts on from there."""
    async with running(server) as (stream, covered, _):
        peer = await server.connected()
        peer.session()
        await event(stream, Opened)
        for seq in (1, 2, 3):
            stream.write(el("message", CLIENT, to=OWNER, from_=DOMAIN), seq)
        await peer.read("message")
        peer.cut()
        again = await server.connected()
        again.session(counted=2)
        opened = await event(stream, Opened)
        assert 2 == opened.number
        assert [2] == covered
        stream.write(el("message", CLIENT, to=OWNER, from_=DOMAIN), 3)
        again.send("<a xmlns='urn:xmpp:sm:3' h='3'/>" + MESSAGE % "end")
        await event(stream, Arrived)
        assert [2, 3] == covered


async def test_a_count_of_what_was_never_written_ends_the_stream(server: ScriptedServer) -> None:
    """Opens anew when the server's count cannot be true, and forgets no row for it."""
    async with running(server) as (stream, covered, _):
        peer = await server.connected()
        peer.session()
        await event(stream, Opened)
        peer.send("<a xmlns='urn:xmpp:sm:3' h='5'/>")
        assert "protocol-breach" == (await event(stream, Closed)).condition
        (await server.connected()).session()
        await event(stream, Opened)
        assert [] == covered


@pytest.mark.parametrize("number", ["-1", "x", "²"])
async def test_a_number_that_is_none_ends_the_stream(server: ScriptedServer, number: str) -> None:
    """Opens anew when a number of the protocol is not one."""
    async with running(server) as (stream, _, _):
        peer = await server.connected()
        peer.send(f"<session xmlns='urn:component-shards:1' gen='g' next='{number}' h='0'/>")
        assert "protocol-breach" == (await event(stream, Closed)).condition


async def test_a_conflict_ends_it_for_good(server: ScriptedServer) -> None:
    """Never connects again after a conflict, and says so."""
    async with running(server) as (stream, _, task):
        peer = await server.connected()
        peer.session()
        await event(stream, Opened)
        peer.fail("conflict", "Replaced by a new connection")
        assert StreamError("conflict", "Replaced by a new connection") == await asyncio.wait_for(task, 10)
        assert 1 == len(server.peers)
        assert None is stream.session


async def test_any_other_error_is_tried_again(server: ScriptedServer) -> None:
    """Connects again after a reset, and tells how long it waits."""
    async with running(server) as (stream, _, _):
        peer = await server.connected()
        peer.session()
        peer.fail("reset", "reloaded")
        closed = await event(stream, Closed)
        assert ("reset", "reloaded", True) == (closed.condition, closed.text, closed.opened)
        assert 0 < closed.wait < 1
        (await server.connected()).session()
        await event(stream, Opened)


async def test_a_wrong_secret_is_told_and_tried_slower(server: ScriptedServer) -> None:
    """Waits longer after each refusal: the host has to act."""
    async with running(server, secret="wrong") as (stream, _, _):
        waits = []
        for _ in range(3):
            closed = await event(stream, Closed)
            assert ("not-authorized", False) == (closed.condition, closed.opened)
            waits.append(closed.wait)
        assert sorted(set(waits)) == waits


async def test_waits_for_a_server_that_is_not_there() -> None:
    """Keeps trying when nobody listens."""
    async with scripted_server("s") as gone:
        port = gone.port
    nowhere = ScriptedServer("s")
    nowhere.port = port
    async with running(nowhere) as (stream, _, task):
        assert "connection-failed" == (await event(stream, Closed)).condition
        assert "connection-failed" == (await event(stream, Closed)).condition
        assert not task.done()


async def test_a_silent_server_is_asked_and_then_left(server: ScriptedServer) -> None:
    """Asks a quiet server for a sign of life and opens a new stream when none comes."""
    async with running(server, patience=(0.05, 0.2)) as (stream, _, _):
        peer = await server.connected()
        peer.session()
        await event(stream, Opened)
        await peer.read("r")
        assert "server-silent" == (await event(stream, Closed)).condition


async def test_a_quiet_server_that_answers_is_kept(server: ScriptedServer) -> None:
    """Stays on a stream whose server answers the question."""
    async with running(server, patience=(0.05, 1)) as (stream, _, _):
        peer = await server.connected()
        peer.session()
        await event(stream, Opened)
        for _ in range(3):
            await peer.read("r")
            peer.send("<a xmlns='urn:xmpp:sm:3' h='0'/>")
        assert stream.session is not None
        assert stream.inbox.empty()


async def test_answers_to_iqs_find_their_question(server: ScriptedServer) -> None:
    """Gives the result, an error by its condition, and a timeout, to whoever asked; nobody else sees them."""
    async with running(server) as (stream, _, _):
        peer = await server.connected()
        peer.session()
        await event(stream, Opened)

        async def ask(seconds: float = 5) -> str:
            iq = el("iq", CLIENT, el("ping", "urn:xmpp:ping"), type_="get", to="example.test", from_=DOMAIN)
            answer = await stream.request(iq, seconds=seconds)
            return answer.get("type") or ""

        asked = asyncio.create_task(ask())
        name = (await peer.read("iq")).get("id")
        peer.send(f"<iq type='result' id='{name}' from='example.test' to='{DOMAIN}'/>")
        assert "result" == await asked
        assert "1" == (await peer.read("a")).get("h")

        asked = asyncio.create_task(ask())
        name = (await peer.read("iq")).get("id")
        condition = "<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
        peer.send(f"<iq type='error' id='{name}' from='example.test'><error type='cancel'>{condition}</error></iq>")
        with pytest.raises(RequestRefused) as refused:
            await asked
        assert "service-unavailable" == refused.value.refusal

        with pytest.raises(RequestTimedOut):
            await ask(seconds=0.02)
        assert stream.inbox.empty()


async def test_a_question_ends_with_its_stream(server: ScriptedServer) -> None:
    """Tells whoever waits for an answer that the server is away."""
    async with running(server) as (stream, _, _):
        peer = await server.connected()
        peer.session()
        await event(stream, Opened)
        asked = asyncio.create_task(stream.request(el("iq", CLIENT, type_="get", to="example.test", from_=DOMAIN)))
        await peer.read("iq")
        peer.cut()
        with pytest.raises(NotOpen):
            await asked


async def test_a_question_of_the_owner_is_no_answer(server: ScriptedServer) -> None:
    """Hands up an iq get even when its id is one of ours."""
    async with running(server) as (stream, _, _):
        peer = await server.connected()
        peer.session()
        await event(stream, Opened)
        asked = asyncio.create_task(stream.request(el("iq", CLIENT, type_="get", to="example.test", from_=DOMAIN)))
        name = (await peer.read("iq")).get("id")
        peer.send(f"<iq type='get' id='{name}' from='{OWNER}' to='+49@{DOMAIN}'/>")
        assert name == (await event(stream, Arrived)).stanza.get("id")
        asked.cancel()


async def test_nothing_is_written_without_a_stream(server: ScriptedServer) -> None:
    """Refuses to write and drops what may be lost while no stream is open."""
    async with running(server) as (stream, _, _):
        await server.connected()
        presence = el("presence", CLIENT, to=OWNER, from_=DOMAIN)
        with pytest.raises(NotOpen):
            stream.write(presence)
        assert not stream.offer(presence)


async def test_a_stanza_that_would_end_the_stream_is_not_written(server: ScriptedServer) -> None:
    """Refuses what the server would close the stream for."""
    async with running(server) as (stream, _, _):
        peer = await server.connected()
        peer.session()
        await event(stream, Opened)
        with pytest.raises(ValueError, match="longer"):
            stream.write(el("message", CLIENT, el("body", CLIENT, "x" * MAX_STANZA), to=OWNER))
        assert stream.session is not None


async def test_a_slow_server_holds_up_the_writer(server: ScriptedServer) -> None:
    """Makes durable stanzas wait and drops passing ones while the server does not read."""
    async with running(server) as (stream, _, _):
        peer = await server.connected()
        peer.session()
        opened = await event(stream, Opened)
        peer._reader._transport.pause_reading()  # type: ignore[attr-defined]  # the other side's flow control
        long = el("message", CLIENT, el("body", CLIENT, "x" * 100_000), to=OWNER, from_=DOMAIN)
        written = 0
        while stream.offer(long):
            written += 1
            assert written < 1000
        waiting = asyncio.create_task(stream.writable(opened))
        await asyncio.sleep(0)
        assert not waiting.done()
        peer._reader._transport.resume_reading()  # type: ignore[attr-defined]
        assert await asyncio.wait_for(waiting, 10)
        peer.cut()
        await event(stream, Closed)
        assert not await stream.writable(opened)


async def test_closes_in_peace(server: ScriptedServer) -> None:
    """Sends the last ack and the end of the stream, and does not come back."""
    async with running(server) as (stream, _, task):
        peer = await server.connected()
        peer.session()
        peer.send(MESSAGE % "a")
        stream.done((await event(stream, Arrived)).ticket)
        closing = asyncio.create_task(stream.close())
        assert "1" == (await peer.read("a")).get("h")
        await peer.ended()
        peer.cut()
        await closing
        assert None is await asyncio.wait_for(task, 10)
        assert 1 == len(server.peers)


async def test_a_fault_of_ours_is_not_swallowed(server: ScriptedServer) -> None:
    """Ends with the error when the shard itself fails while it takes an element."""
    settings = StreamSettings(DOMAIN, OWNER, 7, "i-1", "s", "127.0.0.1", server.port)

    def fail(_: int) -> None:
        raise LookupError("ours")

    stream = ShardStream(settings, ("", 0), covered=fail, random=lambda: 0.0)
    task = asyncio.create_task(stream.run())
    peer = await server.connected()
    peer.session()
    await event(stream, Opened)
    stream.write(el("message", CLIENT, to=OWNER, from_=DOMAIN), 1)
    peer.send("<a xmlns='urn:xmpp:sm:3' h='1'/>")
    with pytest.raises(LookupError, match="ours"):
        await asyncio.wait_for(task, 10)


def test_the_secret_is_not_in_the_settings_text() -> None:
    """Keeps the secret out of whatever prints the settings."""
    settings = StreamSettings(DOMAIN, OWNER, 7, "i-1", "very-secret", "127.0.0.1", 1)
    assert "very-secret" not in repr(settings)


def test_the_header_is_well_formed_whatever_it_carries() -> None:
    """Escapes what a value may hold."""
    header = StreamSettings("d", "a&b@c", 1, "<'\">", "s", "h", 1).header(None)
    assert "from='a&amp;b@c'" in header
    assert "sh:instance='&lt;" in header
    assert "cursor" not in header
