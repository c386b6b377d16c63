"""The owner as the shard sees them: which clients are there, and the gateway's own place in their roster and presence.

Part of the shard program. The bare gateway domain is the front desk's, which answers those who ask; the shard says what
changes.
"""

import asyncio
from collections.abc import Callable
from typing import Final
from xml.etree.ElementTree import Element

from ponton_bridge.core.events import Absent, Present
from ponton_bridge.features import contacts
from ponton_bridge.features.context import bare
from ponton_bridge.model.address import GATEWAY_RESOURCE
from ponton_bridge.model.errors import PontonError
from ponton_bridge.model.serial import dump
from ponton_bridge.model.states import TABLE, Reason
from ponton_bridge.model.xml import CLIENT, ROSTER, el, text_of
from ponton_bridge.shard.account import Account, fresh_id
from ponton_bridge.shard.events import Event
from ponton_bridge.store.journal import Journal
from ponton_bridge.xmpp.stream import ShardStream

NAME: Final = "WhatsApp"
ROSTER_KEY: Final = "gateway_in_roster"
CALM: Final = 0.5  # seconds between two states that are shown: linking passes through several at once
ROSTER_SECONDS: Final = 5.0  # for the server to take the entry, before codes are shown


class Owner:
    """Told when a stream opens and of presences to the gateway; tells `feed` who comes and goes."""

    def __init__(self, account: Account, stream: ShardStream, feed: Callable[[Present | Absent], None]) -> None:
        self._account = account
        self._stream = stream
        self._feed = feed
        self._here: set[str] = set()
        self._reason: Reason | None = None  # the newest state, and the one that was shown last
        self._shown: Reason | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def opened(self) -> None:
        """Put the gateway into the owner's roster (Dino shows no pictures of strangers), then ask who is there."""
        self._here.clear()
        self._shown = None
        self._account.live.clients.clear()
        if not await self._account.journal.run(lambda journal: journal.get(ROSTER_KEY)):
            try:
                await self._stream.request(self._entry("both"), seconds=ROSTER_SECONDS)
                await self._account.journal.run(lambda journal: journal.set(ROSTER_KEY, "1"))
            except PontonError as error:
                self._account.log.failure(Event.REQUEST_FAILED, error, "warning", what="roster")
        config = self._account.config
        self._stream.offer(el("presence", CLIENT, type_="probe", from_=config.domain, to=config.owner))
        if self._timer is None:
            self._present()

    def is_here(self, client: str) -> bool:
        """Tell whether that client of the owner can take messages now."""
        return client in self._here

    def presence(self, stanza: Element) -> None:
        """Take the presence of an owner's client; a negative priority takes no messages (RFC 6121, 4.7.2.3)."""
        client = stanza.get("from", "")
        if bare(client) != self._account.config.owner or client == bare(client):
            return
        if stanza.get("type") is None and _priority(stanza) >= 0:
            if client not in self._here:
                self._here.add(client)
                self._feed(Present(client))
        elif stanza.get("type") in {None, "unavailable", "error"} and client in self._here:
            self._here.discard(client)
            self._feed(Absent(client))

    def show(self, reason: Reason) -> None:
        """Show the state of the link as the gateway's presence: at once, then the newest every CALM seconds."""
        self._reason = reason
        if self._timer is None:
            self._present()

    def _present(self) -> None:
        """Show what is new, and look again a little later."""
        self._timer = None
        if self._reason is None or self._reason is self._shown:
            return
        row = TABLE[self._reason]
        config = self._account.config
        if row.show is not None:  # else a newer process shows the state
            made = el("presence", CLIENT, from_=f"{config.domain}/{GATEWAY_RESOURCE}", to=config.owner)
            if row.show:
                made.append(el("show", CLIENT, row.show))
            made.append(el("status", CLIENT, row.sentence))
            if not self._stream.offer(made):
                return  # shown when the stream is open again
        self._shown = self._reason
        self._timer = asyncio.get_running_loop().call_later(CALM, self._present)

    def close(self) -> None:
        """Show the last state, if it was not yet."""
        if self._timer is not None:
            self._timer.cancel()
        self._present()
        if self._timer is not None:
            self._timer.cancel()

    def tell(self, journal: Journal, sentence: str) -> None:
        """Journal a message of the gateway to the owner (in the journal's thread)."""
        config = self._account.config
        said = el("message", CLIENT, el("body", CLIENT, sentence), type_="chat", from_=config.domain, to=config.owner)
        said.set("id", fresh_id())
        journal.emit(dump(said))

    def forget(self, journal: Journal) -> None:
        """Journal the removal of all contacts and of the gateway from the roster (in the journal's thread)."""
        context = self._account.context(journal)
        for who, _, _ in journal.contacts():
            journal.emit(dump(contacts.removal(who, context)))
            journal.forget_contact(who)
        journal.emit(dump(self._entry("remove")))
        journal.set(ROSTER_KEY, "")

    def _entry(self, subscription: str) -> Element:
        config = self._account.config
        name = NAME if subscription != "remove" else None
        item = el("item", ROSTER, jid=config.domain, name=name, subscription=subscription)
        query = el("query", ROSTER, item)
        return el("iq", CLIENT, query, type_="set", id_=fresh_id(), from_=config.domain, to=config.owner)


def _priority(stanza: Element) -> int:
    try:
        return int(text_of(stanza, "priority", CLIENT) or 0)
    except ValueError:
        return 0
