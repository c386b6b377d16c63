"""Fetching what another server says: which addresses are asked at all, and what of an answer is taken."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from ponton_bridge.model.errors import HostError
from ponton_operator.cluster import fetch
from ponton_operator.cluster.fetch import Fetcher, FetchFailed, Why
from tests.harness.authority import Authority
from tests.harness.redis import HOST, free_port


@asynccontextmanager
async def server(context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Run a server with an answer of each kind; gives its address."""

    async def answer(request: web.Request) -> web.StreamResponse:
        match request.path:
            case "/elsewhere":
                raise web.HTTPFound("http://127.0.0.1/secret")
            case "/large":
                return web.Response(body=b"x" * (fetch.LARGEST + 1))
            case "/slow":
                await asyncio.sleep(3600)
            case "/dribble":
                stream = web.StreamResponse()
                await stream.prepare(request)
                while True:
                    await stream.write(b"x")
                    await asyncio.sleep(0.05)
        told = [request.method, request.headers.get("Accept-Encoding", ""), request.headers.get("Cookie", "")]
        made = web.Response(text=" ".join([*told, await request.text()]), status=418 if request.path == "/odd" else 200)
        made.set_cookie("a", "b")
        return made

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, HOST, port, ssl_context=context).start()
    try:
        yield f"{'https' if context else 'http'}://{HOST}:{port}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def base() -> AsyncIterator[str]:
    """A server without TLS."""
    async with server() as made:
        yield made


OPEN = Fetcher(None, private=True, plain=True)


async def why(fetcher: Fetcher, url: str) -> Why:
    """Give why a URL is not fetched."""
    with pytest.raises(FetchFailed) as raised:
        await fetcher.fetch(url, {})
    return raised.value.why


async def test_gives_status_and_body(base: str) -> None:
    """GET, or POST with a body; whatever the status is; without cookies, and nothing is packed."""
    assert (200, b"GET identity  ") == _told(await OPEN.fetch(f"{base}/a", {}))
    assert (418, b"POST identity  a=b") == _told(await OPEN.fetch(f"{base}/odd", {}, "a=b"))


def _told(answer: fetch.Answer) -> tuple[int, bytes]:
    return answer.status, answer.body


async def test_a_redirect_is_an_answer_like_others(base: str) -> None:
    """It is not followed: where it leads was not looked at."""
    assert 302 == (await OPEN.fetch(f"{base}/elsewhere", {})).status


async def test_answers_are_bounded(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In size and in time, however they come."""
    monkeypatch.setattr(fetch, "SECONDS", 0.5)
    assert Why.LARGE is await why(OPEN, f"{base}/large")
    assert Why.SLOW is await why(OPEN, f"{base}/slow")
    assert Why.SLOW is await why(OPEN, f"{base}/dribble")


async def test_addresses_that_are_not_public_are_not_asked(base: str) -> None:
    """Neither by number nor by name, unless the host allows it."""
    careful = Fetcher(None, plain=True)
    assert Why.ADDRESS is await why(careful, base)
    assert Why.ADDRESS is await why(careful, base.replace(HOST, "localhost"))
    assert 200 == (await OPEN.fetch(base.replace(HOST, "localhost"), {})).status


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.1.2.3", "224.0.0.1",
        "[::1]", "[fe80::1]", "[fd00::1]", "[::ffff:10.0.0.1]", "[::ffff:127.0.0.1]", "[ff02::1]", "[::]",
    ],
)  # fmt: skip
def test_what_is_not_public(host: str) -> None:
    """Loopback, private, link-local (where clouds keep credentials), shared, multicast, and IPv4 in IPv6's clothes."""
    with pytest.raises(FetchFailed) as raised:
        Fetcher(None).check(f"https://{host}/")
    assert Why.ADDRESS is raised.value.why
    Fetcher(None, private=True).check(f"https://{host}/")


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "http://login.example.org/", "ftp://login.example.org/", "file:///etc/passwd", "javascript:alert(1)",
        "https://", "https://user:pw@login.example.org/", "https://login.example.org:x/", "https://[::1/",
        "https://login.example.org/ a", "https://login.example.org/\n", "https://login.example.org\\@evil.example/",
        "https://l\N{LATIN SMALL LETTER O WITH DIAERESIS}gin.example.org/", "http://10.0.0.1/", "http://127.0.0.2/",
    ],
)  # fmt: skip
def test_what_is_no_address_to_ask(url: str) -> None:
    """HTTPS with a host and nothing else; http at loopback only, where the host has written it."""
    for fetcher in (Fetcher(None, private=True), OPEN):
        with pytest.raises(FetchFailed) as raised:
            fetcher.check(url)
        assert Why.URL is raised.value.why


async def test_nobody_listens_there() -> None:
    """Neither at the port, nor at a name that does not exist."""
    assert Why.UNREACHABLE is await why(OPEN, f"http://{HOST}:{free_port()}/")
    assert Why.UNREACHABLE is await why(Fetcher(None, private=True), "https://nobody.invalid/")


async def test_only_authorities_that_are_named_are_trusted(tmp_path: Path) -> None:
    """The host's own authority; neither another one, nor a certificate for another name."""
    own, other = Authority(tmp_path / "own"), Authority(tmp_path / "other")
    made = {name: own.issue(name, [subject]) for name, subject in (("good", HOST), ("elsewhere", "elsewhere.example"))}
    for name, trusted, expected in (
        ("good", own, None),
        ("good", other, Why.UNTRUSTED),
        ("elsewhere", own, Why.UNTRUSTED),
    ):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(made[name].certificate, made[name].key)
        async with server(context) as base:
            fetcher = Fetcher(trusted.ca_file, private=True)
            if expected is None:
                assert 200 == (await fetcher.fetch(base, {})).status
            else:
                assert expected is await why(fetcher, base)


def test_authorities_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    """The host reads which they are for."""
    with pytest.raises(HostError, match="for the login server"):
        Fetcher(tmp_path / "none.pem")
