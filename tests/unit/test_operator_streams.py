"""kopf's watches, listened to: what comes is heard, bookmarks too, and silence is noticed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import kopf
import pytest
from aiohttp import web

from ponton_operator.operators.guard import DEAD, Guard, kopf_settings
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


async def test_a_watch_is_heard_with_every_line(clock: list[float]) -> None:
    """Its age is the time since the last line; other calls count for nothing."""
    streams, sent = Streams(lambda: clock[0]), asyncio.Queue[bytes]()
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
    streams = Streams(lambda: clock[0])
    streams.heard("/accounts")
    streams.heard("/pods")
    clock[0] = DEAD + 1.0
    streams.heard("/pods")
    assert DEAD + 1.0 == streams.age()


async def test_a_silent_watch_is_why_we_are_restarted(clock: list[float]) -> None:
    """The page for the kubelet says so in words."""
    guard = Guard(None, None, None, lambda: clock[0])  # type: ignore[arg-type]  # nothing runs here
    assert "" == guard.alive()
    guard.streams.heard("/accounts")
    clock[0] = DEAD - 1.0
    assert "" == guard.alive()
    clock[0] = DEAD
    assert "a watch has said nothing for 140 s" == guard.alive()
    assert "" == guard.ready()


def test_kopf_copies_no_objects() -> None:
    """It would compare each with what it was, for handlers that we have not got."""
    storage = kopf_settings().persistence.diffbase_storage
    seen = {"metadata": {"name": "acc-1"}, "spec": {"owner": "a@x.test"}}
    assert {} == storage.build(body=kopf.Body(seen))  # type: ignore[arg-type]  # a part of an object
    assert storage.fetch(body=kopf.Body(seen)) is None  # type: ignore[arg-type]  # the same
