"""Durable stanzas on their way to the owner: from the journal to the stream, in order, until Prosody has them.

The only writer of numbered stanzas. Whoever emits into the journal calls `news`; a row goes when the server's count or
the sequence number told at the opening covers it (component-shards/1, sections 1.0 and 1.6). Part of the shard program.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final
from xml.etree.ElementTree import Element

from ponton_bridge.model.serial import load
from ponton_bridge.model.xml import CLIENT, el, local_name
from ponton_bridge.shard.account import Account
from ponton_bridge.shard.ahead import Ahead
from ponton_bridge.shard.events import Event
from ponton_bridge.store.journal import Journal
from ponton_bridge.xmpp.stream import NotOpen, Opened, ShardStream

PAGE: Final = 64  # rows read at once
FRESH: Final = 256  # rows in memory between the journal and the stream; what is beyond is read again
IN_FLIGHT: Final = 512  # rows written and not covered; twice the server's window the other way
FOLLOWERS: Final = 20_000  # passing stanzas behind rows: a presence for each contact of a full roster
POISON: Final = frozenset({"policy-violation", "not-well-formed", "bad-format", "invalid-xml", "unsupported-encoding"})
PATIENCE: Final = 3  # streams that may end over the same row before a notice takes its place
FORGET_PAUSE: Final = 0.25  # seconds in which covered rows gather: each forgetting costs a sync of the disk
DRAIN_LOOK: Final = 0.05  # seconds between two looks while the shard ends
UNSENDABLE: Final = "[A message could not be shown here: look at your phone.]"


class Outbox:
    """Writes rows while a stream is open. `opened` and `closed` come from the inbox, `covered` from the stream."""

    def __init__(self, account: Account, stream: ShardStream) -> None:
        self._account = account
        self._stream = stream
        self._session: Opened | None = None
        self._changed = asyncio.Event()
        self._forget = asyncio.Event()
        self._covered = 0
        self._first = 0  # the lowest row not known to be covered on this stream
        self._suspect: tuple[int, int] = (0, 0)  # row, streams that ended over it
        self._position = 0  # the last row written on this stream
        self._followers: deque[tuple[int, Element]] = deque(maxlen=FOLLOWERS)
        self._rows: Ahead[Element] = Ahead(PAGE, FRESH)

    def news(self) -> None:
        """Look for new rows."""
        self._rows.look()
        self._changed.set()

    def bring(self, rows: Iterable[tuple[int, Element]]) -> None:
        """Take rows that were just journaled, so that they need not be read; a gap among them is read all the same."""
        if self._session:
            self._rows.bring(rows)
        self._changed.set()

    def follow(self, seq: int, stanzas: Iterable[Element]) -> None:
        """Write what may be lost after row `seq` (0: at once): a contact's presence counts behind its roster push."""
        if self._session:
            self._followers.extend((seq, stanza) for stanza in stanzas)
            self._flush()
            self._changed.set()

    def _flush(self) -> None:
        while self._due() and self._stream.keeps_up:
            self._stream.offer(self._followers.popleft()[1])

    def _due(self) -> bool:
        return bool(self._followers) and self._followers[0][0] <= self._position

    def covered(self, seq: int) -> None:
        """Note that the server has everything up to `seq`."""
        self._covered = max(self._covered, seq)
        self._first = seq + 1
        self._forget.set()
        self._changed.set()

    async def opened(self, session: Opened) -> None:
        """Square the journal with what the server has of this owner, then write on."""

        def square(journal: Journal) -> None:
            if not journal.continue_from(session.seq):  # else the store is new and its rows have moved above
                journal.covered(session.seq)

        await self._account.journal.run(square)
        self._session = session
        self._first = 0
        self._changed.set()

    def closed(self, condition: str) -> None:
        """Stop writing; remember the row at which the server would not go on."""
        self._session = None
        self._followers.clear()
        self._rows.clear()
        self._changed.set()
        if condition in POISON and self._first:
            row, times = self._suspect
            self._suspect = (self._first, times + 1 if row == self._first else 1)

    async def run(self) -> None:
        """Write rows and forget the covered ones, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._forget_rows())
            while True:
                if session := self._session:
                    await self._write_rows(session)
                await self._wait()

    async def _wait(self) -> None:
        await self._changed.wait()
        self._changed.clear()

    async def _write_rows(self, session: Opened) -> None:
        self._position = session.seq
        self._rows.look()
        while self._session is session:
            for seq, stanza in await self._rows.after(self._position, self._read):
                while self._session is session and self._stream.uncovered >= IN_FLIGHT:
                    await self._wait()
                if self._session is not session or not await self._stream.writable(session):
                    return
                self._write(seq, stanza)
                self._position = seq
                self._flush()
            while self._due() and await self._stream.writable(session):
                self._flush()
            if self._stream.uncovered:
                self._stream.ask()
            if not self._rows.pending:
                await self._wait()

    async def _read(self, after: int, most: int) -> list[tuple[int, Element]]:
        rows = await self._account.journal.run(lambda journal: journal.outbox(after, most), lazy=True)
        return [(seq, load(text)) for seq, text in rows]

    def _write(self, seq: int, stanza: Element) -> None:
        self._first = self._first or seq
        row, times = self._suspect
        if row == seq and times >= PATIENCE:
            self._account.log(Event.ROW_REPLACED, "error", kind=local_name(stanza))
            stanza = self._notice(stanza)
        try:
            self._stream.write(stanza, seq)
        except NotOpen:
            return  # the next stream writes it
        except ValueError:
            self._account.log(Event.ROW_REPLACED, "error", kind=local_name(stanza))
            self._stream.write(self._notice(stanza), seq)

    async def _forget_rows(self) -> None:
        while True:
            await self._forget.wait()
            await asyncio.sleep(FORGET_PAUSE)
            self._forget.clear()
            seq = self._covered
            await self._account.journal.run(lambda journal, seq=seq: journal.covered(seq), lazy=True)  # type: ignore[misc]  # bound at once

    async def drained(self) -> None:
        """Wait until the server has every row; for ever while it is away."""
        while (await self._account.journal.run(lambda journal: journal.counts().outbox, lazy=True)) > 0:
            self._stream.ask()
            await asyncio.sleep(DRAIN_LOOK)

    def _notice(self, stanza: Element) -> Element:
        """Say that something could not be shown, in the chat where it would have been."""
        body = el("body", CLIENT, UNSENDABLE)
        to, sender = self._account.config.owner, stanza.get("from")
        return el("message", CLIENT, body, type_="chat", from_=sender, to=to, id_=stanza.get("id"))
