"""The stream of one shard to the XMPP server: component-shards/1 over slixmpp.

Opens, numbers, acknowledges, covers, and opens again after a loss; stops for good on a conflict, because a newer
process serves this owner then. Called by the shard program: it reads `inbox`, calls `done` for what is
safe, writes with `write` or `offer`, and asks with `request`. Stanzas are in jabber:client on that side.
"""

import asyncio
import contextlib
import secrets
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

from ponton_bridge.core.backoff import delay
from ponton_bridge.core.numbering import Inbound, Outbound, ProtocolBreach, Ticket
from ponton_bridge.model.errors import HostError
from ponton_bridge.model.serial import dump, escape, moved, split
from ponton_bridge.model.xml import CLIENT, COMPONENT, SHARDS, SM, STANZA_ERROR, el, find, local_name
from ponton_bridge.xmpp.connection import STREAM, Connection, StreamError

CONNECT: Final = 10.0  # seconds for TCP, TLS and the handshake together; the server's own limit is 10 s too
ACK_DELAY: Final = 0.05  # seconds in which acks are gathered
QUIET: Final = 60.0  # seconds without a byte from the server before it is asked whether it lives
SILENT: Final = 30.0  # seconds that it then has to say something
STEADY: Final = 30.0  # seconds a stream must have been open for the next wait to be a short one again
FIRST: Final = 0.25  # seconds before the first new try; a clean restart of Prosody takes about 0.1 s
LONGEST: Final = 30.0  # seconds between tries; longer than that and a person notices that the bridge sleeps
END: Final = 1.0  # seconds for the server to close its side
MAX_STANZA: Final = 250_000  # bytes; the server closes the stream at 262,144
MAX_INBOX: Final = 10_000  # stanzas; the server's window (256 by default) is the real bound
MAX_REQUESTS: Final = 100  # iq requests under way at once
REQUEST: Final = 15.0  # seconds until an iq counts as unanswered; as long as the server keeps one for a shard
_STANZAS = frozenset(f"{{{COMPONENT}}}{name}" for name in ("message", "presence", "iq"))


class NotOpen(HostError):
    """There is no stream to the XMPP server now; nothing was written."""


class RequestRefused(HostError):
    """The answer to an iq was an error; `refusal` is its defined condition (RFC 6120, 8.3.3)."""

    def __init__(self, refusal: str) -> None:
        super().__init__("The XMPP server has refused what the bridge asked of it.")
        self.refusal = refusal


class RequestTimedOut(HostError):
    """Nobody answered an iq in time."""

    condition = "remote-server-timeout"


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Where to connect and as whom; with `ca` (a PEM file) the connection is direct TLS for `domain`."""

    domain: str
    owner: str
    epoch: int
    instance: str
    secret: str = field(repr=False)
    host: str
    port: int
    ca: Path | None = None

    def header(self, cursor: str | None) -> str:
        """Write the opening tag (component-shards/1, section 1.2)."""
        values = {"to": self.domain, "from": self.owner, "sh:epoch": str(self.epoch), "sh:instance": self.instance}
        values |= {"sh:acks": "1"} | ({"sh:cursor": cursor} if cursor else {})
        attributes = "".join(f" {name}='{escape(value, attribute=True)}'" for name, value in values.items())
        return f"<stream:stream xmlns='{COMPONENT}' xmlns:stream='{STREAM}' xmlns:sh='{SHARDS}'{attributes}>"


@dataclass(frozen=True, slots=True)
class Opened:
    """The server let us in; `seq` is the highest sequence number that it ever had of this owner."""

    gen: str
    seq: int
    number: int  # counts this process's streams


@dataclass(frozen=True, slots=True)
class Arrived:
    """A stanza; call `done(ticket)` when it is safe."""

    ticket: Ticket
    stanza: Element


@dataclass(frozen=True, slots=True)
class Expired:
    """The server gave up a stanza for us while we were away."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The stream (or the attempt) ended: `condition` of the stream error, or what happened on our side."""

    condition: str
    text: str = ""
    opened: bool = False
    wait: float = 0.0  # seconds until the next attempt


