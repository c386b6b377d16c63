"""The parts of one shard, put together, run and ended; holds no rules of its own. Made by `program`.

SIGTERM: let the sends under way end, take nothing more from WhatsApp, bring over what is journaled, give back the
lease. What is not done in time is in the journal, and the next process does it.
"""

import asyncio
import contextlib
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from ponton_bridge.coordination.client.scripts import EpochRefused
from ponton_bridge.coordination.client.shard import ShardClient
from ponton_bridge.coordination.contract import Heartbeat
from ponton_bridge.core import events as on
from ponton_bridge.core.limiter import Limiter
from ponton_bridge.core.link import Link
from ponton_bridge.core.pairing import Pairing
from ponton_bridge.features.context import SetPresence
from ponton_bridge.model.states import Reason
from ponton_bridge.shard.account import Account
from ponton_bridge.shard.commands import CHOICES_KEY, Commands, newest
from ponton_bridge.shard.driver import LINK_EVENTS, Acknowledge, DriverLife, Make
from ponton_bridge.shard.ending import ended_before
from ponton_bridge.shard.events import Event
from ponton_bridge.shard.inbox import Hooks, Inbox
from ponton_bridge.shard.incoming import Incoming
from ponton_bridge.shard.linking import LINKED, PHONE_SEEN, TOLD, Linking
from ponton_bridge.shard.outbox import Outbox
from ponton_bridge.shard.outgoing import LIMITS_KEY, Outgoing
from ponton_bridge.shard.owner import Owner
from ponton_bridge.shard.showing import Showing
from ponton_bridge.shard.wishes import Wishes
from ponton_bridge.store.journal import Counts, Journal
from ponton_bridge.store.opening import LOCK
from ponton_bridge.whatsapp import port
from ponton_bridge.xmpp.stream import Closed, Opened, ShardStream, StreamSettings

SENDS: Final = 5.0  # seconds for the sends under way, of DRAIN
DRAIN: Final = 20.0  # seconds for everything at the end; Kubernetes kills after 30 by default
LOOK: Final = 5.0  # seconds between two looks at the load; a heartbeat goes as often
PULSE: Final = 3.0  # seconds between two signs that this loop turns; 15 without one end a shard (docs/local.md)
SETTLE: Final = 5.0  # seconds after a stream was opened until the owner's clients are known again
PHONE_STEP: Final = 60  # seconds by which the phone must have been seen later to be worth an event
PAGE_KIB: Final = os.sysconf("SC_PAGE_SIZE") // 1024


@dataclass(frozen=True, slots=True)
class Kept:
    """What the journal kept of earlier processes."""

    cursor: tuple[str, int]
    linked: bool
    phone_seen: float
    told: str
    limits: str
    choices: str

    @classmethod
    def read(cls, journal: Journal) -> Self:
        """Read it (in the journal's thread)."""
        return cls(
            cursor=journal.cursor(),
            linked=bool(journal.get(LINKED)),
            phone_seen=float(journal.get(PHONE_SEEN, "0")),
            told=journal.get(TOLD),
            limits=journal.get(LIMITS_KEY),
            choices=journal.get(CHOICES_KEY),
        )

    def told_in(self, epoch: int) -> Reason | None:
        """Give what this epoch has told last: a restarted container does not repeat it, a new shard does."""
        of, _, reason = self.told.partition(":")
        return Reason(reason) if of == str(epoch) else None


