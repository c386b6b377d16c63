"""The neonize driver: the WhatsApp port over one client object at a time.

Used by the shard. Everything that blocks runs on two crews of threads: one thread for sending (the library has one
send lock per client anyway), three for all else. The watchdog is the session's own thread: when the library stops
delivering events (it does so on any event it cannot write), the client is stopped at once and EVENTS_STALLED told.
The library reconnects by itself what was connected once; what it has given up is told (CONNECTION_REFUSED, FAILED,
EVENTS_STALLED and every end of a link) and stays down until the link machine starts a driver again.
"""

import asyncio
import contextlib
import functools
import logging
import queue
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

from ponton_bridge.model.address import Address
from ponton_bridge.model.errors import HostError, PontonError
from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp import failures, port
from ponton_bridge.whatsapp.followup import Followup

from . import commands, environment, events, native
from .feed import Feed
from .protos import device_props
from .session import Session
from .threads import Crew

T = TypeVar("T")
log = logging.getLogger("ponton.whatsapp")

# Options ride in on the database's name: WAL is three times as fast, FULL survives a power cut (keys are not reused).
OPTIONS: Final = "?_foreign_keys=on&_journal_mode=WAL&_synchronous=FULL&_busy_timeout=10000&_x="
FIRST_CODE, NEXT_CODE = 60.0, 20.0  # seconds a QR code lives (measured)
DESKTOP: Final = 7  # DeviceProps.PlatformType
CALL_SECONDS: Final = 80.0  # the library's own patience is 75 s
STOP_SECONDS: Final = 10.0  # a client that needs longer to stop hangs; a fresh process is the way out
WORN_OUT: Final = 50  # sessions of a process; each costs 4 descriptors and 0.35 MiB that never come back (measured)
OVER: Final = frozenset(  # states after which the library would sit there for ever
    {
        *(Reason.LOGGED_OUT, Reason.PHONE_GONE, Reason.BANNED, Reason.OUTDATED, Reason.REPLACED),
        Reason.CONNECTION_REFUSED,  # a failure that it does not try again
    }
)
QR_ENDS: Final = {  # whatsmeow's words for how linking by QR ended; "success" is told by Paired
    "timeout": Reason.CODES_USED_UP,
    "passkey-request": Reason.PASSKEY_NEEDED,
    "err-client-outdated": Reason.OUTDATED,
}
NO_PASSKEY: Final = "The driver that your host uses (neonize) cannot answer WhatsApp's request for a passkey."
QR_GOES_ON: Final = frozenset({"success", "err-scanned-without-multidevice"})

CAPABILITIES: Final = port.Capabilities(
    name="neonize 0.5.2",
    chosen_message_id=False,
    acknowledges=False,
    passkey=False,
    pair_by_number=True,
    limits=(
        "WhatsApp is told that a message arrived before the bridge has it on disk: a crash may lose some.",
        "A message that was sent without an answer cannot be sent again under the same id.",
        "Accounts for which WhatsApp demands a passkey cannot be linked: that needs the WhatsApp core.",
        "A contact that could not read a message gets it again only until the bridge restarts.",
    ),
)


class WornOut(PontonError):
    """So many sessions were opened in this process that it should start afresh; nothing is wrong with the link."""


