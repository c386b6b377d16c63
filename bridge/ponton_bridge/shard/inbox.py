"""What comes from the XMPP server: messages into the journal, everything else answered at once.

Reads the stream's inbox, in order. A message is acknowledged when it is committed with the cursor; presence, chat
states and iqs need no journal, and are never held up by it. Part of the shard program.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Final
from xml.etree.ElementTree import Element

from ponton_bridge.core.message_ids import message_id
from ponton_bridge.core.numbering import Ticket
from ponton_bridge.features import pipeline
from ponton_bridge.features.context import Intent, Keep, Reply
from ponton_bridge.model.serial import dump
from ponton_bridge.model.xml import CLIENT, STANZA_ERROR, el, local_name
from ponton_bridge.shard.account import Account, of_the_store
from ponton_bridge.shard.events import Event
from ponton_bridge.store.errors import JournalFull
from ponton_bridge.store.journal import Journal
from ponton_bridge.store.outgoing import Outgoing as Row
from ponton_bridge.xmpp.stream import Arrived, Closed, Expired, NotOpen, Opened, ShardStream, condition

FULL_PAUSE: Final = 1.0  # seconds until a full journal is tried again
BATCH: Final = 100  # stanzas in one step
MUC: Final = "{http://jabber.org/protocol/muc}x"


@dataclass(frozen=True, slots=True)
class Hooks:
    """Who is told what: the other parts of the shard."""

    opened: Callable[[Opened], Awaitable[None]]
    closed: Callable[[Closed], Awaitable[None]]
    presence: Callable[[Element], None]  # of the owner's clients to the gateway itself
    act: Callable[[Intent], None]  # an intent for WhatsApp that may be lost
    journaled: Callable[[list[Row]], None]  # rows for WhatsApp
    emitted: Callable[[], None]  # rows for the owner
    follow: Callable[[int, list[Element]], None]  # what belongs behind such a row


class Inbox:
    """Two tasks: `run` takes what comes, and hands rows to the one that journals them."""

    def __init__(self, account: Account, stream: ShardStream, hooks: Hooks) -> None:
        self._account = account
        self._stream = stream
        self._hooks = hooks
        self._rows: asyncio.Queue[tuple[Ticket, str, str]] = asyncio.Queue()  # bounded by the server's window

    async def run(self) -> None:
        """Take what comes, until cancelled."""
        inbox = self._stream.inbox
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._journal_rows())
            while True:
                taken = [await inbox.get()]
                while len(taken) < BATCH and not inbox.empty():
                    taken.append(inbox.get_nowait())
                for kind, group in groupby(taken, key=type):
                    if kind is Arrived:
                        await self._arrived([one for one in group if isinstance(one, Arrived)])
                    else:
                        for one in group:
                            await self._happened(one)

    async def _happened(self, what: Opened | Arrived | Expired | Closed) -> None:
        match what:
            case Opened():
                await self._hooks.opened(what)
            case Closed():
                await self._hooks.closed(what)
            case _:
                self._account.log(Event.STANZA_EXPIRED, "warning")

    async def _arrived(self, group: list[Arrived]) -> None:
        passing: list[Arrived] = []
        for one in group:
            chat = pipeline.needs_journal(one.stanza)
            if chat is None:
                passing.append(one)
            else:
                self._rows.put_nowait((one.ticket, chat, dump(one.stanza)))
        for one in passing:
            if one.stanza.get("type") == "error":
                self._account.log(
                    Event.STANZA_REFUSED, "warning", kind=local_name(one.stanza), condition=condition(one.stanza)
                )
        questions = [one.stanza for one in passing if not _idle(one.stanza)]
        if questions:
            await self._answer(questions)
        for one in passing:
            if local_name(one.stanza) == "presence" and "@" not in one.stanza.get("to", "@"):
                self._hooks.presence(one.stanza)
            self._stream.done(one.ticket)

    async def _journal_rows(self) -> None:
        while True:
            rows = [await self._rows.get()]
            while len(rows) < BATCH and not self._rows.empty():
                rows.append(self._rows.get_nowait())
            for gen in dict.fromkeys(ticket.gen for ticket, _, _ in rows):
                await self._take(gen, [row for row in rows if row[0].gen == gen])

    async def _take(self, gen: str, rows: list[tuple[Ticket, str, str]]) -> None:
        """Journal rows of one generation; when the journal is full the server keeps the rest, by its window."""
        last = rows[-1][0].number
        texts = [(chat, text) for _, chat, text in rows]
        names = [message_id(self._account.config.owner, gen, ticket.number) for ticket, _, _ in rows]
        while True:
            try:
                ids = await self._account.journal.run(lambda journal: journal.take(gen, last, texts, names))
                break
            except JournalFull:
                await asyncio.sleep(FULL_PAUSE)
        for ticket, _, _ in rows:
            self._stream.done(ticket)
        fresh = zip(ids, texts, names, strict=True) if ids else ()  # else they were taken before
        self._hooks.journaled([Row(id_, chat, text, name, 0) for id_, (chat, text), name in fresh])

    async def _answer(self, stanzas: list[Element]) -> None:
        """Let the features answer, several in one transaction."""
        made = await self._account.journal.run(lambda journal: [self._intents(each, journal) for each in stanzas])
        for seq, intents in made:
            if seq:
                self._hooks.emitted()
            for intent in intents:
                if not isinstance(intent, Reply):
                    self._hooks.act(intent)
                elif not intent.durable and seq:
                    self._hooks.follow(seq, [intent.element])
                elif not intent.durable:
                    self._write(intent.element)

    def _intents(self, stanza: Element, journal: Journal) -> tuple[int, list[Intent]]:
        """Ask the features (in the journal's thread); gives the last row for the owner, 0 for none, and the intents.

        A fault of ours gives an error stanza, never silence.
        """
        seq = 0
        try:
            intents = pipeline.from_xmpp(stanza, self._account.context(journal))
            for intent in intents:
                if isinstance(intent, Keep):
                    journal.save_contact(*intent.contact)
                elif isinstance(intent, Reply) and intent.durable:
                    seq = journal.emit(dump(intent.element))
        except Exception as error:
            if of_the_store(error):
                raise
            self._account.log.failure(Event.STANZA_FAILED, error, kind=local_name(stanza))
            return seq, [Reply(_fault(stanza))] if stanza.get("type") in {"get", "set"} else []
        return seq, intents

    def _write(self, stanza: Element) -> None:
        try:
            self._stream.write(stanza)
        except NotOpen:
            return  # who asked has lost the connection, too, and asks again
        except ValueError as error:
            self._account.log.failure(Event.STANZA_FAILED, error, kind=local_name(stanza))


def _idle(stanza: Element) -> bool:
    """Tell what asks for nothing: answers, and the presence that the server sends to each contact at each change."""
    if stanza.get("type") == "error" or (local_name(stanza) == "iq" and stanza.get("type") == "result"):
        return True
    return (
        local_name(stanza) == "presence"
        and stanza.get("type") in {None, "unavailable"}
        and "@" in stanza.get("to", "")
        and stanza.find(MUC) is None
    )


def _fault(stanza: Element) -> Element:
    condition = el("internal-server-error", STANZA_ERROR)
    error = el("error", CLIENT, condition, type_="cancel")
    return el("iq", CLIENT, error, type_="error", id_=stanza.get("id"), to=stanza.get("from"), from_=stanza.get("to"))