class Shard:
    """One account's parts; `run` gives the reason with which it ended."""

    def __init__(self, account: Account, make: Make, client: ShardClient, kept: Kept) -> None:
        config = account.config
        self._account, self._client = account, client
        self._counts = Counts(0, 0)
        self._phone_seen = 0
        account.choices = newest(kept.choices, config.choices)
        self.stream = ShardStream(
            StreamSettings(
                config.domain,
                config.owner,
                config.epoch,
                config.instance,
                config.secret,
                config.xmpp_host,
                config.xmpp_port,
                config.xmpp_ca,
            ),
            kept.cursor,
            covered=self._covered,
            random=random.random,
        )
        self.outbox = Outbox(account, self.stream)
        pairing = Pairing(total=config.codes, random=random.random, ended=ended_before(config.store, config.epoch))
        machine = Link(
            pairing,
            linked=kept.linked,
            random=random.random,
            phone_seen=kept.phone_seen,
            told=kept.told_in(config.epoch),
        )
        self.linking = Linking(
            account, machine, stream=self.stream, outbox=self.outbox, publisher=client, linked=kept.linked
        )
        self.wishes = Wishes(account)
        self.outgoing = Outgoing(
            account,
            _limiter(account, kept.limits),
            emitted=self.outbox.news,
            blocked=lambda: self.linking.feed(on.ContactsBlocked()),
            act=self.wishes.act,
        )
        self.incoming = Incoming(account, self.outbox, self.outgoing.settled)
        self.driver = DriverLife(account, make, self._take)
        self.owner = Owner(account, self.stream, self.linking.feed)
        self.showing = Showing(account, self.stream, self.owner.is_here)
        self.linking.attach(self.driver, self.owner, self.showing, self.outgoing, self.wishes)
        hooks = Hooks(
            opened=self._opened,
            closed=self._closed,
            presence=self.owner.presence,
            act=self.wishes.act,
            journaled=self.outgoing.news,
            emitted=self.outbox.news,
            follow=self.outbox.follow,
        )
        self.inbox = Inbox(account, self.stream, hooks)
        self.commands = Commands(account, self.linking, self.owner, self.outbox, self._chosen)

    @classmethod
    async def make(cls, account: Account, make: Make, client: ShardClient) -> Self:
        """Read what was kept and put the parts together; nothing is connected yet."""
        return cls(account, make, client, await account.journal.run(Kept.read))

    # --- life ---

    async def run(self, stop: asyncio.Event) -> str:
        """Run until the link machine ends for good, or `stop`; an error of any part is raised."""
        async with asyncio.TaskGroup() as group:
            parts = [
                self._stream_until_fenced(),
                self.inbox.run(),
                self.outbox.run(),
                self.outgoing.run(),
                self.showing.run(),
                self._account.background.run(),
                self._coordinate(),
                self._watch_load(),
                self._pulse(),
            ]
            tasks = [group.create_task(part) for part in parts]
            link = group.create_task(self.linking.run())
            told = group.create_task(stop.wait())
            await asyncio.wait([link, told], return_when=asyncio.FIRST_COMPLETED)
            reason = str(link.result()) if link.done() else "told"
            link.cancel()  # from here on nothing is made again, whatever happens
            try:
                async with asyncio.timeout(DRAIN):
                    await self._drain()
            except TimeoutError:
                self._account.log(Event.DRAIN_CUT_SHORT, "warning")
            for task in [*tasks, told]:
                task.cancel()
        await self._client.release()
        return reason

    async def _drain(self) -> None:
        self.outgoing.close()
        try:
            async with asyncio.timeout(SENDS):
                await self.outgoing.drained()
        except TimeoutError:
            self._account.log(Event.DRAIN_CUT_SHORT, "warning", what="sends")
        await self.driver.stop()
        await self.incoming.drained()
        self.showing.close()
        self.owner.close()
        if self.stream.session is not None:  # else the rows wait for the next process
            await self.outbox.drained()
        await self.stream.close()

    def _covered(self, seq: int) -> None:
        self.outbox.covered(seq)

    async def _stream_until_fenced(self) -> None:
        if await self.stream.run() is not None:
            self.linking.feed(on.Fenced())

    async def _coordinate(self) -> None:
        try:
            await self._client.run(self.commands.handle, self._heartbeat)
        except EpochRefused:
            self.linking.feed(on.Fenced())

    # --- what happens ---

    async def _opened(self, opened: Opened) -> None:
        self._account.log(Event.STREAM_OPENED, turn=opened.number)
        await self.outbox.opened(opened)
        await self.owner.opened()
        self.linking.feed(on.XmppOpened())
        self.linking.republish()
        self._account.background.spawn(self._settle(opened))

    def _chosen(self) -> None:
        self.wishes.act(SetPresence(self._account.live.available))

    async def _settle(self, opened: Opened) -> None:
        """If nobody of the owner's has shown up again after a break WhatsApp has to know."""
        await asyncio.sleep(SETTLE)
        if self.stream.session is opened and not self._account.live.available:
            self.wishes.act(SetPresence(available=False))

    async def _closed(self, closed: Closed) -> None:
        event = Event.STREAM_FENCED if closed.condition == "conflict" else Event.STREAM_CLOSED
        self._account.log(
            event, "warning", condition=closed.condition, opened=closed.opened, wait=round(closed.wait, 1)
        )
        if closed.opened:
            self.outbox.closed(closed.condition)
            self.linking.feed(on.XmppClosed())
            self.linking.republish()

    async def _take(self, event: port.Event, acknowledge: Acknowledge) -> None:
        """Send an event of the driver where it belongs."""
        if isinstance(event, LINK_EVENTS):
            self.linking.feed(event)
            acknowledge(True)  # noqa: FBT003 - safe: the one argument of a callback
            return
        if (
            isinstance(event, port.Message | port.Receipt)
            and event.from_me
            and event.time > self._phone_seen + PHONE_STEP
        ):
            self._phone_seen = event.time
            self.linking.feed(on.PhoneSeen(event.time))
        await self.incoming.take(event, acknowledge)

    async def _pulse(self) -> None:
        """Show whoever runs us that we are at work, by the time of the store's lock file."""
        lock = self._account.config.store / LOCK
        while True:
            with contextlib.suppress(OSError):  # a disk that refuses this ends us elsewhere, and says so
                await asyncio.to_thread(os.utime, lock)
            await asyncio.sleep(PULSE)

    # --- figures ---

    async def _watch_load(self) -> None:
        while True:
            self._counts = await self._account.journal.run(lambda journal: journal.counts())
            await asyncio.sleep(LOOK)

    def _heartbeat(self) -> Heartbeat:
        config, counters, machine = self._account.config, self._account.counters, self.linking.machine
        return Heartbeat(
            epoch=config.epoch,
            instance=config.instance,
            time=time.time(),
            reason=machine.reason,
            since=machine.since,
            xmpp=int(self.stream.session is not None),
            paired=int(self.linking.linked),
            queue_out=self._counts.outgoing,
            queue_in=self._counts.outbox,
            sent=counters.sent,
            received=counters.received,
            lost=counters.lost,
            uncertain=counters.uncertain,
            rss=int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_KIB,
            phone_seen=machine.phone_seen,
        )


def _limiter(account: Account, kept: str) -> Limiter:
    limits = account.config.limits
    limiter = Limiter(limits.per_minute, limits.burst, limits.contacts_per_hour, limits.contacts_per_day)
    limiter.load(kept, account.clock())
    return limiter
