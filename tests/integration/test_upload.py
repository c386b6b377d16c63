"""Uploads to a real Prosody, and to servers that do not behave."""

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.request import urlopen
from xml.etree.ElementTree import Element

import pytest

from ponton_bridge.xmpp import upload as module
from ponton_bridge.xmpp.qr import picture
from ponton_bridge.xmpp.stream import Opened, RequestRefused, ShardStream, StreamSettings
from ponton_bridge.xmpp.upload import UploadFailed, upload
from tests.harness.authority import Authority
from tests.harness.dialogue import stanza
from tests.harness.prosody import Prosody, running_prosody

OWNER = "alice@example.test"


@asynccontextmanager
async def open_stream(prosody: Prosody) -> AsyncIterator[ShardStream]:
    """Open the stream of alice's shard."""
    secret = prosody.shard_secret(OWNER, 1)
    settings = StreamSettings(prosody.component, OWNER, 1, "i", secret, "127.0.0.1", prosody.ports.shards)
    stream = ShardStream(settings, ("", 0), covered=lambda _: None, random=lambda: 0.1)
    task = asyncio.create_task(stream.run())
    try:
        async with asyncio.timeout(10):
            while not isinstance(await stream.inbox.get(), Opened):
                pass
        yield stream
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def fetch(url: str, ca: Path) -> bytes:
    """Fetch a file as the owner's client would."""
    context = ssl.create_default_context(cafile=str(ca))
    with urlopen(url, context=context, timeout=10) as answer:  # noqa: S310 - a URL of our own server
        return bytes(answer.read())


async def put(stream: ShardStream, prosody: Prosody, data: bytes, ca: Path | None = None) -> str:
    """Upload as the shard does."""
    return await upload(
        stream.request,
        prosody.upload,
        prosody.component,
        data,
        name="code.png",
        content_type="image/png",
        ca=ca or prosody.ca_file,
    )


async def test_a_picture_can_be_fetched_where_it_was_put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts a picture on the host's server and gives its address, although the environment points into the void."""
    data, _ = picture("2@planted")
    async with running_prosody(tmp_path, users={"alice": "pw"}) as prosody, open_stream(prosody) as stream:
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.setenv(name, "/nonexistent")
        url = await put(stream, prosody, data)
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.delenv(name)
        assert url.endswith("/code.png")
        assert data == await asyncio.to_thread(fetch, url, prosody.ca_file)


async def test_an_untrusted_service_gets_nothing(tmp_path: Path) -> None:
    """Refuses a service whose certificate another CA has signed."""
    async with running_prosody(tmp_path / "p", users={"alice": "pw"}) as prosody, open_stream(prosody) as stream:
        other = Authority(tmp_path / "other").ca_file
        with pytest.raises(UploadFailed, match="not trusted"):
            await put(stream, prosody, b"data", other)


async def test_a_refused_slot_is_told_as_such(tmp_path: Path) -> None:
    """Passes on that the service does not serve this gateway."""
    options = {"component_shards_upload_hosts": ["elsewhere.example.test"]}
    async with (
        running_prosody(tmp_path, users={"alice": "pw"}, component_options=options) as prosody,
        open_stream(prosody) as stream,
    ):
        with pytest.raises(RequestRefused):
            await put(stream, prosody, b"data")


class _Handler(BaseHTTPRequestHandler):
    """Answers a PUT with the status that its path names; `/slow` never answers."""

    def do_PUT(self) -> None:
        """Answer."""
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/slow":
            self.server.released.wait(30)  # type: ignore[attr-defined]
            return
        self.send_response(int(self.path[1:4]))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@asynccontextmanager
async def odd_server(folder: Path) -> AsyncIterator[tuple[Callable[[Element], "asyncio.Future[Element]"], Path]]:
    """An https server that does not behave; gives a request function that answers slots on it by file name."""
    authority = Authority(folder)
    certificate = authority.issue("odd", ["localhost"])
    server = HTTPServer(("127.0.0.1", 0), _Handler)
    server.released = threading.Event()  # type: ignore[attr-defined]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def request(iq: Element) -> "asyncio.Future[Element]":
        base = f"https://localhost:{server.server_port}/{iq[0].get('filename')}"
        slot = f"<slot xmlns='urn:xmpp:http:upload:0'><put url='{base}'/><get url='{base}'/></slot>"
        future: asyncio.Future[Element] = asyncio.get_running_loop().create_future()
        future.set_result(stanza(f"<iq type='result'>{slot}</iq>"))
        return future

    try:
        yield request, authority.ca_file
    finally:
        server.released.set()  # type: ignore[attr-defined]
        server.shutdown()
        server.server_close()
        thread.join(10)


async def test_what_a_service_answers_counts(tmp_path: Path) -> None:
    """Takes 201 for success and anything else for a refusal; a redirect is not followed."""
    async with odd_server(tmp_path) as (request, ca):
        for status in ("200", "201", "204"):
            url = await upload(request, "u", "s", b"x", name=status, content_type="image/png", ca=ca)
            assert url.endswith(status)
        for status in ("302", "403", "413", "500"):
            with pytest.raises(UploadFailed, match="refused the picture"):
                await upload(request, "u", "s", b"x", name=status, content_type="image/png", ca=ca)


async def test_a_service_that_hangs_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives up on a service that takes the picture and never answers, and leaves no thread behind."""
    monkeypatch.setattr(module, "STALL", 0.2)
    async with odd_server(tmp_path) as (request, ca):
        with pytest.raises(UploadFailed, match="cannot be reached"):
            await upload(request, "u", "s", b"x", name="slow", content_type="image/png", ca=ca)
        monkeypatch.setattr(module, "STALL", 5.0)
        monkeypatch.setattr(module, "SECONDS", 0.1)
        with pytest.raises(UploadFailed, match="in time"):
            await upload(
                lambda _: asyncio.get_running_loop().create_future(), "u", "s", b"x", name="x", content_type="y", ca=ca
            )


async def test_a_service_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Says that the service cannot be reached."""
    async with odd_server(tmp_path) as (request, ca):
        pass
    with pytest.raises(UploadFailed, match="cannot be reached"):
        await upload(request, "u", "s", b"x", name="201", content_type="image/png", ca=ca)
