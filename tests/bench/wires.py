"""Raw XMPP connections for `component_shards`: they count messages instead of parsing them, so that the bench is light.

A user's client, the stock component's stream, and a shard's stream with acks; all plain TCP on loopback.
"""

import asyncio
import base64
import hashlib
import re

from tests.harness.prosody import Prosody

ACK_EVERY = 64  # stanzas; a quarter of the default window
STOCK = "stock.example.test"
STREAM = "xmlns:stream='http://etherx.jabber.org/streams'"


class Wire:
    """A raw XMPP connection that counts messages instead of parsing them."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._rest = b""

    @classmethod
    async def open(cls, port: int) -> "Wire":
        """Connect to a port of 127.0.0.1."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 20))

    async def talk(self, text: str, until: str) -> bytes:
        """Send `text` and read until `until` was seen."""
        self.writer.write(text.encode())
        seen = b""
        while until.encode() not in seen:
            data = await self.reader.read(65536)
            if not data:
                raise ConnectionError(seen.decode())
            seen += data
        return seen

    async def count(self, wanted: int, acknowledge: int | None = None) -> None:
        """Read until `wanted` messages came; acknowledge from number `acknowledge` on when it is given."""
        got = told = 0
        while got < wanted:
            data = await self.reader.read(1 << 18)
            if not data:
                raise ConnectionError("the stream ended")
            text = self._rest + data
            got += text.count(b"</message>")
            cut = text.rfind(b"</message>")
            self._rest = text[cut + 10 :] if cut >= 0 else text
            if acknowledge is not None and (got - told >= ACK_EVERY or got >= wanted):
                told = got
                self.writer.write(f"<a xmlns='urn:xmpp:sm:3' h='{acknowledge + got - 1}'/>".encode())
        self._rest = b""


async def user(server: Prosody) -> Wire:
    """A client of alice without TLS, compression or stream management."""
    wire = await Wire.open(server.ports.c2s)
    head = f"<stream:stream xmlns='jabber:client' {STREAM} to='{server.domain}' version='1.0'>"
    await wire.talk(head, "</stream:features>")
    proof = base64.b64encode(b"\0alice\0pw").decode()
    await wire.talk(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{proof}</auth>", "<success")
    await wire.talk(head, "</stream:features>")
    bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>bench</resource></bind>"
    await wire.talk(f"<iq type='set' id='b'>{bind}</iq>", "</iq>")
    return wire


async def stock_component(port: int) -> Wire:
    """The stock component's stream."""
    wire = await Wire.open(port)
    head = await wire.talk(f"<stream:stream xmlns='jabber:component:accept' {STREAM} to='{STOCK}'>", "id='")
    return await _prove(wire, head, "stock")


async def shard(server: Prosody) -> tuple[Wire, int]:
    """A shard's stream with acks, and the number of the next stanza that it gets."""
    wire = await Wire.open(server.ports.shards)
    head = await wire.talk(
        f"<stream:stream xmlns='jabber:component:accept' {STREAM} xmlns:sh='urn:component-shards:1'"
        f" to='{server.component}' from='alice@{server.domain}' sh:epoch='1' sh:acks='1' sh:instance='bench'>",
        "id='",
    )
    await _prove(wire, head, server.shard_secret(f"alice@{server.domain}", 1))
    seen = await wire.talk("<r xmlns='urn:xmpp:sm:3'/>", "<a ")
    match = re.search(rb"next='(\d+)'", seen)
    number = int(match[1]) if match else 1
    return wire, number + seen.count(b"<message")


async def _prove(wire: Wire, head: bytes, secret: str) -> Wire:
    match = re.search(rb" id='([^']+)'", head)
    stream_id = match[1].decode() if match else ""
    token = hashlib.sha1(f"{stream_id}{secret}".encode()).hexdigest()  # noqa: S324 - XEP-0114 wants SHA-1
    await wire.talk(f"<handshake>{token}</handshake>", "<handshake/>")
    return wire
