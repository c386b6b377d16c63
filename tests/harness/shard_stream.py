"""A minimal component-shards/1 client: asyncio and expat only, nothing of the product.

    stream = await ShardStream.open(prosody, owner="alice@example.test", epoch=7)
    stanza = await stream.stanza(lambda s: s.tag == "message")
    await stream.ack()

Every stanza is an ElementTree element whose tags carry no namespace for `jabber:component:accept` and
`{namespace}name` for everything else.
"""

import asyncio
import hashlib
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

from tests.harness.prosody import NAMESPACE, Prosody

STREAMS = "http://etherx.jabber.org/streams"
SM = "urn:xmpp:sm:3"
_OURS = "{jabber:component:accept}"
_COUNTED = ("message", "presence", "iq", f"{{{NAMESPACE}}}gap")
_DEADLINE = 10.0  # seconds; every wait has one


class StreamClosedError(Exception):
    """The server ended the stream; `condition` and `text` are the stream error's, or empty."""

    def __init__(self, condition: str, text: str) -> None:
        super().__init__(f"{condition or 'closed'}: {text}")
        self.condition = condition
        self.text = text


class ShardStream:
    """One stream. `received` holds (number, stanza) in order; number is None when acks are off.

    `session` is the `<session/>` element, `handled` the newest count that the server told for our stanzas.
    """

    def __init__(self) -> None:
        self.received: list[tuple[int | None, ET.Element]] = []
        self.session: ET.Element | None = None
        self.handled = 0
        self.asked = 0  # how often the server asked for an acknowledgement
        self.closed: StreamClosedError | None = None
        self.next = 0
        self._proved = False
        self._stream_id: str | None = None
        self._news = asyncio.Event()
        self._readable = asyncio.Event()
        self._readable.set()
        self._reader_task: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reader: asyncio.StreamReader | None = None

    @classmethod
    async def open(
        cls,
        server: Prosody,
        *,
        owner: str | None = None,
        epoch: int | None = None,
        instance: str = "",
        acks: bool = True,
        cursor: str | None = None,
        secret: str | None = None,
        domain: str | None = None,
        header: dict[str, str] | None = None,
        port: int | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> Self:
        """Connect, prove it, wait until the stream is open. Raises StreamClosedError when the server refuses.

        Without `owner` it is the front desk's stream. `header` adds or replaces attributes of the stream header.
        """
        stream = cls()
        await stream.connect(server, port=port, tls=tls)
        try:
            await stream.handshake(
                server,
                owner=owner,
                epoch=epoch,
                instance=instance,
                acks=acks,
                cursor=cursor,
                secret=secret,
                domain=domain,
                header=header,
            )
        except BaseException:
            await stream.abort()
            raise
        return stream

    async def connect(self, server: Prosody, *, port: int | None = None, tls: ssl.SSLContext | None = None) -> None:
        """Open the TCP (or TLS) connection and start reading."""
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1",
            port or server.ports.shards,
            ssl=tls,
            server_hostname=server.component if tls else None,
        )
        self._reader_task = asyncio.create_task(self._read())

    async def handshake(
        self,
        server: Prosody,
        *,
        owner: str | None,
        epoch: int | None,
        instance: str,
        acks: bool,
        cursor: str | None,
        secret: str | None,
        domain: str | None,
        header: dict[str, str] | None,
    ) -> None:
        """Send the stream header, then the proof; wait for the answer."""
        attributes = {
            "xmlns": "jabber:component:accept",
            "xmlns:stream": STREAMS,
            "xmlns:sh": NAMESPACE,
            "to": domain or server.component,
        }
        if owner is not None:
            attributes["from"] = owner
        if epoch is not None:
            attributes["sh:epoch"] = str(epoch)
        if instance:
            attributes["sh:instance"] = instance
        if acks:
            attributes["sh:acks"] = "1"
        if cursor is not None:
            attributes["sh:cursor"] = cursor
        attributes |= header or {}
        self.send("<stream:stream" + "".join(f" {k}={quoteattr(v)}" for k, v in attributes.items()) + ">")
        await self.until(lambda: self._stream_id is not None, what="the stream header")
        if secret is None:
            secret = self._secret(server, owner, epoch)
        token = hashlib.sha1(f"{self._stream_id}{secret}".encode()).hexdigest()  # noqa: S324 - XEP-0114 wants SHA-1
        self.send(f"<handshake>{token}</handshake>")
        await self.until(lambda: self._proved, what="the handshake's answer")
        if acks:
            await self.until(lambda: self.session is not None, what="<session/>")

    @staticmethod
    def _secret(server: Prosody, owner: str | None, epoch: int | None) -> str:
        if owner is not None:
            return server.shard_secret(owner, epoch or 0)
        return server.secrets.gateway if epoch is None else server.gateway_secret(epoch)

    # --- sending ---

    def send(self, xml: str) -> None:
        """Write raw XML."""
        if self._writer is None:
            raise RuntimeError("not connected")
        self._writer.write(xml.encode())

    def say(self, sender: str, to: str, body: str, *, id: str = "", seq: int | None = None, extra: str = "") -> None:  # noqa: A002 - the attribute's name
        """Send a chat message, with the journal's sequence number if given."""
        number = "" if seq is None else f"<seq xmlns='{NAMESPACE}' n='{seq}'/>"
        self.send(
            f"<message type='chat' from={quoteattr(sender)} to={quoteattr(to)} id={quoteattr(id)}>"
            f"<body>{escape(body)}</body>{extra}{number}</message>"
        )

    def ack(self, number: int | None = None) -> None:
        """Acknowledge up to `number`, by default everything that came."""
        self.send(f"<a xmlns='{SM}' h='{self.next - 1 if number is None else number}'/>")

    async def settled(self) -> int:
        """Ask for the server's count of our stanzas; when it is here, all before it were handled."""
        before = self._answers
        self.send(f"<r xmlns='{SM}'/>")
        await self.until(lambda: self._answers > before, what="the server's count")
        return self.handled

    _answers = 0

    async def close(self) -> None:
        """End the stream cleanly and wait until the server did, too."""
        if self._writer is not None and self.closed is None:
            self.send("</stream:stream>")
            with suppress(TimeoutError):
                await self.until(lambda: self.closed is not None, what="the end of the stream", raising=False)
        await self.abort()

    async def abort(self) -> None:
        """Drop the connection as a killed process does."""
        if self._reader_task is not None:
            self._reader_task.cancel()
            with suppress(asyncio.CancelledError):
                await self._reader_task
        if self._writer is not None:
            self._writer.transport.abort()
            with suppress(OSError):
                await self._writer.wait_closed()

    def hang(self) -> None:
        """Stop reading, as a process does that is stuck."""
        self._readable.clear()

    def wake(self) -> None:
        """Read on, after `hang`."""
        self._readable.set()

    # --- receiving ---

    @property
    def stanzas(self) -> list[ET.Element]:
        """Message, iq and presence stanzas and gaps that came, in order."""
        return [stanza for _, stanza in self.received]

    def bodies(self) -> list[str]:
        """The bodies of the messages that came, in order."""
        return [b for s in self.stanzas if s.tag == "message" and (b := s.findtext("body")) is not None]

    @property
    def cursor(self) -> str:
        """What a shard would store: generation and newest number, for the next `open`."""
        gen = "" if self.session is None else self.session.get("gen", "")
        return f"{gen}:{self.next - 1}"

    async def stanza(self, wanted: Callable[[ET.Element], object], *, timeout: float = _DEADLINE) -> ET.Element:  # noqa: ASYNC109 - a deadline in the words of the test
        """The first stanza for which `wanted` is true, come or still to come."""
        await self.until(lambda: any(wanted(s) for s in self.stanzas), timeout=timeout, what="the stanza")
        return next(s for s in self.stanzas if wanted(s))

    async def until(
        self,
        condition: Callable[[], object],
        *,
        timeout: float = _DEADLINE,  # noqa: ASYNC109 - a deadline in the words of the test
        what: str = "the condition",
        raising: bool = True,
    ) -> None:
        """Wait for a condition, looking again at each thing that comes. Raises StreamClosedError if it ends first."""
        try:
            async with asyncio.timeout(timeout):
                while not condition():
                    if self.closed is not None and raising:
                        raise self.closed
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            seen = "\n".join(ET.tostring(s, encoding="unicode") for s in self.stanzas[-10:])
            raise TimeoutError(f"{what} did not come in {timeout} s; saw:\n{seen}") from None

    async def ended(self) -> StreamClosedError:
        """Wait until the server closes the stream; says why."""
        await self.until(lambda: self.closed is not None, what="the end of the stream", raising=False)
        if self.closed is None:
            raise RuntimeError("unreachable: the wait ended without an end")
        return self.closed

    async def _read(self) -> None:
        parser: Any = ET.XMLPullParser(("start", "end"))  # its events are typed as a union of all there are
        depth = 0
        condition = text = ""
        root: ET.Element | None = None
        reader = self._reader
        try:
            while reader is not None and (data := await reader.read(65536)):
                await self._readable.wait()
                parser.feed(data)
                for event, element in parser.read_events():
                    if event == "start":
                        depth += 1
                        if depth == 1:
                            self._stream_id = element.get("id") or ""
                            root = element
                            self._news.set()
                        continue
                    depth -= 1
                    if depth == 1:
                        if element.tag == f"{{{STREAMS}}}error":
                            condition, text = _stream_error(element)
                        else:
                            self._took(element)
                        if root is not None:
                            root.clear()  # what came is kept in `received`, not in the tree
                    self._news.set()
        except (OSError, ET.ParseError) as error:
            text = text or str(error)
        finally:
            self.closed = StreamClosedError(condition, text)
            self._news.set()

    def _took(self, element: ET.Element) -> None:
        _strip(element)
        if element.tag == "handshake":
            self._proved = True
        elif element.tag == f"{{{NAMESPACE}}}session":
            self.session = element
            self.next = int(element.get("next", "0"))
            self.handled = int(element.get("h", "0"))
        elif element.tag == f"{{{SM}}}r":
            self.asked += 1
        elif element.tag == f"{{{SM}}}a":
            self.handled = int(element.get("h", "0"))
            self._answers += 1
        elif element.tag in _COUNTED:
            number = None
            if self.session is not None:
                number, self.next = self.next, self.next + 1
            self.received.append((number, element))


def _strip(element: ET.Element) -> None:
    for child in element.iter():
        child.tag = child.tag.removeprefix(_OURS)


def _stream_error(element: ET.Element) -> tuple[str, str]:
    condition = text = ""
    for child in element:
        name = child.tag.rpartition("}")[2]
        if name == "text":
            text = child.text or ""
        else:
            condition = name
    return condition, text
