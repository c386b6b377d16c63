"""What the owner wrote, on its way to WhatsApp: from journal rows to sends, with an answer for every message.

One worker per chat keeps the order there; chats do not wait for each other. A row goes when WhatsApp has taken it, or
when its sender was told why not. Part of the shard program; rules of repetition are in `core.delivery`.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element, ParseError

from ponton_bridge.core.delivery import UNKNOWN_FATE, Verdict, may_send, pause, refusal, verdict
from ponton_bridge.core.limiter import Limiter, TooManyNewContacts
from ponton_bridge.core.message_ids import message_id
from ponton_bridge.features import pipeline, repeats
from ponton_bridge.features.context import Intent, MarkRead, Rendered, Reply, Send
from ponton_bridge.model.errors import PontonError
from ponton_bridge.model.serial import dump, load
from ponton_bridge.model.states import TABLE, Phase, Reason
from ponton_bridge.shard.account import Account, of_the_store
from ponton_bridge.shard.ahead import Ahead
from ponton_bridge.shard.events import Event
from ponton_bridge.store.errors import JournalFull
from ponton_bridge.store.journal import Journal
from ponton_bridge.store.outgoing import Outgoing as Row
from ponton_bridge.whatsapp import port

SECONDS: Final = 20.0  # for one send; WhatsApp answers in milliseconds or not at all
PAGE: Final = 200  # rows read at once
LATE: Final = 10.0  # seconds that a receipt waits for the sends under way
LOST_PAUSE: Final = 0.5  # seconds after a send met no connection, though there seemed to be one
MARKS: Final = 5  # times that a read receipt is tried
FULL_PAUSE: Final = 1.0  # seconds until a full journal is tried again
LIMITS_KEY: Final = "limits"


class Outgoing:
    """Told of the link by `link`, of rows by `news`. `emitted` and `blocked` tell others what came of them."""

    def __init__(
        self,
        account: Account,
        limiter: Limiter,
        *,
        emitted: Callable[[], None],
        blocked: Callable[[], None],
        act: Callable[[Intent], None],
    ) -> None:
        self._account = account
        self._limiter = limiter  # used in the journal's thread only
        self._emitted = emitted  # rows for the owner were journaled
        self._act = act  # what may be lost: typing, presence
        self._blocked = blocked  # WhatsApp takes no new contacts from this account (error 463)
        self._driver: port.WhatsApp | None = None
        self._refusal: PontonError | None = None
        self._decided = asyncio.Event()  # messages can be sent, or refused
        self._news = asyncio.Event()
        self._news.set()
        self._rows: Ahead[Row] = Ahead(PAGE, PAGE)
        self._last = 0  # id of the last row that was given to its chat
        self._chats: dict[str, deque[Row]] = {}
        self._sending: set[asyncio.Task[None]] = set()

    def news(self, rows: Iterable[Row]) -> None:
        """Look for new rows; these were just journaled, and need not be read."""
        self._rows.bring((row.id, row) for row in rows)
        self._news.set()

    def link(self, reason: Reason, driver: port.WhatsApp | None) -> None:
        """Take the link's new state: send, wait, or refuse."""
        self._driver = driver if TABLE[reason].phase is Phase.RUNNING else None
        self._refusal = refusal(reason)
        if self._driver or self._refusal:
            self._decided.set()
        else:
            self._decided.clear()

    def close(self) -> None:
        """Begin nothing more; what is under way comes to its end."""
        self._driver = self._refusal = None
        self._decided.clear()

    async def drained(self) -> None:
        """Wait for the sends that are under way."""
        while self._sending:
            await asyncio.wait(self._sending)

    def settled(self) -> Awaitable[None] | None:
        """Give what ends when the sends under way now have their id pairs; None when there are none."""
        return self._until(frozenset(self._sending)) if self._sending else None

    async def _until(self, sends: frozenset["asyncio.Task[None]"]) -> None:
        await asyncio.wait(sends, timeout=LATE)

    # --- rows, chat by chat ---

    async def run(self) -> None:
        """Work on what is in the journal, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._news.wait()
                self._news.clear()
                while rows := await self._rows.after(self._last, self._read):
                    for self._last, row in rows:
                        if row.chat not in self._chats:
                            self._chats[row.chat] = deque()
                            tasks.create_task(self._chat(row.chat))
                        self._chats[row.chat].append(row)

    async def _read(self, after: int, most: int) -> list[tuple[int, Row]]:
        rows = await self._account.journal.run(lambda journal: journal.pending(most, after), lazy=True)
        return [(row.id, row) for row in rows]

    async def _chat(self, chat: str) -> None:
        rows = self._chats[chat]
        while rows:
            await self._row(rows[0])
            rows.popleft()
        del self._chats[chat]

    async def _row(self, row: Row) -> None:
        """Bring one row to its end: sent, or answered with an error, or found to ask for nothing."""
        try:
            stanza = load(row.xml)
        except ParseError as error:
            self._account.log.failure(Event.STANZA_FAILED, error, kind="row")
            await self._account.journal.run(lambda journal: journal.drop(row.id))
            return
        await self._decided.wait()
        driver = self._driver
        # Lazy, as all that notes how far a send is: kill -9 does not undo it, and a power cut costs a second send.
        intents, begun = await self._account.journal.run(
            lambda journal: self._open(journal, row, stanza, driver), lazy=True
        )
        send = _sends(intents)
        for intent in intents:
            if isinstance(intent, MarkRead):
                await self._mark_read(intent)
            elif not isinstance(intent, Send | Reply):
                self._act(intent)
        if send is None:
            await self._finish(
                row, lambda _journal: Rendered(durable=[i.element for i in intents if isinstance(i, Reply)])
            )
        elif (problem := await self._send(row, stanza, send, begun)) is not None:
            self._account.log(Event.MESSAGE_REFUSED, error=type(problem).__name__, actor=problem.actor)
            await self._finish(row, lambda journal: pipeline.failed(stanza, problem, self._account.context(journal)))

    def _open(
        self, journal: Journal, row: Row, stanza: Element, driver: port.WhatsApp | None
    ) -> tuple[list[Intent], "_Begun | None"]:
        """Ask the features and, if a message may go at once, note that its send begins: one sync of the disk for both.

        What the limits do not let go now is asked for again by `_send`, which waits or refuses.
        """
        intents = self._intents(stanza, journal)
        send = _sends(intents)
        if send is None or driver is None or not may_send(row.tries, keeps_id=driver.capabilities.chosen_message_id):
            return intents, None
        try:
            with journal.savepoint():
                return intents, self._begin(journal, driver, row, send)
        except (_TooFast, TooManyNewContacts):
            return intents, None

    def _intents(self, stanza: Element, journal: Journal) -> list[Intent]:
        """Ask the features (in the journal's thread); a fault of ours refuses the message, it is not lost."""
        context = self._account.context(journal)
        try:
            intents = pipeline.from_xmpp(stanza, context)
            if any(isinstance(intent, Send) for intent in intents) and journal.was_taken(repeats.marks(stanza)):
                self._account.log(Event.MESSAGE_REPEATED)
                return []
        except Exception as error:
            if of_the_store(error):
                raise
            self._account.log.failure(Event.STANZA_FAILED, error, kind="message")
            return [Reply(each) for each in pipeline.failed(stanza, PontonError(), context).durable]
        return intents

    async def _finish(self, row: Row, work: Callable[[Journal], Rendered], *, lazy: bool = False) -> None:
        """Drop a row together with what follows from it; while the journal is full the chat waits.

        `lazy` only where nothing for the owner follows: its numbers must be on the disk before Prosody has them.
        """

        def whole(journal: Journal) -> bool:
            rendered = work(journal)
            pipeline.keep(rendered, journal)
            for stanza in rendered.durable:
                journal.emit(dump(stanza))
            journal.drop(row.id)
            return bool(rendered.durable)

        while True:
            try:
                emitted = await self._account.journal.run(whole, lazy=lazy)
            except JournalFull:
                await asyncio.sleep(FULL_PAUSE)
                continue
            if emitted:
                self._emitted()
            return

    # --- one message ---

    async def _send(self, row: Row, stanza: Element, send: Send, begun: "_Begun | None") -> PontonError | None:
        """Send until WhatsApp has it; gives the error that ends it otherwise. Waits while there is no connection.

        `begun`: the first try is noted already.
        """
        unknown, troubles = row.tries, 0
        if unknown:  # a process before this one began to send it, and ended
            self._uncertain(Verdict.AGAIN if may_send(unknown) else Verdict.REFUSE)
        while True:
            if begun is None:
                await self._decided.wait()
                driver = self._driver
                if driver is None:
                    return self._refusal
                if not may_send(unknown, keeps_id=driver.capabilities.chosen_message_id):
                    return port.SendUncertain(UNKNOWN_FATE)
                try:
                    begun = await self._admit(driver, row, send)
                except TooManyNewContacts as too_many:
                    return too_many
            error = await self._hand_over(begun, row, stanza, send)
            if error is None:
                return None
            keeps_id, begun = begun.driver.capabilities.chosen_message_id, None
            unknown += isinstance(error, port.SendUncertain)
            troubles += not isinstance(error, port.NotConnected | port.SendUncertain)
            decision = verdict(error, unknown, troubles, keeps_id=keeps_id)
            await self._failed(row, error, decision)
            if decision is Verdict.REFUSE:
                return error
            await asyncio.sleep(LOST_PAUSE if decision is Verdict.WAIT else pause(unknown + troubles))

    async def _admit(self, driver: port.WhatsApp, row: Row, send: Send) -> "_Begun":
        """Wait for the limits, then note that a send begins. Raises TooManyNewContacts."""
        while True:
            try:
                return await self._account.journal.run(
                    lambda journal: self._begin(journal, driver, row, send), lazy=True
                )
            except _TooFast as fast:
                await asyncio.sleep(fast.seconds)

    def _begin(self, journal: Journal, driver: port.WhatsApp, row: Row, send: Send) -> "_Begun":
        """Ask the limits inside the transaction, which a refusal undoes (in the journal's thread)."""
        now = self._account.clock()
        chat = journal.complete(send.chat)
        stranger = journal.contact(chat) is None and journal.seen(chat.key, "", "", "written")
        if seconds := self._limiter.ask(now, new_contact=stranger):
            raise _TooFast(seconds)
        journal.set(LIMITS_KEY, self._limiter.save())
        keeps_id = driver.capabilities.chosen_message_id
        # A row has had its id since it was journaled; one of an older release gets it here.
        chosen = journal.chosen(row.id, message_id(self._account.config.owner, "", row.id))
        return _Begun(driver, chosen if keeps_id else None)

    async def _hand_over(self, begun: "_Begun", row: Row, stanza: Element, send: Send) -> PontonError | None:
        """Send, and forget the row together with noting its id pair; gives WhatsApp's error if it has one.

        Comes to its end as a whole, whoever waits for it: what has gone out must be noted. The caller goes on as soon
        as WhatsApp has answered: the journal keeps the order, and notes this end and the next begin with one sync.
        """
        answered: asyncio.Future[PontonError | None] = asyncio.get_running_loop().create_future()

        def answer(error: PontonError | None) -> None:
            if not answered.done():  # else nobody waits any more
                answered.set_result(error)

        async def whole() -> None:
            try:
                sent = await begun.driver.send(send.chat, send.content, message_id=begun.message_id, seconds=SECONDS)
            except PontonError as error:
                answer(error)
                return
            answer(None)  # wakes the caller only after `_finish` has queued its work
            await self._finish(row, lambda journal: self._sent(stanza, sent, journal), lazy=True)
            self._account.counters.sent += 1

        task = self._account.background.spawn(whole())
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
        return await answered

    def _sent(self, stanza: Element, done: port.Sent, journal: Journal) -> Rendered:
        journal.note_taken(repeats.marks(stanza))
        return pipeline.sent(stanza, done, self._account.context(journal))

    async def _failed(self, row: Row, error: PontonError, decision: Verdict) -> None:
        match error:
            case port.NotConnected():
                await self._account.journal.run(lambda journal: journal.unsent(row.id))
            case port.SendUncertain():
                self._uncertain(decision)
            case port.NewContactsBlocked():
                self._blocked()
            case _:
                pass

    def _uncertain(self, decision: Verdict) -> None:
        self._account.counters.uncertain += 1
        self._account.log(Event.SEND_WAS_UNCERTAIN, "warning", then=decision)

    async def _mark_read(self, intent: MarkRead) -> None:
        """Tell the sender; what WhatsApp does not take in time is let go, the next marker stands for it as well.

        An owner who does not want it told has read it all the same: it is not told later either.
        """
        if not self._account.choices.receipts:
            await self._account.journal.run(lambda journal: journal.mark_read(intent.pairs))
            return
        for _ in range(MARKS):
            await self._decided.wait()
            if self._driver is None:
                return
            try:
                async with asyncio.timeout(SECONDS):
                    await self._driver.mark_read(intent.chat, intent.sender, intent.ids)
            except (PontonError, TimeoutError):
                await asyncio.sleep(LOST_PAUSE)
                continue
            await self._account.journal.run(lambda journal: journal.mark_read(intent.pairs))
            return


@dataclass(frozen=True, slots=True)
class _Begun:
    """A send that the journal knows of: over which driver, and under which id if that can be chosen."""

    driver: port.WhatsApp
    message_id: str | None


def _sends(intents: Iterable[Intent]) -> Send | None:
    return next((intent for intent in intents if isinstance(intent, Send)), None)


class _TooFast(Exception):
    """The limits let the next message go in `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