class ShardStream:
    """The stream over all its connections. `covered` is told the highest sequence number that the server has.

    `cursor` is the journal's: generation and number up to which everything is durable here.
    """

    def __init__(
        self,
        settings: StreamSettings,
        cursor: tuple[str, int],
        *,
        covered: Callable[[int], None],
        random: Callable[[], float],
        patience: tuple[float, float] = (QUIET, SILENT),
    ) -> None:
        self.inbox: asyncio.Queue[Opened | Arrived | Expired | Closed] = asyncio.Queue()
        self.session: Opened | None = None
        self._settings = settings
        self._covered = covered
        self._random = random
        self._inbound = Inbound(*cursor)
        self._outbound = Outbound()
        self._connection: Connection | None = None
        self._requests: dict[str, asyncio.Future[Element]] = {}
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ack: asyncio.TimerHandle | None = None
        self._asked = False
        self._sessions = 0
        self._ending = asyncio.Event()
        self._quiet, self._silent = patience
        self._tls = None if settings.ca is None else ssl.create_default_context(cafile=str(settings.ca))

    # --- life ---

    async def run(self) -> StreamError | None:
        """Keep a stream open; returns the conflict that ends it for good, or None after `close`."""
        failures = 0
        loop = asyncio.get_running_loop()
        while True:
            begun = loop.time()
            closed = await self._once()
            if self._ending.is_set():
                return None
            if closed.condition == "conflict":
                self.inbox.put_nowait(closed)
                return StreamError(closed.condition, closed.text)
            failures = 0 if closed.opened and loop.time() - begun >= STEADY else failures
            failures += 1
            wait = delay(failures, self._random, FIRST, LONGEST)
            self.inbox.put_nowait(Closed(closed.condition, closed.text, closed.opened, wait))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):  # not wait_for: Python 3.11's may swallow a cancellation
                    await self._ending.wait()

    async def close(self) -> None:
        """End for good, in peace: the last ack goes out first."""
        self._ending.set()
        if connection := self._connection:
            self._acknowledge()
            await connection.end(END)

    async def _once(self) -> Closed:
        connection = Connection(self._settings.header(self._inbound.cursor), self._settings.secret, self._take)
        self._connection, self._asked = connection, False
        self._opened = asyncio.get_running_loop().create_future()
        problem = "connection-lost"
        try:
            async with asyncio.timeout(CONNECT):
                await self._connect(connection)
                await asyncio.wait([connection.closed, self._opened], return_when=asyncio.FIRST_COMPLETED)
            problem = await self._watch(connection)
        except TimeoutError:
            problem = "connection-timeout"
        except ssl.SSLError:
            problem = "tls-failed"
        except OSError:
            problem = "connection-failed"
        except ProtocolBreach:
            problem = "protocol-breach"
        finally:
            self._lost()
            connection.abort()
        error = connection.error or StreamError(problem)
        return Closed(error.condition, error.text, opened=self._opened.done())

    async def _connect(self, connection: Connection) -> None:
        to = self._settings
        name = to.domain if self._tls else None  # a certificate of an XMPP server names XMPP domains, not its host
        await asyncio.get_running_loop().create_connection(
            lambda: connection, to.host, to.port, ssl=self._tls, server_hostname=name
        )

    async def _watch(self, connection: Connection) -> str:
        """Wait for the end; asks a quiet server for a sign of life."""
        loop = asyncio.get_running_loop()
        while not connection.closed.done():
            quiet = loop.time() - connection.last_data
            if quiet >= self._quiet + self._silent:
                return "server-silent"
            if quiet >= self._quiet:
                self._asked = False
                self.ask()
            rest = self._quiet - quiet if quiet < self._quiet else self._quiet + self._silent - quiet
            await asyncio.wait([connection.closed], timeout=rest)
        connection.closed.result()
        return "connection-lost"

    def _lost(self) -> None:
        self.session = None
        self._connection = None
        if self._ack:
            self._ack.cancel()
            self._ack = None
        for waiting in self._requests.values():
            if not waiting.done():
                waiting.set_exception(NotOpen("The XMPP server is away at the moment."))

    # --- what comes in ---

    def _take(self, xml: Element) -> None:
        space, name = split(xml.tag)
        if not self.session and name != "session":
            return
        if xml.tag in _STANZAS:
            self._stanza(self._inbound.arrived(), moved(xml, COMPONENT, CLIENT))
        elif space == SHARDS and name == "session" and not self.session:
            self._open(xml)
        elif space == SHARDS and name == "gap":
            self._inbound.done(self._inbound.arrived())
            self._acknowledge_soon()
            self.inbox.put_nowait(Expired())
        elif space == SM and name == "a":
            self._asked = False
            self._cover(self._outbound.counted(_number(xml, "h")))
            if self._outbound.uncovered:
                self.ask()
        elif space == SM and name == "r":
            self._send(f"<a xmlns='{SM}' h='{self._inbound.repeated()}'/>")

    def _open(self, xml: Element) -> None:
        gen = xml.get("gen", "")
        self._inbound.begin(gen, _number(xml, "next"))
        self._cover(self._outbound.begin(_number(xml, "h")))
        self._sessions += 1
        self.session = Opened(gen, _number(xml, "seq"), self._sessions)
        self.inbox.put_nowait(self.session)
        self._opened.set_result(None)

    def _stanza(self, ticket: Ticket, stanza: Element) -> None:
        waiting = self._requests.get(stanza.get("id", "")) if local_name(stanza) == "iq" else None
        if waiting and stanza.get("type") in {"result", "error"}:
            self.done(ticket)
            if not waiting.done():
                waiting.set_result(stanza)
        elif ticket.repeat:
            self._acknowledge_soon()
        elif self.inbox.qsize() >= MAX_INBOX:
            raise ProtocolBreach("the server ignores its own window")
        else:
            self.inbox.put_nowait(Arrived(ticket, stanza))

    def done(self, ticket: Ticket) -> None:
        """Note that a stanza is safe (durable, or of no use after a restart); the ack goes out soon."""
        self._inbound.done(ticket)
        self._acknowledge_soon()

    def _acknowledge_soon(self) -> None:
        if not self._ack and self.session:
            self._ack = asyncio.get_running_loop().call_later(ACK_DELAY, self._acknowledge)

    def _acknowledge(self) -> None:
        self._ack = None
        if self.session and (number := self._inbound.due()) is not None:
            self._send(f"<a xmlns='{SM}' h='{number}'/>")

    def _cover(self, seq: int) -> None:
        if seq:
            self._covered(seq)

    # --- what goes out ---

    def write(self, stanza: Element, seq: int | None = None) -> None:
        """Write a stanza, with its sequence number if it is durable; NotOpen when there is no stream."""
        if not self.session:
            raise NotOpen("The XMPP server is away at the moment.")
        copy = moved(stanza, CLIENT, COMPONENT)
        if seq is not None:
            copy.append(el("seq", SHARDS, n=str(seq)))
        text = dump(copy, COMPONENT)
        if len(text.encode()) > MAX_STANZA:
            raise ValueError("a stanza is longer than the server takes")
        self._send(text)
        self._outbound.wrote(seq)

    def offer(self, stanza: Element) -> bool:
        """Write what may be lost (typing, presence): only while the stream is open and the server keeps up."""
        if not self.keeps_up:
            return False
        self.write(stanza)
        return True

    @property
    def keeps_up(self) -> bool:
        """Whether a stream is open and the server reads what we write."""
        return self.session is not None and self._connection is not None and self._connection.writable.is_set()

    async def writable(self, session: Opened) -> bool:
        """Wait until the server keeps up; False when that stream is no more."""
        while self.session is session and self._connection:
            if self._connection.writable.is_set():
                return True
            await self._connection.writable.wait()
        return False

    @property
    def uncovered(self) -> int:
        """How many durable stanzas of this stream the server has not counted yet."""
        return self._outbound.uncovered

    def ask(self) -> None:
        """Ask the server how far it has counted; at most one question is under way."""
        if self.session and not self._asked:
            self._asked = True
            self._send(f"<r xmlns='{SM}'/>")

    async def request(self, iq: Element, *, seconds: float = REQUEST) -> Element:
        """Send an iq of type get or set and give its result.

        Raises NotOpen, RequestTimedOut, or RequestRefused for an error. The id is ours and cannot be guessed.
        """
        if len(self._requests) >= MAX_REQUESTS:
            raise RequestTimedOut("The XMPP server has too many questions of the bridge to answer.")
        name = secrets.token_hex(8)
        iq.set("id", name)
        self._requests[name] = asyncio.get_running_loop().create_future()
        try:
            self.write(iq)
            async with asyncio.timeout(seconds):
                answer = await self._requests[name]
        except TimeoutError:
            raise RequestTimedOut("The XMPP server did not answer in time.") from None
        finally:
            del self._requests[name]
        if answer.get("type") == "error":
            raise RequestRefused(condition(answer))
        return answer

    def _send(self, text: str) -> None:
        if self._connection and self._connection.transport:
            self._connection.send_raw(text)


def _number(xml: Element, name: str) -> int:
    value = xml.get(name, "0")
    if not value.isascii() or not value.isdigit():
        raise ProtocolBreach(f"{name} is not a number")
    return int(value)


def condition(stanza: Element) -> str:
    """Give the defined condition of an error stanza (RFC 6120, 8.3.3)."""
    error = find(stanza, "error", CLIENT)
    names = [
        split(child.tag)[1]
        for child in (error if error is not None else [])
        if child.tag.startswith(f"{{{STANZA_ERROR}}}")
    ]
    return next((name for name in names if name != "text"), "undefined-condition")
