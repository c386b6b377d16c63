"""A scripted WhatsApp behind the port, in this process: for tests of how the shard is put together.

    whatsapp = FakeWhatsApp()
    whatsapp.say(Message(...)); await whatsapp.called("send")

Everything asked of it is kept in `calls`; answers can be scripted with `answers[name]`: results or errors that are used
up one by one. Each event has a token; `acknowledged` holds those that were.
"""

import asyncio
import itertools
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ponton_bridge.model.address import Address
from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp import port

DEADLINE = 10.0  # seconds; every wait has one


@dataclass(frozen=True, slots=True)
class Call:
    """One thing that was asked, in order."""

    name: str
    arguments: tuple[Any, ...]


class FakeWhatsApp:
    """The service and the phone; `driver` makes drivers for it, one at a time. `linked` = there are keys."""

    def __init__(self, *, linked: bool = False, chosen_message_id: bool = False, connects: bool = True) -> None:
        self.linked = linked
        self.connects = connects
        self.capabilities = port.Capabilities(
            "fake", chosen_message_id=chosen_message_id, acknowledges=True, passkey=True
        )
        self.calls: list[Call] = []
        self.answers: dict[str, deque[object]] = defaultdict(deque)
        self.acknowledged: set[int] = set()
        self.live: FakeDriver | None = None
        self.drivers = 0
        self.gates: dict[str, asyncio.Event] = {}  # number -> what sends to it wait for
        self.tokens = itertools.count(1)
        self._news = asyncio.Event()
        self._ids = itertools.count(1)

    @property
    def running(self) -> bool:
        """Whether a driver runs and has said how it begins."""
        return self.live is not None and self.live.started

    def make(self, database: Path) -> "FakeDriver":
        """Make a driver; two at once would be two sockets of one device."""
        assert self.live is None, "two drivers at once"
        database.touch()
        self.drivers += 1
        self.live = FakeDriver(self)
        return self.live

    def say(self, event: port.Event) -> int:
        """Bring an event; gives its token."""
        assert self.live is not None, "no driver runs"
        token = next(self.tokens)
        self.live.queue.put_nowait(port.Delivery(event, token))
        return token

    def connect(self) -> None:
        """Let the device connect."""
        self.say(port.Link(Reason.CONNECTED, own=Address(number="4915100000001", lid="100000001")))

    def scan(self) -> None:
        """Let the phone scan the code."""
        self.linked = True
        self.say(port.Paired(Address(number="4915100000001", lid="100000001")))
        self.connect()

    def lose(self, reason: Reason = Reason.CONNECTION_LOST) -> None:
        """Let the connection go."""
        self.say(port.Link(reason))

    def hold(self, number: str) -> asyncio.Event:
        """Let sends to a number wait until the event is set."""
        self.gates[number] = asyncio.Event()
        return self.gates[number]

    def texts(self) -> list[tuple[str | None, str]]:
        """Give what was sent: number and text, in order."""
        sends = [call.arguments for call in self.calls if call.name == "send"]
        return [(chat.number, content.body) for chat, content, _ in sends]

    def called(self, name: str) -> list[tuple[Any, ...]]:
        """Give the arguments of all calls of that name."""
        return [call.arguments for call in self.calls if call.name == name]

    async def until(self, condition: Callable[[], bool], what: str = "the calls") -> None:
        """Wait until something holds, looking again at each call and acknowledgement."""
        try:
            async with asyncio.timeout(DEADLINE):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise TimeoutError(f"{what} did not come; there were {self.calls}") from None

    def note(self, name: str, *arguments: object) -> object:
        """Keep a call; raises or gives what is scripted for it."""
        self.calls.append(Call(name, arguments))
        self._news.set()
        scripted = self.answers[name].popleft() if self.answers[name] else None
        if isinstance(scripted, Exception):
            raise scripted
        return scripted

    def wake(self) -> None:
        """Let who waits look again."""
        self._news.set()

    def confirm(self, token: int) -> None:
        """Keep an acknowledgement."""
        self.acknowledged.add(token)
        self._news.set()

    def fresh_id(self) -> str:
        """Give the next message id."""
        return f"3EB0{next(self._ids):016X}"


class FakeDriver:
    """One driver object of it."""

    def __init__(self, service: FakeWhatsApp) -> None:
        self.capabilities = service.capabilities
        self.queue: asyncio.Queue[port.Delivery | Exception | None] = asyncio.Queue()
        self.started = False
        self.sending: set[str | None] = set()  # numbers to which a send is under way
        self._service = service

    async def start(self) -> None:
        """Connect, or give a code."""
        self._service.note("start")
        self._service.say(port.Link(Reason.CONNECTING))
        if self._service.linked and self._service.connects:
            self._service.connect()
        elif not self._service.linked:
            self._service.say(port.Code(port.CodeKind.QR, f"2@code-{self._service.drivers}-1", 60.0, 1))
        self.started = True
        self._service.wake()

    async def stop(self) -> None:
        """Disconnect."""
        self._service.note("stop")
        if self._service.live is self:
            self._service.live = None
        self.queue.put_nowait(None)

    async def events(self) -> AsyncIterator[port.Delivery]:
        """Give what was said."""
        while (delivery := await self.queue.get()) is not None:
            if isinstance(delivery, Exception):
                raise delivery
            yield delivery

    def fail(self, error: Exception) -> None:
        """Let the stream of events end with an error."""
        self.queue.put_nowait(error)

    def acknowledge(self, token: int, *, safe: bool = True) -> None:
        """Take an acknowledgement."""
        assert safe
        self._service.confirm(token)

    async def pair_by_number(self, number: str) -> str:
        """Give eight letters."""
        return str(self._service.note("pair_by_number", number) or "ABCD-EFGH")

    async def passkey_answer(self, answer: str) -> None:
        """Take a passkey's answer."""
        self._service.note("passkey_answer", answer)

    async def passkey_confirm(self) -> None:
        """Take the word that the codes are the same."""
        self._service.note("passkey_confirm")

    async def send(self, chat: Address, content: port.Content, *, message_id: str | None, seconds: float) -> port.Sent:
        """Take a message."""
        assert seconds > 0
        self.sending.add(chat.number)
        if gate := self._service.gates.get(chat.number or ""):
            await gate.wait()
        self.sending.discard(chat.number)
        self._service.note("send", chat, content, message_id)
        return port.Sent(message_id or self._service.fresh_id(), int(time.time()))

    async def mark_read(self, chat: Address, sender: Address, ids: Sequence[str]) -> None:
        """Take a read receipt."""
        self._service.note("mark_read", chat, sender, tuple(ids))

    async def typing(self, chat: Address, state: port.TypingState) -> None:
        """Take a chat state."""
        self._service.note("typing", chat, state)

    async def presence(self, *, available: bool) -> None:
        """Take a presence."""
        self._service.note("presence", available)

    async def subscribe(self, who: Address) -> None:
        """Take a subscription."""
        self._service.note("subscribe", who)

    async def lookup(self, numbers: Sequence[str]) -> dict[str, Address | None]:
        """Find nobody."""
        self._service.note("lookup", tuple(numbers))
        return dict.fromkeys(numbers)

    async def contacts(self) -> port.Contacts:
        """Give an empty address book."""
        self._service.note("contacts")
        return port.Contacts(())

    async def logout(self) -> None:
        """Forget the device."""
        self._service.note("logout")
        self._service.linked = False
