"""The core driver: the WhatsApp port over one core process. Used by the shard; all on the event loop, no threads.

Events that must not be lost carry a token: WhatsApp hears of them when the shard acknowledges it. The core reconnects
by itself what is linked; when the process ends, the next one connects where it was. What is given up is told
(CONNECTION_REFUSED, FAILED, EVENTS_STALLED and every end of a link) and stays down until the link machine starts again.
"""

import asyncio
import itertools
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

from ponton_bridge.model.address import Address
from ponton_bridge.model.errors import PontonError, WhatsAppError
from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp import failures, port
from ponton_bridge.whatsapp.followup import Followup

from . import calls, events
from .child import CallFailed, Child, Frame, Gone, Unasked, command
from .codes import Codes
from .feed import Feed
from .keeper import Fall, Keeper
from .turns import Turns

log = logging.getLogger("ponton.whatsapp")

CALL_SECONDS: Final = 80.0  # whatsmeow's own patience is 75 s
CONNECT_SECONDS: Final = 60.0
GOODBYE_SECONDS: Final = 3.0  # for the connection to be closed; after that the process is ended all the same
MARGIN: Final = 1.0  # seconds that the core's own answer "no answer in time" may take to get here
BOOK_SOON: Final = 0.5  # seconds from news of a contact until the book is read: news come in crowds
NO_CONNECTION: Final = "There is no connection to WhatsApp at the moment."
OVER: Final = frozenset(  # states in which nothing is done until `start` is called
    {
        *(Reason.LOGGED_OUT, Reason.PHONE_GONE, Reason.BANNED, Reason.OUTDATED, Reason.REPLACED),
        *(Reason.CONNECTION_REFUSED, Reason.FAILED, Reason.EVENTS_STALLED, Reason.UNLINKED),
    }
)
FALLS: Final = {Fall.UNUSABLE: Reason.FAILED, Fall.STORM: Reason.EVENTS_STALLED}

CAPABILITIES: Final = port.Capabilities(
    name="core (whatsmeow 2026-09-21)",
    chosen_message_id=True,
    acknowledges=True,
    passkey=True,
    pair_by_number=True,
)


