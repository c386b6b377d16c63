"""A person's XMPP client that survives its server: stream management, own repeats, and the archive at the end.

    person = Person(prosody, "o1", "pw")
    task = asyncio.create_task(person.run())
    person.say(jid, "hello"); ...; view = await person.view()

Each connection is a new stream, as after a kill -9 of the server there is nothing to resume: what was not acknowledged
(XEP-0198) is sent again with the same id and origin id, before anything new.
"""

import asyncio
import itertools
import random
from collections.abc import Iterator
from contextlib import suppress
from xml.etree import ElementTree as ET

from slixmpp import JID
from slixmpp.exceptions import IqError, IqTimeout
from slixmpp.stanza import Message
from slixmpp.xmlstream import StanzaBase
from slixmpp.xmlstream.xmlstream import NotConnectedError

from tests.chaos.history import Shown, merged
from tests.harness.prosody import Prosody
from tests.harness.xmpp import Client

MAM = "urn:xmpp:mam:2"
SID = "urn:xmpp:sid:0"
RSM = "http://jabber.org/protocol/rsm"
FORWARDED = "{urn:xmpp:forward:0}forwarded/{jabber:client}message"
ASK = 0.5  # seconds between two requests for an acknowledgement while one is missing
AGAIN = (0.1, 2.0)  # seconds until the next look whether the server is back; not all at once, as real clients
PAGE = 200  # messages in one page of the archive; more than Prosody gives by default


class Person:
    """`outstanding`: what the server has not acknowledged yet. `errors`: ids of messages that came back."""

    def __init__(self, prosody: Prosody, local: str, password: str) -> None:
        self.local = local
        self.jid = f"{local}@{prosody.domain}"
        self.client: Client | None = None
        self.outstanding: dict[str, tuple[str, str]] = {}
        self.resent = 0  # messages that were written to a stream before
        self.logins = 0
        self._prosody = prosody
        self._password = password
        self._clients: list[Client] = []
        self._written: set[str] = set()
        self._ids = itertools.count()
        self._dice = random.Random(local)

    # --- sending ---

    def say(self, to: str, body: str) -> str:
        """Send a message now or as soon as there is a server; gives its id."""
        id_ = f"{self.local}-{next(self._ids)}"
        self.outstanding[id_] = (to, body)
        self._write(id_)
        return id_

    def _write(self, id_: str) -> None:
        if self.client is None:
            return
        self._written.add(id_)
        to, body = self.outstanding[id_]
        message = self.client.make_message(mto=JID(to), mbody=body, mtype="chat")
        message["id"] = id_
        message.xml.append(ET.Element(f"{{{SID}}}origin-id", {"id": id_}))
        message.send()

    def _acknowledged(self, stanza: StanzaBase) -> None:
        self.outstanding.pop(str(stanza["id"]), None)

    # --- life ---

    async def run(self) -> None:
        """Be online, again and again, until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._ask())
                while True:
                    await self._stay()
        finally:
            if self.client:
                await self.client.disconnect(wait=1.0)

    async def _stay(self) -> None:
        """Log in and stay until the stream ends."""
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", self._prosody.ports.c2s)
            writer.close()
            client = Client(f"{self.jid}/phone", self._password, self._prosody, carbons=False, smacks=True)
            client.add_event_handler("stanza_acked", self._acknowledged)
            self._clients.append(client)
            try:
                await client.log_in(presence=True)
            except (TimeoutError, IqError, IqTimeout):
                client.cancel_connection_attempt()
                client.abort()
                return
            self.client = client
            self.resent += sum(id_ in self._written for id_ in self.outstanding)
            self.logins += 1
            for id_ in list(self.outstanding):
                self._write(id_)
            await client.disconnected
            self.client = None
        await asyncio.sleep(self._dice.uniform(*AGAIN))

    async def _ask(self) -> None:
        while True:
            await asyncio.sleep(ASK)
            if self.client and self.outstanding:
                with suppress(NotConnectedError):  # it knows before it tells us
                    self.client.plugin["xep_0198"].request_ack()  # type: ignore[no-untyped-call]  # slixmpp has no types

    # --- what came ---

    def messages(self) -> Iterator[Message]:
        """Everything that came live, over all connections, in order."""
        for client in self._clients:
            yield from client.messages

    def errors(self) -> dict[str, str]:
        """Give the messages of ours that came back: id -> the error's text."""
        return {str(m["id"]): str(m["error"]["text"]) for m in self.messages() if m["type"] == "error"}

    def live(self) -> list[Shown]:
        """Give the messages of contacts that came live."""
        return [found for message in self.messages() if (found := self._shown(message.xml, ""))]

    async def archive(self) -> list[Shown]:
        """Ask for the whole archive (XEP-0313), page by page."""
        assert self.client is not None, "not online"
        before, after, complete = len(self.client.messages), "", False
        while not complete:
            position = f"<after>{after}</after>" if after else ""
            rsm = f"<set xmlns='{RSM}'><max>{PAGE}</max>{position}</set>"
            answer = ET.fromstring(await self.client.ask(f"<query xmlns='{MAM}'>{rsm}</query>", kind="set"))  # noqa: S314 - our own server's
            fin = answer.find(f"{{{MAM}}}fin")
            assert fin is not None, "the archive did not answer"
            after = fin.findtext(f"{{{RSM}}}set/{{{RSM}}}last") or ""
            complete = fin.get("complete") == "true" or not after
        found = []
        for message in self.client.messages[before:]:
            for result in message.xml.iter(f"{{{MAM}}}result"):
                inner = result.find(FORWARDED)
                if inner is not None and (one := self._shown(inner, result.get("id", ""))):
                    found.append(one)
        return found

    async def view(self) -> list[tuple[str, Shown]]:
        """Give what this person sees in the end: archive and live merged."""
        return merged(self.live(), await self.archive())

    def _shown(self, message: ET.Element, stanza_id: str) -> Shown | None:
        """Read a message of somebody else with a body; None for all others."""
        sender, body = message.get("from", ""), message.findtext("{jabber:client}body")
        if not body or sender.startswith(self.jid) or message.get("type") == "error":
            return None
        for given in message.findall(f"{{{SID}}}stanza-id"):
            if given.get("by") == self.jid:
                stanza_id = stanza_id or given.get("id", "")
        return Shown(stanza_id, message.get("id", ""), sender.partition("/")[0], body)
