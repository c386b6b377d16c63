"""What comes from WhatsApp: into the journal as stanzas with numbers, acknowledged only then, and on to the outbox.

Events are handed to the journal in WhatsApp's order, many in one transaction; redeliveries are dropped there. Part of
the shard program, which feeds `take` from the driver's event stream.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final
from xml.etree.ElementTree import Element

from ponton_bridge.features import pipeline
from ponton_bridge.features.context import Context, Rendered
from ponton_bridge.model.serial import dump
from ponton_bridge.model.xml import CLIENT, el
from ponton_bridge.shard.account import Account, fresh_id, of_the_store
from ponton_bridge.shard.events import Event
from ponton_bridge.shard.outbox import UNSENDABLE, Outbox
from ponton_bridge.store.errors import JournalFull, StanzaTooLarge
from ponton_bridge.store.journal import Journal
from ponton_bridge.whatsapp import port

UNDER_WAY: Final = 256  # events between the driver and the disk; as many as the journal commits at once
FULL_PAUSE: Final = 1.0  # seconds until a full journal is tried again

Acknowledge = Callable[[bool], None]
Rows = list[tuple[int, Element]]  # sequence number, stanza


class Incoming:
    """Feed `take` in order. `settled` waits for sends that are under way."""

    def __init__(self, account: Account, outbox: Outbox, settled: Callable[[], Awaitable[None] | None]) -> None:
        self._account = account
        self._outbox = outbox
        self._settled = settled
        self._places = asyncio.Semaphore(UNDER_WAY)
        self._tasks: set[asyncio.Task[None]] = set()
        self._order = 0
        self._held: set[int] = set()  # events that the full journal has sent back; later ones wait behind them

    async def take(self, event: port.Event, acknowledge: Acknowledge) -> None:
        """Take one event; returns when there is room for the next. `acknowledge` is called once it is safe."""
        if isinstance(event, port.Lost):
            self._account.counters.lost += event.count
            self._account.log(Event.EVENTS_LOST, "warning", what=event.what, count=event.count)
        await self._places.acquire()
        task = self._account.background.spawn(self._bring(event, acknowledge))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._places.release()

    async def drained(self) -> None:
        """Wait until everything taken is safe."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _bring(self, event: port.Event, acknowledge: Acknowledge) -> None:
        wait = self._settled() if isinstance(event, port.Receipt) and not event.from_me else None
        if wait is not None:  # its message may be one whose id is only known when the send is answered
            await wait
        self._order += 1
        rows, transient = await self._journal(event, self._order)
        acknowledge(True)  # noqa: FBT003 - safe: the one argument of a callback
        if rows:
            self._outbox.bring(rows)
        self._outbox.follow(rows[-1][0] if rows else 0, transient)

    async def _journal(self, event: port.Event, order: int) -> tuple[Rows, list[Element]]:
        while True:
            try:
                return await self._account.journal.run(lambda journal: self._in_turn(event, order, journal))
            except JournalFull:
                await asyncio.sleep(FULL_PAUSE)  # WhatsApp keeps the rest meanwhile

    def _in_turn(self, event: port.Event, order: int, journal: Journal) -> tuple[Rows, list[Element]]:
        """Work in the order of events even when the journal was full for a while (in the journal's thread)."""
        if self._held and min(self._held) < order:
            self._held.add(order)
            raise JournalFull("Earlier messages wait for room.")
        try:
            done = self._work(event, journal)
        except JournalFull:
            self._held.add(order)
            raise
        self._held.discard(order)
        return done

    def _work(self, event: port.Event, journal: Journal) -> tuple[Rows, list[Element]]:
        """Render and keep one event (in the journal's thread); gives its rows and what may be lost."""
        context = self._account.context(journal)
        if not _is_new(event, context, journal):
            return [], []
        try:
            rendered = pipeline.from_whatsapp(event, context)
            pipeline.keep(rendered, journal)
            texts = [dump(stanza) for stanza in rendered.durable]
        except Exception as error:
            if of_the_store(error):
                raise
            self._account.log.failure(Event.EVENT_FAILED, error, kind=type(event).__name__)
            self._account.counters.lost += 1
            rendered = _unshown(event, context)
            texts = [dump(stanza) for stanza in rendered.durable]
        rows = []
        for text, stanza in zip(texts, rendered.durable, strict=True):
            try:
                rows.append((journal.emit(text), stanza))
            except StanzaTooLarge:
                self._account.log(Event.ROW_REPLACED, "error", kind=type(event).__name__)
                notice = _notice(stanza.get("from", context.domain), context)
                rows.append((journal.emit(dump(notice)), notice))
        if isinstance(event, port.Message):
            self._account.counters.received += 1
        return rows, rendered.transient


def _is_new(event: port.Event, context: Context, journal: Journal) -> bool:
    """Tell whether this was not delivered before; only what has an id can come again."""
    match event:
        case port.Message():
            return journal.seen(context.key(event.chat), context.key(event.sender), event.id, "message")
        case port.Undecryptable(final=True):
            return journal.seen(context.key(event.chat), context.key(event.sender), event.id, "unreadable")
        case port.Call():
            chat = context.key(event.caller)
            return journal.seen(chat, chat, event.id, "ended" if event.ended else "call")
        case _:
            return True


def _unshown(event: port.Event, context: Context) -> Rendered:
    """Say in the chat that something could not be shown: a fault of ours is no reason for silence."""
    if not isinstance(event, port.Message | port.Undecryptable):
        return Rendered()
    return Rendered(durable=[_notice(f"{event.chat.localpart()}@{context.domain}", context)])


def _notice(sender: str, context: Context) -> Element:
    body = el("body", CLIENT, UNSENDABLE)
    return el("message", CLIENT, body, type_="chat", from_=sender, to=context.owner, id_=fresh_id())
