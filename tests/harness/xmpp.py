"""A small XMPP client for tests: logs in over TLS, keeps what arrives, waits for a condition.

    async with logged_in(prosody, "alice", "secret") as alice:
        alice.say("+4915112345678@whatsapp.example.test", "hello")
        reply = await alice.message(lambda m: m["body"] == "hi")

It speaks for a person's client only; component streams have `tests.harness.shard_stream`.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Literal, Protocol
from xml.etree import ElementTree as ET

from slixmpp import JID, ClientXMPP
from slixmpp.stanza import Iq, Message, Presence
from slixmpp.xmlstream import StanzaBase
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

_ASK_AGAIN = 0.05  # seconds between two requests for an acknowledgement
_DEADLINE = 10.0  # seconds; every wait has one


class _Ports(Protocol):
    @property
    def c2s(self) -> int:
        """For clients."""


class Server(Protocol):
    """Where a client logs in: Prosody as the tests run it, or a way to one."""

    @property
    def domain(self) -> str:
        """Of its users."""

    @property
    def ca_file(self) -> Path:
        """The authority of its certificate."""

    @property
    def ports(self) -> _Ports:
        """On loopback."""


class Client(ClientXMPP):
    """A person's client. `messages`, `presences` and `roster_pushes` hold what came, in order."""

    def __init__(self, jid: str, password: str, server: Server, *, carbons: bool, smacks: bool) -> None:
        super().__init__(jid, password)
        self.messages: list[Message] = []
        self.presences: list[Presence] = []
        self.roster_pushes: list[Iq] = []
        self._unacknowledged: set[str] = set()
        self._server = server
        self._news = asyncio.Event()
        self._wants_carbons = carbons
        context = ssl.create_default_context(cafile=str(server.ca_file))
        self.ssl_context = context
        self.ca_certs = server.ca_file
        self.auto_reconnect = False
        self.enable_direct_tls = False
        self.enable_plaintext = True
        self.roster.auto_authorize = None  # type: ignore[assignment] # None is documented: neither yes nor no
        self.roster.auto_subscribe = False
        for plugin in ("xep_0030", "xep_0199", "xep_0280", "xep_0297", "xep_0050", "xep_0077", "xep_0004"):
            self.register_plugin(plugin)
        if smacks:
            self.register_plugin("xep_0198")
            self.add_event_handler("stanza_acked", self._acknowledged)
        for path, kept in (("message", self.messages), ("presence", self.presences)):
            handler = Callback(f"kept {path}", MatchXPath(f"{{{self.default_ns}}}{path}"), self._took(kept))
            self.register_handler(handler)
        self.add_event_handler("roster_update", self._roster_updated)

    def _took(self, kept: list[Any]) -> Callable[[Any], None]:
        def keep(stanza: Any) -> None:  # noqa: ANN401 - each list has its own stanza type
            kept.append(stanza)
            self._news.set()

        return keep

    def _acknowledged(self, stanza: StanzaBase) -> None:
        self._unacknowledged.discard(str(stanza["id"]))
        self._news.set()

    def _roster_updated(self, iq: Any) -> None:  # noqa: ANN401 - slixmpp hands over an Iq
        if iq["type"] == "set":
            self.roster_pushes.append(iq)
        self._news.set()

    async def log_in(self, *, presence: bool) -> None:
        """Connect, log in, fetch the roster; raises TimeoutError when the server does not let us in."""
        started = asyncio.ensure_future(self.wait_until("session_start", timeout=_DEADLINE))
        self.connect("127.0.0.1", self._server.ports.c2s)
        await started
        if self._wants_carbons:
            await self.plugin["xep_0280"].enable()
        if presence:
            await self.get_roster()
            self.send_presence()

    async def until(self, condition: Callable[[], Any], *, timeout: float = _DEADLINE, what: str = "") -> None:  # noqa: ASYNC109 - a deadline in the words of the test
        """Wait until `condition()` is true, looking again whenever a stanza came."""
        try:
            async with asyncio.timeout(timeout):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            seen = "\n".join(str(m) for m in [*self.messages, *self.presences][-20:])
            raise TimeoutError(f"{what or condition} not met in {timeout} s; saw:\n{seen}") from None

    async def message(
        self,
        wanted: Callable[[Message], bool],
        *,
        timeout: float = _DEADLINE,  # noqa: ASYNC109 - a deadline in the words of the test
    ) -> Message:
        """The first message for which `wanted` holds, come or still to come."""
        await self.until(lambda: any(map(wanted, self.messages)), timeout=timeout, what="the message")
        return next(m for m in self.messages if wanted(m))

    async def presence(
        self,
        wanted: Callable[[Presence], bool],
        *,
        timeout: float = _DEADLINE,  # noqa: ASYNC109 - a deadline in the words of the test
    ) -> Presence:
        """The first presence for which `wanted` holds, come or still to come."""
        await self.until(lambda: any(map(wanted, self.presences)), timeout=timeout, what="the presence")
        return next(p for p in self.presences if wanted(p))

    def say(self, to: str, body: str, *, id: str | None = None) -> str:  # noqa: A002 - the attribute's name
        """Send a chat message; returns its id."""
        message = self.make_message(mto=JID(to), mbody=body, mtype="chat")
        message["id"] = id or self.new_id()
        message.send()
        self._unacknowledged.add(str(message["id"]))
        return str(message["id"])

    async def taken(self) -> None:
        """Wait until the server acknowledged (XEP-0198) everything that `say` sent; log in with `smacks` for it."""
        async with asyncio.timeout(_DEADLINE):
            while self._unacknowledged:
                # Sent past slixmpp's own queue, so it may overtake a message: hence again and again.
                self.plugin["xep_0198"].request_ack()  # type: ignore[no-untyped-call] # slixmpp leaves it untyped
                self._news.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), _ASK_AGAIN)

    async def ask(self, payload: str, *, to: str | None = None, kind: Literal["get", "set"] = "get") -> str:
        """Send an iq with `payload` (XML) and return the answer as text; raises slixmpp's IqError for an error."""
        iq = self.make_iq(ito=JID(to) if to else None, itype=kind)
        iq.append(ET.fromstring(payload))  # noqa: S314 - the test's own XML
        sending: Any = iq.send(timeout=_DEADLINE)  # type: ignore[no-untyped-call] # slixmpp leaves it untyped
        return str(await sending)

    def bodies(self, sender: str | None = None) -> list[str]:
        """The bodies that came so far, in order; `sender` (bare JID) narrows it."""
        return [m["body"] for m in self.messages if m["body"] and sender in (None, m["from"].bare)]


@asynccontextmanager
async def logged_in(
    server: Server,
    local: str,
    password: str,
    *,
    resource: str = "test",
    carbons: bool = False,
    smacks: bool = False,
    presence: bool = True,
) -> AsyncIterator[Client]:
    """A client of `local`@domain with its session open (and available, unless `presence` is false)."""
    jid = f"{local}@{server.domain}/{resource}"
    client = Client(jid, password, server, carbons=carbons, smacks=smacks)
    try:
        await client.log_in(presence=presence)
        yield client
    finally:
        client.cancel_connection_attempt()
        await client.disconnect(wait=1.0)
