"""A scripted server side of one shard stream, for what no real server can be made to do: wrong counts, silence, gaps.

async with scripted_server("secret") as server:
    peer = await server.connected()      # header read, handshake checked
    peer.session(gen="g", following=1)
    peer.send("<message from='a@b' to='c@d'/>")
    element = await peer.read("a")
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast
from xml.etree.ElementTree import Element, XMLPullParser

COMPONENT = "jabber:component:accept"
STREAM = "http://etherx.jabber.org/streams"
SHARDS = "urn:component-shards:1"
SM = "urn:xmpp:sm:3"
DEADLINE = 10.0  # seconds; every wait has one
STREAM_ID = "scripted"


class Peer:
    """One connection; `header` holds the attributes of the opening tag, `local` names without namespace."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, secret: str) -> None:
        self._reader, self._writer = reader, writer
        self._secret = secret
        self._parser: XMLPullParser[Any] = XMLPullParser(("start", "end"))
        self._depth = 0
        self._elements: asyncio.Queue[Element | None] = asyncio.Queue()
        self.header: dict[str, str] = {}
        self._greeted = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.counted = 0  # stanzas that came in

    async def greet(self) -> None:
        """Read the header and the handshake; a wrong token is answered as the real server does."""
        self.task = asyncio.get_running_loop().create_task(self._read())
        await self._greeted.wait()
        self.send(
            f"<stream:stream xmlns='{COMPONENT}' xmlns:stream='{STREAM}' id='{STREAM_ID}' from='{self.header['to']}'>"
        )
        token = hashlib.sha1(f"{STREAM_ID}{self._secret}".encode()).hexdigest()  # noqa: S324 - XEP-0114 says SHA-1
        if (await self.read("handshake")).text == token:
            self.send("<handshake/>")
        else:
            self.fail("not-authorized", "Given token does not match calculated token")

    async def _read(self) -> None:
        while data := await self._reader.read(65536):
            self._parser.feed(data)
            for event, element in cast("list[tuple[str, Element]]", list(self._parser.read_events())):
                if event == "start":
                    if not self._depth:
                        self.header = {key.rpartition("}")[2]: value for key, value in element.items()}
                        self._greeted.set()
                    self._depth += 1
                else:
                    self._depth -= 1
                    if self._depth == 1:
                        self.counted += element.tag.rpartition("}")[2] in {"message", "presence", "iq"}
                        self._elements.put_nowait(element)
        self._elements.put_nowait(None)

    def send(self, xml: str) -> None:
        """Write raw text."""
        self._writer.write(xml.encode())

    def session(self, *, gen: str = "g", following: int = 1, counted: int = 0, seq: int = 0) -> None:
        """Let the shard in."""
        self.send(f"<session xmlns='{SHARDS}' gen='{gen}' next='{following}' h='{counted}' seq='{seq}'/>")

    def cover(self) -> None:
        """Tell the shard that everything that came in so far is here."""
        self.send(f"<a xmlns='{SM}' h='{self.counted}'/>")

    def fail(self, condition: str, text: str = "") -> None:
        """End the stream with a stream error."""
        ns = "urn:ietf:params:xml:ns:xmpp-streams"
        self.send(
            f"<stream:error><{condition} xmlns='{ns}'/><text xmlns='{ns}'>{text}</text></stream:error></stream:stream>"
        )
        self._writer.close()

    def cut(self) -> None:
        """Break the connection without a word."""
        self._writer.transport.abort()

    async def read_any(self) -> Element:
        """Give the next element."""
        async with asyncio.timeout(DEADLINE):
            element = await self._elements.get()
        assert element is not None, "the shard closed"
        return element

    async def read(self, local: str) -> Element:
        """Give the next element of that local name; whatever comes before it is skipped."""
        async with asyncio.timeout(DEADLINE):
            while (element := await self._elements.get()) is not None:
                if element.tag.rpartition("}")[2] == local:
                    return element
        raise AssertionError(f"the shard closed before <{local}/>")

    async def ended(self) -> None:
        """Wait until the shard has closed its side."""
        async with asyncio.timeout(DEADLINE):
            while await self._elements.get() is not None:
                pass


class ScriptedServer:
    """Listens on a free port of 127.0.0.1."""

    def __init__(self, secret: str) -> None:
        self.port = 0
        self.peers: list[Peer] = []
        self._secret = secret
        self._fresh: asyncio.Queue[Peer] = asyncio.Queue()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one connection."""
        peer = Peer(reader, writer, self._secret)
        self.peers.append(peer)
        await peer.greet()
        self._fresh.put_nowait(peer)

    async def connected(self) -> Peer:
        """Wait for the next connection whose handshake is done."""
        async with asyncio.timeout(DEADLINE):
            return await self._fresh.get()


@asynccontextmanager
async def scripted_server(secret: str) -> AsyncIterator[ScriptedServer]:
    """Run one until the block ends."""
    script = ScriptedServer(secret)
    server = await asyncio.start_server(script.accept, "127.0.0.1", 0)
    script.port = server.sockets[0].getsockname()[1]
    try:
        yield script
    finally:
        server.close()
        for peer in script.peers:
            peer.cut()
            if peer.task:
                peer.task.cancel()
        await server.wait_closed()