class CoreDriver:
    """One linked device, its keys in the SQLite file `database`, which nothing but the core opens.

    Made on the running event loop. `program` is the core's binary, `device_name` what the phone shows.
    """

    capabilities = CAPABILITIES

    def __init__(
        self,
        database: Path,
        program: Path,
        *,
        device_name: str = "Ponton",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._clock = clock
        self._feed = Feed()
        self._followup = Followup(self._loop, put=self._feed.put, bring=self._feed.put, refresh=self._refresh)
        self._keeper = Keeper(command(program, database, device_name), heard=self._heard, fell=self._fell)
        self._codes = Codes(self._feed.put, self._codes_over)
        self._tokens = itertools.count(1)
        self._held: dict[int, tuple[Child, int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns = Turns()
        self._leaving: asyncio.Task[None] | None = None  # the client before is let go
        self._open = False  # the core is to connect
        self._linked = False
        self._own: Address | None = None
        self._push_name = ""
        self._available: bool | None = None
        self._book: asyncio.TimerHandle | None = None

    # ---- life -------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to connect, or to link anew after an attempt or the link has ended."""
        if self._open:
            return
        self._open = True
        self._feed.put(port.Link(Reason.CONNECTING))
        self._keeper.begin()
        if self._keeper.child is not None:  # else it is told to connect when it greets
            self._spawn(self._connect(self._keeper.child))

    async def stop(self) -> None:
        """Disconnect, keep the link; the event stream ends behind what the core has told."""
        self._shut()
        if (child := self._keeper.child) is not None:
            await self._quietly(child.call("disconnect", seconds=GOODBYE_SECONDS))
        await self._keeper.end()
        for task in self._tasks:
            task.cancel()
        self._followup.stop()
        self._feed.end()

    def events(self) -> AsyncIterator[port.Delivery]:
        """Give everything that happens; `start` comes first."""
        return self._feed.read()

    def acknowledge(self, token: int, *, safe: bool = True) -> None:
        """Let WhatsApp know (or not) that an event is safe; nothing happens when its core is gone: it comes again."""
        child, number = self._held.pop(token, (None, 0))
        if child is not None:
            child.acknowledge(number, safe=safe)

    async def _connect(self, child: Child) -> None:
        if self._leaving is not None:
            await asyncio.wait([self._leaving])  # else it would let go of this one
        try:
            await child.call("connect", seconds=CONNECT_SECONDS)
        except (CallFailed, TimeoutError):
            if self._open and child is self._keeper.child:
                self._tell(port.Link(Reason.CONNECTION_REFUSED))
        except Gone:
            pass  # the next one connects

    def _shut(self) -> None:
        self._open = self._linked = False
        self._codes.stop()
        self._followup.pause()
        if self._book is not None:
            self._book.cancel()

    def _over(self) -> None:
        """Let the client go; nothing is opened until `start` is called again."""
        self._shut()
        if (child := self._keeper.child) is not None:
            self._leaving = self._spawn(self._quietly(child.call("disconnect", seconds=CALL_SECONDS)))

    def _fell(self, fall: Fall) -> None:
        """Take the end of a core that nobody asked for."""
        self._held = {token: held for token, held in self._held.items() if held[0] is self._keeper.child}
        log.warning("whatsapp_core_ended", extra={"how": fall.value, "started": self._keeper.started})
        if not self._open:
            return
        if fall in FALLS:
            self._tell(port.Link(FALLS[fall]))
        elif self._codes.running:  # its codes are void; the next core brings new ones
            self._codes.stop()
        elif self._linked:
            self._tell(port.Link(Reason.CONNECTION_LOST))

    # ---- what the core tells ----------------------------------------------------------------------------------

    def _heard(self, child: Child, frame: Frame) -> None:
        fields = frame.get("d") or {}
        if self._codes.hear(str(frame.get("e")), fields):
            return
        match frame.get("e"):
            case "Hello":
                self._own = events.address(fields.get("ID"), fields.get("LID"))
                if self._open:
                    self._spawn(self._connect(child))
                return
            case "PairPasskeyConfirmation" if fields.get("SkipHandoffUX"):
                self._spawn(self._confirm_unasked())
                return
            case "Disconnected" if self._open and not self._linked and self._own is None:
                self._codes_over()  # WhatsApp has hung up before anybody scanned
                return
            case kind if kind in events.BOOK:
                self._read_book_soon()
            case _:
                pass
        heard = self._meaning(frame)
        token = None
        if frame.get("ack"):
            if not heard:
                child.acknowledge(frame["n"], safe=True)
            else:
                token = next(self._tokens)
                self._held[token] = (child, frame["n"])
        for at, event in enumerate(heard, 1):
            self._tell(event, token if at == len(heard) else None)

    def _meaning(self, frame: Frame) -> list[port.Event]:
        try:
            return events.read_event(frame, int(self._clock()))
        except events.ODD:
            log.warning("whatsapp_event_unreadable", extra={"kind": str(frame.get("e"))})
            return events.unreadable(frame)

    def _tell(self, event: port.Event, token: int | None = None) -> None:
        """Draw the consequences first: who hears of an end may start again at once."""
        match event:
            case port.Link(reason):
                event = self._changed(event)
                if reason in OVER:
                    self._over()
            case port.Paired():
                self._codes.stop()
                self._own = event.own
            case port.Code(kind=port.CodeKind.PASSKEY):  # the phone has scanned one
                self._codes.stop()
            case port.PairingFailed():
                self._over()
            case _:
                pass
        self._followup.heard(event)
        self._feed.put(event, token)

    def _changed(self, link: port.Link) -> port.Link:
        self._linked = link.reason is Reason.CONNECTED
        if link.own is not None:
            self._own, self._push_name = link.own, link.push_name
        if link.reason in {Reason.LOGGED_OUT, Reason.PHONE_GONE, Reason.UNLINKED}:
            self._own = None
        return port.Link(link.reason, own=self._own, push_name=self._push_name) if self._linked else link

    def _codes_over(self) -> None:
        self._tell(port.PairingFailed(Reason.CODES_USED_UP))

    # ---- the address book -------------------------------------------------------------------------------------

    def _read_book_soon(self) -> None:
        if self._book is None and self._linked:
            self._book = self._loop.call_later(BOOK_SOON, self._book_due)

    def _book_due(self) -> None:
        self._book = None
        self._refresh()

    def _refresh(self) -> None:
        """Read the address book again, and show the owner as wanted if that failed for want of a name."""
        if self._linked:
            self._spawn(self._quietly(self._read_book(with_groups=self._followup.first_refresh)))

    async def _read_book(self, *, with_groups: bool) -> None:
        known = await self.contacts()
        named = calls.groups(await self._call("groups")) if with_groups else ()
        self._followup.learned(known, named)
        if self._available is not None:
            await self._call("presence", available=self._available)

    # ---- commands ---------------------------------------------------------------------------------------------

    async def _call(self, name: str, **arguments: object) -> Any:  # noqa: ANN401 - JSON
        """Ask the core; gives its answer, or raises one of the port's errors."""
        child = self._keeper.child
        if child is None or not self._open:
            raise port.NotConnected(NO_CONNECTION)
        try:
            return await child.call(name, seconds=CALL_SECONDS, **arguments)
        except Gone:
            raise port.NotConnected(NO_CONNECTION) from None
        except TimeoutError:
            raise port.NotConnected("WhatsApp did not answer in time.") from None
        except CallFailed as error:
            raise failures.of_call(error.text) from None

    async def pair_by_number(self, number: str) -> str:
        """Ask for the 8 letters; works once the first QR code was shown."""
        try:
            return str((await self._call("pair_phone", number=number))["code"])
        except port.NotConnected:
            raise
        except WhatsAppError:
            raise WhatsAppError(failures.NO_CODE) from None

    async def passkey_answer(self, answer: str) -> None:
        """Give the browser's answer on; the phone goes on from there."""
        await self._passkey_call("passkey_response", answer=json.loads(answer))

    async def passkey_confirm(self) -> None:
        """Say that the codes are the same."""
        await self._passkey_call("passkey_confirm")

    async def _passkey_call(self, name: str, **arguments: object) -> None:
        try:
            await self._call(name, **arguments)
        except port.NotConnected:
            raise
        except WhatsAppError:
            raise WhatsAppError(failures.NOT_TAKEN) from None

    async def _confirm_unasked(self) -> None:
        """Go on where the answer was quick enough for WhatsApp to do without comparing codes."""
        try:
            await self.passkey_confirm()
        except PontonError:
            if self._open and not self._linked:
                self._tell(port.PairingFailed(Reason.PASSKEY_FAILED))

    async def send(self, chat: Address, content: port.Content, *, message_id: str | None, seconds: float) -> port.Sent:
        """Send; one message of a chat at a time, in the order of the calls."""
        name, arguments = calls.sending(chat, content)
        deadline = self._loop.time() + seconds
        try:
            async with self._turns.of(chat.key, seconds):
                return await self._send(name, deadline - self._loop.time(), id=message_id or "", **arguments)
        except TimeoutError:  # it waited behind others and was never begun
            raise port.NotConnected(failures.NOT_SENT) from None

    async def _send(self, name: str, seconds: float, **arguments: object) -> port.Sent:
        child = self._keeper.child
        if child is None or not self._linked or seconds <= 0:
            raise port.NotConnected(failures.NOT_SENT)
        try:
            answer = await child.call(
                name, seconds=seconds + MARGIN, timeout_ms=max(1, int(seconds * 1000)), **arguments
            )
        except Unasked:
            raise port.NotConnected(failures.NOT_SENT) from None
        except CallFailed as error:
            raise failures.of_send(error.text) from None
        except (Gone, TimeoutError):
            raise port.SendUncertain(failures.UNCERTAIN) from None
        return calls.sent(answer)

    async def mark_read(self, chat: Address, sender: Address, ids: Sequence[str]) -> None:
        """Tell the sender that these messages were read, in one receipt."""
        if ids:
            await self._call("read", chat=chat.key, sender=sender.key, ids=list(ids), t=int(self._clock()))

    async def typing(self, chat: Address, state: port.TypingState) -> None:
        """Show what the owner is doing."""
        await self._call("typing", chat=chat.key, state=state.value)

    async def presence(self, *, available: bool) -> None:
        """Show the owner as there or not; remembered, and shown once WhatsApp knows the owner's name."""
        self._available = available
        if self._linked:
            await self._call("presence", available=available)

    async def subscribe(self, who: Address) -> None:
        """Ask for a contact's presence."""
        await self._call("subscribe", who=who.key)

    async def lookup(self, numbers: Sequence[str]) -> dict[str, Address | None]:
        """Find people by number."""
        return calls.found(numbers, await self._call("on_whatsapp", numbers=list(numbers))) if numbers else {}

    async def contacts(self) -> port.Contacts:
        """Give the address book as the core has it now."""
        return calls.contacts(await self._call("contacts"))

    async def logout(self) -> None:
        """Remove this device at WhatsApp and forget its keys."""
        await self._call("logout")
        self._tell(port.Link(Reason.UNLINKED))

    # ---- tasks ------------------------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _quietly(self, work: Awaitable[object]) -> None:
        """Do what nobody waits for; a failure is tried again by whoever asked."""
        try:
            await work
        except (PontonError, CallFailed, Gone, TimeoutError) as error:
            log.debug("whatsapp_call_failed", extra={"error": type(error).__name__})
