"""One TCP connection of a component stream, on slixmpp's XML stream; used once and thrown away by `xmpp.stream`.

Why slixmpp's XMLStream and not its ComponentXMPP: the latter brings a roster that grows with each JID seen and answers
subscriptions and probes by itself, connects again for ever by its own clock, and reads the system's certificates at
each start; all of that would have to be unpicked here (measured with 1.17). What remains is the
parser, the dispatch of elements, and the life of the transport.
"""

import asyncio
import hashlib
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from ponton_bridge.model.reads import modest
from ponton_bridge.model.serial import split
from ponton_bridge.model.xml import COMPONENT


@contextmanager
def _absent(*names: str) -> Iterator[None]:
    """Let imports inside believe that these modules are not installed; what is loaded already stays."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None means "do not import" (import system, 5.3.1)
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


# COMPAT: slixmpp 1.17 imports these two only because they are there (DNS of clients, coloured debug output) and a shard
# uses neither: 5 MiB of each process. May go when slixmpp imports them late.
with _absent("aiodns", "pygments"):
    from slixmpp.xmlstream import StanzaBase, XMLStream
    from slixmpp.xmlstream.handler import Callback
    from slixmpp.xmlstream.matcher.base import MatcherBase

STREAM = "http://etherx.jabber.org/streams"
STREAM_ERROR = "urn:ietf:params:xml:ns:xmpp-streams"


@dataclass(frozen=True, slots=True)
class StreamError:
    """Why the server closed the stream: RFC 6120's condition, and its text (never shown to owners)."""

    condition: str
    text: str = ""


class _Everything(MatcherBase):
    """Matches each element below the stream's root."""

    def match(self, xml: object) -> bool:
        """Say yes."""
        return bool(xml is not None)


class Connection(XMLStream):
    """Sends the header and the handshake, then hands each further element to `take`; `closed` ends with it.

    An error in `take` ends the connection and becomes `closed`'s exception: nothing is swallowed.
    """

    def __init__(self, header: str, secret: str, take: Callable[[Element], None]) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), loop=loop)  # never used: we bring TLS
        self.default_ns = COMPONENT
        self.stream_ns = STREAM
        self.namespace_map[STREAM] = "stream"
        self.stream_header = header
        self.stream_footer = "</stream:stream>"
        self.error: StreamError | None = None
        self.accepted = False
        self.closed: asyncio.Future[None] = loop.create_future()
        self.writable = asyncio.Event()
        self.last_data = loop.time()
        self._secret = secret
        self._take = take
        self.register_handler(Callback("all", _Everything(None), self._element))

    # --- what asyncio calls ---

    def connection_made(self, transport: asyncio.BaseTransport, send_event: bool = True) -> None:  # noqa: ARG002, FBT001, FBT002 - the library's interface
        """Open the stream."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - narrows the type: TCP and TLS both are
        modest(transport)
        self.transport = transport
        self.writable.set()
        self.init_parser()
        self.send_raw(self.stream_header)

    def data_received(self, data: bytes | str) -> None:
        """Read on, and remember when."""
        self.last_data = self.loop.time()
        super().data_received(data)

    def pause_writing(self) -> None:
        """Note that the peer reads slower than we write."""
        self.writable.clear()

    def resume_writing(self) -> None:
        """Note that it has caught up."""
        self.writable.set()

    def connection_lost(self, exception: BaseException | None) -> None:
        """End."""
        super().connection_lost(exception)
        self.writable.set()  # whoever waits shall look again
        if not self.closed.done():
            self.closed.set_result(None)

    # --- what the library calls ---

    def start_stream_handler(self, xml: Element) -> None:
        """Answer the server's header with the handshake of XEP-0114."""
        token = (xml.get("id", "") + self._secret).encode()
        self.send_raw(f"<handshake>{hashlib.sha1(token).hexdigest()}</handshake>")  # noqa: S324 - XEP-0114 says SHA-1

    def _element(self, stanza: StanzaBase) -> None:
        xml: Element = stanza.xml
        try:
            if xml.tag == f"{{{COMPONENT}}}handshake":
                self.accepted = True
            elif xml.tag == f"{{{STREAM}}}error":
                self.error = _read_error(xml)
            else:
                self._take(xml)
        except Exception as error:  # noqa: BLE001 - the library would log and forget it; see `closed`
            if not self.closed.done():
                self.closed.set_exception(error)
            self.abort()

    # --- what the stream calls ---

    @property
    def buffered(self) -> int:
        """Bytes that wait for the peer to read."""
        return self.transport.get_write_buffer_size() if self.transport else 0

    async def end(self, seconds: float) -> None:
        """Close the stream: wait that long for the server's end, then cut."""
        if self.transport:
            self.send_raw(self.stream_footer)
            await asyncio.wait([self.closed], timeout=seconds)
        self.abort()


def _read_error(xml: Element) -> StreamError:
    condition, text = "undefined-condition", ""
    for child in xml:
        space, name = split(child.tag)
        if space == STREAM_ERROR and name == "text":
            text = child.text or ""
        elif space == STREAM_ERROR:
            condition = name
    return StreamError(condition, text)