class NeonizeDriver:
    """One linked device, its keys in the SQLite file `database`, which nothing else in this process may open.

    Made on the running event loop. `device_name` is what the phone shows among its linked devices.
    """

    capabilities = CAPABILITIES

    def __init__(self, database: Path, *, device_name: str = "Ponton", clock: Callable[[], float] = time.time) -> None:
        self._loop = asyncio.get_running_loop()
        self._feed = Feed(self._loop)
        self._followup = Followup(self._loop, put=self._feed.put, bring=self._feed.bring, refresh=self._refresh)
        self._database = quote(str(database)) + OPTIONS
        self._props = device_props(os=device_name, platformType=DESKTOP).SerializeToString()
        self._clock = clock
        self._session: Session | None = None
        self._ending: asyncio.Future[None] | None = None  # the stop of the session before
        self._codes = 0
        self._linked = False
        self._draining = False
        self._available: bool | None = None
        self._sending = Crew("whatsapp-send", 1)
        self._calling = Crew("whatsapp-call", 3)

    # ---- life -------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to connect, or to link anew after an attempt or the link has ended."""
        stopped = await self._stopped()
        if self._session is not None:
            return
        if not stopped or Session.opened >= WORN_OUT:
            self._feed.end(WornOut("The connection to WhatsApp was made anew too often; the bridge starts again."))
            return
        if lacking := environment.lacking():
            log.warning("whatsapp_environment_lacking", extra={"names": ",".join(lacking)})
        self._codes = 0
        self._feed.put(port.Link(Reason.CONNECTING))
        self._session = Session(native.library(), self._database, bytes(events.READERS), self._props, self)
        self._session.start()

    async def _stopped(self) -> bool:
        """Wait until the client before is off the store, which never has two; tell whether it is."""
        if self._ending is not None:
            await asyncio.wait([self._ending], timeout=STOP_SECONDS)
        return self._ending is None or self._ending.done()

    async def stop(self) -> None:
        """Disconnect, keep the link; the event stream ends behind what the library had taken in."""
        if (session := self._session) is not None:
            self._draining = True
            await self._loop.run_in_executor(None, session.drain)
        await self._close()
        self._followup.stop()
        self._feed.end()
        self._sending.end()
        self._calling.end()

    async def _close(self) -> None:
        session, self._session = self._session, None
        self._linked = False
        if session is not None:
            await self._loop.run_in_executor(None, session.stop)

    def events(self) -> AsyncIterator[port.Delivery]:
        """Give everything that happens; `start` comes first. Raises WornOut when the process should start afresh."""
        return self._feed.read()

    def acknowledge(self, token: int, *, safe: bool = True) -> None:
        """Do nothing: this library has acknowledged before we hear of it."""

    # ---- what the library tells, on its threads ---------------------------------------------------------------

    def code(self, session: Session, text: str) -> None:
        """Take a QR code: the first lives longer."""
        if session is not self._session:
            return
        self._codes += 1
        lives = FIRST_CODE if self._codes == 1 else NEXT_CODE
        self._feed.bring(port.Code(port.CodeKind.QR, text, lives, self._codes))

    def status(self, session: Session, how: str) -> None:
        """Take the end of linking by QR."""
        if session is not self._session or how in QR_GOES_ON:
            return
        self._on_loop(self._over, session)  # first: who hears of it may start again at once
        self._feed.bring(port.PairingFailed(QR_ENDS.get(how, Reason.FAILED)))

    def event(self, session: Session, number: int, data: bytes) -> None:
        """Take an event; one that we cannot read is counted, not fatal."""
        if session is not self._session or number not in events.READERS:
            return
        try:
            heard = events.read_event(number, data, int(self._clock()))
            if port.Link(Reason.CONNECTED) in heard:
                own, push_name = commands.myself(session)
                heard = [port.Link(Reason.CONNECTED, own=own, push_name=push_name)]
        except port.NotConnected:
            return  # it was stopped meanwhile
        except Exception:  # noqa: BLE001 - a converter's bug must not become a silent hole in Go's callback
            log.warning("whatsapp_event_unreadable", extra={"number": number})
            heard = [port.Lost("event_unreadable")]
        for one in heard:
            if not isinstance(one, port.Link):
                self._feed.bring(one)
                self._on_loop(self._follow, session, one)
            elif not self._draining:  # else we hung up ourselves
                self._on_loop(self._follow, session, one)  # first: who hears of an end may start again at once
                self._feed.bring(one)

    def ended(self, session: Session, problem: str) -> None:
        """Take the end of a session's thread. Without its event stream a client acknowledges all it gets: end it."""
        session.stop()
        self._on_loop(self._ended, session, problem)

    def _on_loop(self, what: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is interested any more
            self._loop.call_soon_threadsafe(what, *arguments)

    # ---- what follows, on the loop ----------------------------------------------------------------------------

    def _follow(self, session: Session, heard: port.Event) -> None:
        if session is not self._session:
            return
        self._followup.heard(heard)
        if not isinstance(heard, port.Link):
            return
        self._linked = heard.reason is Reason.CONNECTED
        if heard.reason in OVER:
            self._over(session)

    def _over(self, session: Session) -> None:
        """Stop a session that has come to its end; nothing is opened until `start` is called again."""
        if session is self._session:
            self._session = None
            self._linked = False
            self._followup.pause()
            self._ending = self._loop.run_in_executor(None, session.stop)

    def _ended(self, session: Session, problem: str) -> None:
        """Judge why the library let go: a dead event stream, or a first connection (or a store) that failed."""
        if session is not self._session or not problem:
            return
        self._over(session)
        reason = events.ended(problem)
        if reason not in {Reason.CONNECTION_REFUSED, Reason.FAILED} or events.PROTOBUF in problem:
            self._feed.put(port.Lost("event_stream"))
        log.warning("whatsapp_session_ended", extra={"reason": reason.value, "opened": Session.opened})
        self._feed.put(port.Link(reason))

    def _refresh(self) -> None:
        """Read the address book again, and show the owner as wanted if that failed for want of a name."""
        session = self._session
        if session is None or not self._linked:
            return
        with_groups = self._followup.first_refresh

        def work() -> None:
            known = commands.contacts(session)
            named = commands.groups(session) if with_groups else ()
            self._followup.learned(known, named)
            if self._available is not None:
                commands.presence(session, available=self._available)

        self._run_quietly(work)

    def _run_quietly(self, work: Callable[[], None]) -> None:
        """Do what nobody waits for; a failure is tried again by whoever asked."""
        try:
            future = self._calling.submit(work)
        except queue.Full:
            return
        future.add_done_callback(lambda done: done.cancelled() or done.exception())

    # ---- commands ---------------------------------------------------------------------------------------------

    async def _call(self, work: Callable[[Session], T]) -> T:
        session = self._session
        if session is None:
            raise port.NotConnected("There is no connection to WhatsApp at the moment.")
        try:
            future = self._calling.submit(functools.partial(work, session))
        except queue.Full:
            raise port.NotConnected("WhatsApp has not answered earlier questions yet.") from None
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), CALL_SECONDS)
        except TimeoutError:
            raise port.NotConnected("WhatsApp did not answer in time.") from None

    async def pair_by_number(self, number: str) -> str:
        """Ask for the 8 letters; works once the first QR code was shown."""
        return await self._call(lambda session: commands.pair_by_number(session, number))

    async def passkey_answer(self, answer: str) -> None:  # noqa: ARG002 - the port's signature
        """Refuse: this library has no way to give the answer on."""
        raise HostError(NO_PASSKEY)

    async def passkey_confirm(self) -> None:
        """Refuse, as above."""
        raise HostError(NO_PASSKEY)

    async def send(
        self,
        chat: Address,
        content: port.Content,
        *,
        message_id: str | None,  # noqa: ARG002 - the library chooses; see capabilities
        seconds: float,
    ) -> port.Sent:
        """Send, one message at a time, in the order of the calls."""
        session = self._session
        if session is None or not self._linked:
            raise port.NotConnected(failures.NOT_SENT)
        try:
            future = self._sending.submit(lambda: commands.send(session, chat, content))
        except queue.Full:
            raise port.NotConnected(failures.NOT_SENT) from None
        answer = asyncio.wrap_future(future)
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())  # asked for, whoever still waits
        done, _ = await asyncio.wait([answer], timeout=seconds)
        if done:
            return answer.result()
        if future.cancel():  # it waited behind others and was never begun
            raise port.NotConnected(failures.NOT_SENT)
        answer.add_done_callback(self._late)
        raise port.SendUncertain(failures.UNCERTAIN)

    def _late(self, answer: "asyncio.Future[port.Sent]") -> None:
        """Count answers that came after the owner was told that nobody knows."""
        if not answer.cancelled() and answer.exception() is None:
            self._feed.put(port.Lost("send_answer_late"))

    async def mark_read(self, chat: Address, sender: Address, ids: Sequence[str]) -> None:
        """Tell the sender that these messages were read, in one receipt."""
        now = int(self._clock())
        await self._call(lambda session: commands.mark_read(session, chat, sender, ids, now))

    async def typing(self, chat: Address, state: port.TypingState) -> None:
        """Show what the owner is doing."""
        await self._call(lambda session: commands.typing(session, chat, state))

    async def presence(self, *, available: bool) -> None:
        """Show the owner as there or not; remembered, and shown once WhatsApp knows the owner's name."""
        self._available = available
        if self._linked:
            await self._call(lambda session: commands.presence(session, available=available))

    async def subscribe(self, who: Address) -> None:
        """Ask for a contact's presence."""
        await self._call(lambda session: commands.subscribe(session, who))

    async def lookup(self, numbers: Sequence[str]) -> dict[str, Address | None]:
        """Find people by number."""
        return await self._call(lambda session: commands.lookup(session, numbers)) if numbers else {}

    async def contacts(self) -> port.Contacts:
        """Give the address book as the library has it now."""
        return await self._call(commands.contacts)

    async def logout(self) -> None:
        """Remove this device at WhatsApp and forget its keys."""
        await self._call(commands.logout)
        self._feed.put(port.Link(Reason.UNLINKED))
        if self._session is not None:
            self._over(self._session)
