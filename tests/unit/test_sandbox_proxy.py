"""The door: CONNECT, TLS, hosts and handlers, and connection attempts that are refused."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from tests.sandbox.launch import Config
from tests.sandbox.server import Sandbox
from tests.sandbox.web import Request, Response
from tests.sandbox.world import Settings
from tests.unit.sandbox_port import door
from tests.unit.sandbox_wire import Keys, WireClient


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Sandbox]:
    """A running sandbox."""
    async with Sandbox(Settings(qr_refs=1), tmp_path) as made:
        yield made


def client(box: Sandbox) -> WireClient:
    """A client of the sandbox."""
    return WireClient(*door(box), Keys.make(Random(2)))


async def ask(asking: WireClient, request: bytes) -> tuple[str, bytes]:
    """One plain request inside the tunnel: status line and body."""
    asking.writer.write(request)
    head = (await asking.reader.readuntil(b"\r\n\r\n")).decode()
    length = next(line for line in head.split("\r\n") if line.startswith("Content-Length: "))
    return head.partition("\r\n")[0], await asking.reader.readexactly(int(length.split(": ")[1]))


def get(path: str, host: str) -> bytes:
    """A GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


async def test_tunnel_is_ended_here(box: Sandbox) -> None:
    """CONNECT to any of the names leads to us, under our certificate and with HTTP/1.1."""
    for host in ("web.whatsapp.com", "mmg.whatsapp.net"):
        asking = await client(box).open(host)
        assert b"HTTP/1.1 200 OK\r\n\r\n" == asking.greeting
        assert "http/1.1" == asking.writer.get_extra_info("ssl_object").selected_alpn_protocol()
        asking.close()


async def test_only_connect_is_served(box: Sandbox) -> None:
    """Whoever takes the port for a web server is told what it is."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door(box)[0])
    writer.write(get("/", "localhost"))
    assert (await reader.read()).startswith(b"HTTP/1.1 405 ")
    writer.close()


async def test_nonsense_is_refused(box: Sandbox) -> None:
    """Bytes that are no HTTP are a bad request; a connection that says nothing is nothing."""
    for data, answer in ((b"\x16\x03\x01 nonsense\r\n\r\n", b"HTTP/1.1 400 "), (b"", b"")):
        reader, writer = await asyncio.open_connection("127.0.0.1", door(box)[0])
        writer.write(data)
        writer.write_eof()
        assert (await reader.read()).startswith(answer)
        writer.close()


async def test_client_that_does_not_trust_us(box: Sandbox) -> None:
    """A client without our authority goes away at the handshake, and the next one is served."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door(box)[0])
    writer.write(b"CONNECT web.whatsapp.com:443 HTTP/1.1\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    with pytest.raises(ssl.SSLCertVerificationError):
        await writer.start_tls(ssl.create_default_context(), server_hostname="web.whatsapp.com")
    writer.transport.abort()
    (await client(box).open()).close()


async def test_host_without_a_handler(box: Sandbox) -> None:
    """A host that nobody serves has nothing, and the connection stays open."""
    asking = await client(box).open("mmg.whatsapp.net")
    for _ in range(2):
        assert "HTTP/1.1 404 Not Found" == (await ask(asking, get("/x", "mmg.whatsapp.net")))[0]
    asking.close()


async def test_handler_of_a_host(box: Sandbox) -> None:
    """A registered handler gets requests with their bodies, one after the other on a connection."""
    seen: list[Request] = []

    async def media(request: Request) -> Response:
        seen.append(request)
        return Response(200, request.body[::-1], {"X-Kind": "media"})

    box.proxy.handlers["mmg.whatsapp.net"] = media
    asking = await client(box).open("mmg.whatsapp.net")
    head = b"POST /mms/image/1?auth=a HTTP/1.1\r\nHost: mmg.whatsapp.net\r\n"
    assert ("HTTP/1.1 200 OK", b"cba") == await ask(asking, head + b"Content-Length: 3\r\n\r\nabc")
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"
    assert ("HTTP/1.1 200 OK", b"dcba") == await ask(asking, chunked)
    assert [("POST", "/mms/image/1", b"abc"), ("POST", "/mms/image/1", b"abcd")] == [
        (request.method, request.path, request.body) for request in seen
    ]
    asking.close()


async def test_pictures_are_served(box: Sandbox) -> None:
    """The picture host is served from the accounts' pictures."""
    account = box.world.add_account("33601")
    number = box.queries.profiles.set_picture(account, b"\xff\xd8jpeg")
    asking = await client(box).open("pps.whatsapp.net")
    path = f"/v/{account.lid.user}/{number}?ccb=1"
    assert ("HTTP/1.1 200 OK", b"\xff\xd8jpeg") == await ask(asking, get(path, "pps.whatsapp.net"))
    asking.close()


async def test_chat_path_without_an_upgrade(box: Sandbox) -> None:
    """On the chat's path only a web socket is served."""
    asking = await client(box).open()
    assert "HTTP/1.1 426 Upgrade Required" == (await ask(asking, get("/ws/chat", "web.whatsapp.com")))[0]
    assert b"" == await asking.reader.read()


async def test_upgrade(box: Sandbox) -> None:
    """An upgrade is accepted with the value that belongs to the key."""
    asking = await client(box).open()
    assert "HTTP/1.1 101 Switching Protocols" == await asking.upgrade()
    assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in asking.answer
    asking.close()


@pytest.mark.parametrize("status", [503, 429, 463])
async def test_refused_upgrade(box: Sandbox, status: int) -> None:
    """A turned knob refuses so many attempts with its status, then lets them in."""
    box.faults.add("refuse", count=1, value=status)
    refused = await client(box).open()
    assert (await refused.upgrade()).startswith(f"HTTP/1.1 {status} ")
    refused.close()
    await test_upgrade(box)


async def test_cut_upgrade(box: Sandbox) -> None:
    """A turned knob can also cut the connection without a word."""
    box.faults.add("refuse", count=1, value=0)
    cut = await client(box).open()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await cut.upgrade()
    await test_upgrade(box)


async def test_media_host_is_not_refused_with_the_chat(box: Sandbox) -> None:
    """Refused chat connections leave the other hosts alone."""
    box.faults.add("refuse", value=503)
    await test_pictures_are_served(box)


async def test_launchers_file(box: Sandbox) -> None:
    """The file that launchers read names the proxy, the authority and the root key."""
    config = Config.read(box.config)
    assert f"http://127.0.0.1:{door(box)[0]}" == config.proxy
    assert box.folder / "ca.pem" == Path(config.ca)
    assert box.root.public == bytes.fromhex(config.root)
    assert "" == config.control


async def test_stopped_sandbox_is_gone(tmp_path: Path) -> None:
    """After stopping, connections are ended, the port is free, and another sandbox may have it."""
    box = Sandbox(Settings(qr_refs=1), tmp_path)
    port = await box.start()
    asking = await client(box).open()
    await box.stop()
    assert b"" == await asking.reader.read()
    asking.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    again = Sandbox(Settings(qr_refs=1), tmp_path)
    assert port == await again.start(port)
    await again.stop()


async def test_sandboxes_are_apart() -> None:
    """Two sandboxes at once share neither port nor root key, and their own folders go with them."""
    async with Sandbox() as one, Sandbox() as other:
        assert door(one)[0] != door(other)[0]
        assert one.root != other.root
        folders = one.folder, other.folder
    assert [False, False] == [folder.exists() for folder in folders]


async def test_cleared_faults(box: Sandbox) -> None:
    """One call turns all knobs back."""
    box.faults.add("refuse", value=503)
    box.clear_faults()
    await test_upgrade(box)
