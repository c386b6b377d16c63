"""Feeds the link machine and carries out what it wants: the one place where the link's effects become deeds.

Events come from the stream, the driver, the doors and the clock; they are worked off one after another, effects in
their order. What takes long runs beside it and comes back as an event. Part of the shard program.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, Protocol, TypeVar
from xml.etree.ElementTree import Element

from ponton_bridge.coordination.contract import LiveCode, StateChange
from ponton_bridge.core import effects as do
from ponton_bridge.core import events as on
from ponton_bridge.core.link import Link
from ponton_bridge.core.link_table import State
from ponton_bridge.core.pairing import NOT_ASKED
from ponton_bridge.features import contacts, presence
from ponton_bridge.model.errors import OwnerError, PontonError
from ponton_bridge.model.serial import dump
from ponton_bridge.model.states import TABLE, Phase, Reason
from ponton_bridge.shard.account import Account
from ponton_bridge.shard.driver import DriverLife
from ponton_bridge.shard.ending import LastState, leave
from ponton_bridge.shard.events import Event
from ponton_bridge.shard.outbox import Outbox
from ponton_bridge.shard.owner import Owner
from ponton_bridge.shard.showing import Showing
from ponton_bridge.store.journal import Journal
from ponton_bridge.whatsapp import port
from ponton_bridge.xmpp.stream import ShardStream

T = TypeVar("T")

LINKED: Final = "linked"  # settings in the journal
TOLD: Final = "told"  # <epoch>:<reason>
PHONE_SEEN: Final = "phone_seen"
LOGOUT_SECONDS: Final = 20.0  # for WhatsApp's answer; the machine's own limit for unlinking
LETTERS_SECONDS: Final = 30.0  # for the eight letters
PASSKEY_SECONDS: Final = 60.0  # for WhatsApp to take a passkey's answer, or the word on the codes
PHONE_STEP: Final = 3600.0  # seconds by which the phone must have been seen later to be worth a write
NO_LETTERS: Final = "WhatsApp did not give a code in time. Try again, or scan the picture."
NOT_TAKEN: Final = "WhatsApp did not take the answer of your passkey in time. Try again."
WAITING: Final = frozenset({State.WAITING, State.WAITING_TO_LEAVE})
CONNECTS: Final = frozenset({State.CONNECTING, State.CONNECTED})  # only with keys
ASKING: Final = frozenset({port.CodeKind.PASSKEY, port.CodeKind.COMPARE})
GONE: Final = frozenset({Phase.WAITING_FOR_SCAN, Phase.PARKED})  # contacts cannot be written to: show them so


class Publisher(Protocol):
    """Where states and codes are published; never blocks (coordination.client)."""

    def publish_state(self, change: StateChange) -> None:
        """Say how the link is."""

    def publish_code(self, code: LiveCode) -> None:
        """Say which code can be used."""

    def clear_code(self) -> None:
        """Say that none can."""


class Listener(Protocol):
    """Who has to know of each change of the link."""

    def link(self, reason: Reason, driver: port.WhatsApp | None) -> None:
        """Take the new reason, and the driver if there is one."""


class Linking:
    """`feed` takes an event; `run` ends when the shard has to stop for good, with the reason.

    `linked` = there are keys. The driver and the listeners are given by `attach`, before `run`.
    """

    def __init__(
        self,
        account: Account,
        machine: Link,
        *,
        stream: ShardStream,
        outbox: Outbox,
        publisher: Publisher,
        linked: bool,
    ) -> None:
        self.machine = machine
        self.linked = linked
        self._account = account
        self._stream = stream
        self._outbox = outbox
        self._publisher = publisher
        self._events: asyncio.Queue[on.Event] = asyncio.Queue()
        self._driver: DriverLife
        self._owner: Owner
        self._showing: Showing
        self._listeners: tuple[Listener, ...] = ()
        self._ready = asyncio.Event()  # the XMPP server has let us in once: the pairing machine listens
        self._letters: set[asyncio.Future[str]] = set()  # who waits for the eight letters
        self._unlinks: set[asyncio.Future[bool]] = set()  # who waits for the end of the link
        self._hands: dict[int, asyncio.Future[None]] = {}  # by the event that they gave: who waits for a word on it
        self._hand: asyncio.Future[None] | None = None  # of these, who gave the event that is worked off now
        self._anew = False  # linked in this process: the roster is pushed whole once
        self._around = False  # contacts were shown as there
        self._seen = machine.phone_seen

    def attach(self, driver: DriverLife, owner: Owner, showing: Showing, *listeners: Listener) -> None:
        """Give what it works with; they know it, too."""
        self._driver, self._owner, self._showing, self._listeners = driver, owner, showing, listeners

    def feed(self, event: on.Event) -> None:
        """Queue an event."""
        self._events.put_nowait(event)

    async def run(self) -> Reason:
        """Work off events until the machine stops for good; gives why."""
        while not self.machine.ended:
            event = await self._next()
            self._hand = self._hands.get(id(event))
            effects = self.machine.receive(event, self._account.clock())
            if self.machine.state not in WAITING:
                self._ready.set()
            await self._remember()
            for effect in effects:
                await self._do(effect)
            self._reply(effects)
            if self.machine.state in {State.UNLINKED, State.ENDED}:
                _resolve(self._unlinks, True)  # noqa: FBT003 - the result
        return self.machine.reason

    async def _next(self) -> on.Event:
        due = self.machine.due
        try:
            async with asyncio.timeout(None if due is None else max(0.0, due - self._account.clock())):
                return await self._events.get()
        except TimeoutError:
            return on.Tick()

    # --- asked by doors; all wait, the caller has the deadline ---

    async def new_code(self, *, watching: bool) -> None:
        """Let codes be shown; `watching`: on a page, whoever is online."""
        await self._ready.wait()
        self.feed(on.NewCode(watching))

    async def letters(self, number: str) -> str:
        """Ask for the eight letters for a phone; raises what WhatsApp says instead."""
        await self._ready.wait()
        return await self._asked(self._letters, on.PhoneAsked(number))

    def asked(self) -> LiveCode | None:
        """Give what WhatsApp asks of the owner now, a passkey or codes to compare, with the seconds left as its end."""
        code = self.machine.pairing.code
        if code is None or code.kind not in ASKING:
            return None
        return replace(code, expires=code.expires - self._account.clock())

    async def passkey(self, answer: str) -> None:
        """Give a passkey's answer (JSON) to WhatsApp; raises a sentence when it cannot be used or was not taken."""
        await self._by_hand(on.PasskeyGiven(answer))

    async def compared(self, *, same: bool) -> None:
        """Take the owner's word on the codes; raises a sentence when nobody waits for it, or WhatsApp refuses."""
        await self._by_hand(on.CodesCompared(same))

    async def unlink(self) -> bool:
        """End the link; tells whether that worked."""
        return await self._asked(self._unlinks, on.Unlink())

    async def _asked(self, waiters: "set[asyncio.Future[T]]", event: on.Event) -> T:
        waiter: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        waiters.add(waiter)
        self.feed(event)
        try:
            return await waiter
        finally:
            waiters.discard(waiter)

    async def _by_hand(self, event: on.Event) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._hands[id(event)] = waiter
        self.feed(event)
        try:
            await waiter
        finally:
            del self._hands[id(event)]

    def _reply(self, effects: Sequence[do.Effect]) -> None:
        """Tell who gave this event that it was done or meant nothing; what goes to WhatsApp has a word of its own."""
        if self._hand is None or any(isinstance(effect, do.AnswerPasskey | do.ConfirmPasskey) for effect in effects):
            return
        if effects:
            _resolve({self._hand}, None)
        else:
            _refuse({self._hand}, OwnerError(NOT_ASKED))

    # --- deeds ---

    async def _do(self, effect: do.Effect) -> None:
        match effect:
            case do.StartDriver():
                await self._driver.start()
            case do.StopDriver():
                await self._driver.stop()
            case do.RestartDriver():
                await self._driver.stop()
                await self._driver.start()
            case do.ForgetKeys():
                await self._driver.forget()
                await self._keep(LINKED, "")
                self.linked = False
            case do.SetReason(reason, since, until):
                await self._set_reason(reason, since, until)
            case do.Tell(reason, until):
                await self._tell(reason, until)
            case do.StopForGood():
                pass  # `run` ends with it
            case _:
                self._say(effect)

    def _say(self, effect: do.Effect) -> None:
        """Carry out what only says something, or what comes back as an event."""
        match effect:
            case do.ShowCode() | do.ExpireCode():
                self._showing.do(effect)
            case do.PublishCode(code):
                self._publisher.publish_code(code)
            case do.ClearCode():
                self._publisher.clear_code()
            case do.NotUnlinked():
                _resolve(self._unlinks, False)  # noqa: FBT003 - the result
            case do.Logout():
                self._account.background.spawn(self._logout())
            case do.AskPhoneCode(number):
                self._account.background.spawn(self._ask_letters(number))
            case do.AnswerPasskey(answer):
                self._account.background.spawn(self._passkey(lambda driver: driver.passkey_answer(answer), self._hand))
            case do.ConfirmPasskey():
                self._account.background.spawn(self._passkey(lambda driver: driver.passkey_confirm(), self._hand))
            case do.RefusePasskey(problem):
                _refuse({self._hand} if self._hand else set(), problem)
            case _:
                raise AssertionError(f"an effect that nobody carries out: {type(effect).__name__}")

    async def _logout(self) -> None:
        try:
            async with asyncio.timeout(LOGOUT_SECONDS):
                await self._with_driver(lambda driver: driver.logout())
        except (PontonError, TimeoutError) as error:
            self._account.log.failure(Event.REQUEST_FAILED, error, "warning", what="logout")
            self.feed(on.Unlinked(ok=False))
        else:
            self.feed(on.Unlinked(ok=True))

    async def _ask_letters(self, number: str) -> None:
        try:
            async with asyncio.timeout(LETTERS_SECONDS):
                letters = await self._with_driver(lambda driver: driver.pair_by_number(number))
        except (PontonError, TimeoutError) as error:
            self._account.log.failure(Event.REQUEST_FAILED, error, "warning", what="letters")
            problem = error if isinstance(error, PontonError) else port.NotConnected(NO_LETTERS)
            self.feed(on.PhoneRefused())
            _refuse(self._letters, problem)
        else:
            self.feed(on.PhoneCode(letters))
            _resolve(self._letters, letters)

    async def _passkey(
        self, ask: Callable[[port.WhatsApp], Awaitable[None]], waiter: "asyncio.Future[None] | None"
    ) -> None:
        waiting = {waiter} if waiter else set()
        try:
            async with asyncio.timeout(PASSKEY_SECONDS):
                await self._with_driver(ask)
        except (PontonError, TimeoutError) as error:
            self._account.log.failure(Event.REQUEST_FAILED, error, "warning", what="passkey")
            self.feed(on.PasskeyTaken(ok=False))
            _refuse(waiting, error if isinstance(error, PontonError) else port.NotConnected(NOT_TAKEN))
        else:
            self.feed(on.PasskeyTaken(ok=True))
            _resolve(waiting, None)

    async def _with_driver(self, ask: Callable[[port.WhatsApp], Awaitable[T]]) -> T:
        driver = self._driver.current
        if driver is None:
            raise port.NotConnected("There is no connection to WhatsApp at the moment.")
        return await ask(driver)

    # --- how it stands ---

    async def _set_reason(self, reason: Reason, since: float, until: float) -> None:
        config, row = self._account.config, TABLE[reason]
        self._account.log(Event.LINK_CHANGED, reason=reason, phase=row.phase)
        for listener in self._listeners:
            listener.link(reason, self._driver.current)
        self._owner.show(reason)
        state = LastState(config.epoch, config.instance, reason, since, until, int(self.linked))
        await asyncio.to_thread(leave, config.store, state)
        self.republish()
        if row.phase is Phase.RUNNING:
            await self._come()
        elif row.phase in GONE and self._around:
            await self._go()

    def republish(self) -> None:
        """Publish how it stands: at each change, and when the XMPP server comes or goes."""
        config, machine = self._account.config, self.machine
        xmpp, paired = int(self._stream.session is not None), int(self.linked)
        if machine.since:
            self._publisher.publish_state(
                StateChange(
                    config.account,
                    config.epoch,
                    config.instance,
                    machine.reason,
                    machine.since,
                    machine.until,
                    xmpp,
                    paired,
                )
            )

    async def _come(self) -> None:
        """Show the contacts as there: once per process, and with the whole roster after linking anew."""
        if self._around and not self._anew:
            return
        anew, self._anew, self._around = self._anew, False, True

        def work(journal: Journal) -> tuple[int, list[Element]]:
            context = self._account.context(journal)
            pushes = contacts.everything(context).durable if anew else []
            rows = [journal.emit(dump(stanza)) for stanza in pushes]
            return max(rows, default=0), presence.everybody(context, linked=True)

        seq, everybody = await self._account.journal.run(work)
        self._outbox.news()
        self._outbox.follow(seq, everybody)

    async def _go(self) -> None:
        self._around = False
        gone = await self._account.journal.run(
            lambda journal: presence.everybody(self._account.context(journal), linked=False)
        )
        self._outbox.follow(0, gone)

    async def _tell(self, reason: Reason, until: float) -> None:
        """Tell the owner, once: the message and the note that it was told go into the journal together."""
        sentence = TABLE[reason].sentence
        if until:
            sentence += f" WhatsApp says: until {datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M} UTC."

        def work(journal: Journal) -> None:
            self._owner.tell(journal, sentence)
            journal.set(TOLD, f"{self._account.config.epoch}:{reason}")

        await self._account.journal.run(work)
        self._outbox.news()

    async def _remember(self) -> None:
        """Keep what the next process has to know."""
        if self.machine.state in CONNECTS and not self.linked:
            self.linked = self._anew = True
            await self._keep(LINKED, "1")
        if self.machine.phone_seen >= self._seen + PHONE_STEP:
            self._seen = self.machine.phone_seen
            await self._keep(PHONE_SEEN, f"{self._seen:.0f}")

    async def _keep(self, key: str, value: str) -> None:
        await self._account.journal.run(lambda journal: journal.set(key, value))


def _resolve(waiters: "set[asyncio.Future[T]]", result: T) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(result)


def _refuse(waiters: "set[asyncio.Future[T]]", error: PontonError) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_exception(error)
