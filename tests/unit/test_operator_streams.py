"""kopf's watches, listened to: what comes is heard, bookmarks too, and silence is noticed."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import kopf
import pytest
from aiohttp import web

from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.metrics import Metrics
from ponton_operator.operators.guard import DEAD, Context, Guard, kopf_settings
from ponton_operator.operators.reach import Reach
from ponton_operator.operators.streams import Streams


@asynccontextmanager
async def server(sent: asyncio.Queue[bytes]) -> AsyncIterator[str]:
    """A server that streams what a test puts into the queue; b'' ends it."""

    async def stream(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while chunk := await sent.get():
            await answer.write(chunk)
        return answer

    app = web.Application()
    app.router.add_get("/{path:.*}", stream)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
def clock() -> list[float]:
    """The time, which a test moves."""
    return [0.0]


def reach(*namespaces: str) -> Reach:
    """Give the namespaces of an operator, none of which was taken in yet."""
    return Reach(namespaces, Log(out=io.StringIO()), Metrics("t", "0"))


class House:
    """An operator that sees everything."""

    async def take(self, namespace: str) -> None:
        """Take a namespace in."""

    async def left_out(self, namespace: str) -> None:
        """Drop it."""


async def test_a_watch_is_heard_with_every_line(clock: list[float]) -> None:
    """Its age is the time since the last line; other calls count for nothing."""
    streams, sent = Streams(lambda: clock[0], reach()), asyncio.Queue[bytes]()
    assert 0.0 == streams.age()
    async with server(sent) as url, aiohttp.ClientSession(response_class=streams.response()) as session:
        sent.put_nowait(b"x")
        sent.put_nowait(b"")
        async with session.get(f"{url}/pods?limit=5") as plain:
            assert b"x" == await plain.read()
        clock[0] = 100.0
        assert 0.0 == streams.age()
        async with session.get(f"{url}/pods?watch=true") as watch:
            chunks = watch.content.iter_chunked(100)
            clock[0] = 170.0
            assert 70.0 == streams.age()
            sent.put_nowait(b'{"type":"BOOKMARK"}\n')
            assert b'{"type":"BOOKMARK"}\n' == await anext(chunks)
            assert 0.0 == streams.age()
            sent.put_nowait(b"")


async def test_the_most_silent_watch_counts(clock: list[float]) -> None:
    """One stream that hangs is not hidden by another that talks."""
    streams = Streams(lambda: clock[0], reach())
    streams.heard("/accounts")
    streams.heard("/pods")
    clock[0] = DEAD + 1.0
    streams.heard("/pods")
    assert DEAD + 1.0 == streams.age()


async def test_a_silent_watch_is_why_we_are_restarted(clock: list[float]) -> None:
    """The page for the kubelet says so in words."""
    context = Context(None, None, None, None, reach())  # type: ignore[arg-type]  # nothing runs here
    guard = Guard(None, context, None, lambda: clock[0])  # type: ignore[arg-type]  # the same
    assert "" == guard.alive()
    guard.streams.heard("/accounts")
    clock[0] = DEAD - 1.0
    assert "" == guard.alive()
    clock[0] = DEAD
    assert "a watch has said nothing for 140 s" == guard.alive()
    assert "" == guard.ready()


WATCH = "/api/v1/namespaces/{}/pods?watch=true"


@asynccontextmanager
async def cluster(forbidden: set[str]) -> AsyncIterator[tuple[str, list[str]]]:
    """A server whose watches never say anything, but 403 in some namespaces; with what it was asked for."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        if request.path.split("/")[4] in forbidden:
            return web.Response(status=403)
        stream = web.StreamResponse()
        await stream.prepare(request)
        await stream.write(b"begun\n")
        await asyncio.sleep(60)
        return stream

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


async def test_a_refused_watch_waits_until_its_namespace_is_served(clock: list[float]) -> None:
    """Kopf hears of no refusal, and no deadline of its own is over meanwhile; another namespace's goes on."""
    forbidden, served = {"a"}, reach("a", "b")
    streams = Streams(lambda: clock[0], served)
    await served.begin(House())
    async with (
        cluster(forbidden) as (url, asked),
        aiohttp.ClientSession(response_class=streams.response(), timeout=aiohttp.ClientTimeout(0.5)) as plain,
    ):
        session = streams.gated(plain)
        assert not session.closed  # whatever else kopf looks at is the true session's
        waiting = asyncio.create_task(session.request(method="GET", url=url + WATCH.format("a")))
        other = await session.request(method="GET", url=url + WATCH.format("b"))
        async with asyncio.timeout(10):
            while served.serves("a"):  # noqa: ASYNC110  # the session tells nobody
                await asyncio.sleep(0.01)
        assert (200, False) == (other.status, waiting.done())
        await asyncio.sleep(0.6)  # longer than the session lets a request take
        assert not waiting.done()
        assert 1 == asked.count("/api/v1/namespaces/a/pods")
        forbidden.clear()
        await served.begin(House())
        answer = await asyncio.wait_for(waiting, 10)
        assert 200 == answer.status
        answer.close()
        other.close()


async def test_what_is_shut_breaks_its_watches_off_and_only_those(clock: list[float]) -> None:
    """Nothing comes of it any more, its silence is no reason to restart us, and the other's would be."""
    served = reach("a", "b")
    streams = Streams(lambda: clock[0], served)
    await served.begin(House())
    async with cluster(set()) as (url, _), aiohttp.ClientSession(response_class=streams.response()) as plain:
        session = streams.gated(plain)
        one, other = [await session.request(method="GET", url=url + WATCH.format(name)) for name in "ab"]
        chunks = one.content.iter_chunked(100)
        assert b"begun\n" == await anext(chunks)
        reading = asyncio.ensure_future(anext(chunks))
        await asyncio.sleep(0)
        served.refuse("a")
        with pytest.raises((aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)):
            await asyncio.wait_for(reading, 10)
        clock[0] = 50.0
        assert 50.0 == streams.age()  # the other one's
        streams.heard("/api/v1/namespaces/b/pods")
        assert 0.0 == streams.age()
        assert b"begun\n" == await anext(other.content.iter_chunked(100))
        other.close()


async def test_an_operator_of_all_namespaces_hears_of_every_refusal() -> None:
    """Nothing is held back from kopf: there is no namespace to wait for."""
    streams = Streams(lambda: 0.0, reach())
    async with cluster({"a"}) as (url, _), aiohttp.ClientSession(response_class=streams.response()) as plain:
        answer = await streams.gated(plain).request(method="GET", url=url + WATCH.format("a"))
        assert 403 == answer.status
        answer.close()


def test_kopf_copies_no_objects() -> None:
    """It would compare each with what it was, for handlers that we have not got."""
    storage = kopf_settings().persistence.diffbase_storage
    seen = {"metadata": {"name": "acc-1"}, "spec": {"owner": "a@x.test"}}
    assert {} == storage.build(body=kopf.Body(seen))  # type: ignore[arg-type]  # a part of an object
    assert storage.fetch(body=kopf.Body(seen)) is None  # type: ignore[arg-type]  # the same
