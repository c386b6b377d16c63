"""What the tests of the sandbox against the real client share: a sandbox, one child process, phones and clients."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.sandbox.node import JID
from tests.sandbox.phones.phone import Phone
from tests.sandbox.phones.reception import Habits
from tests.sandbox.probing import PATIENCE, Probe
from tests.sandbox.server import Sandbox
from tests.sandbox.world import Account, Device, Settings


@dataclass
class Client:
    """A linked real client: its name in the child, and its account and device in the sandbox."""

    bed: "Bed"
    name: str
    account: Account
    device: Device

    async def call(self, method: str, *args: object, patience: float = PATIENCE, **kwargs: object) -> Any:  # noqa: ANN401
        """Call a method of the client."""
        return await self.bed.probe.call(self.name, method, *args, patience=patience, **kwargs)

    @property
    def store(self) -> str:
        """The file of its store."""
        return str(self.bed.probe.folder / f"{self.name}.db")

    async def event(
        self, name: str, accept: Callable[[Any], object] = lambda _: True, since: int = 0, patience: float = PATIENCE
    ) -> Any:  # noqa: ANN401
        """Wait for an event of the client."""
        return await self.bed.probe.event(self.name, name, accept, since, patience)

    async def text(self, text: str, since: int = 0) -> Any:  # noqa: ANN401
        """Wait for a message with this text."""
        return await self.event("Message", lambda data: text_of(data) == text, since)

    def texts(self, since: int = 0) -> list[str]:
        """The texts of all messages that came, in order; messages without text are left out."""
        mine = [e.data for e in self.bed.probe.events[since:] if (e.client, e.name) == (self.name, "Message")]
        return [text for text in map(text_of, mine) if text]

    @property
    def phone(self) -> Phone:
        """The account's phone."""
        assert isinstance(self.account.phone, Phone)
        return self.account.phone


class Bed:
    """A sandbox and a child process with real clients; numbers are handed out fresh."""

    def __init__(self, box: Sandbox, probe: Probe) -> None:
        self.box, self.probe = box, probe
        self._numbers = itertools.count(33_600_000_001)

    def phone(self, name: str = "", habits: Habits | None = None) -> Phone:
        """A new account with a phone that keeps its app state."""
        account = self.box.world.add_account(str(next(self._numbers)), push_name=name)
        later = asyncio.get_running_loop().call_later
        phone = Phone(account, self.box.router, random=os.urandom, later=later, habits=habits or Habits())
        account.phone = phone
        if name:
            phone.rename(name)
        return phone

    async def qr(self, name: str) -> str:
        """Start a new client in the child; the text of its first code."""
        await self.probe.start(name)
        return str(await self.probe.event(name, "QR"))

    async def client(self, phone: Phone | None = None) -> Client:
        """Link a new real client to a phone's account by its code, and wait until it is connected and in sync."""
        phone = phone or self.phone("Owner")
        name = f"client-{phone.line.account.pn.user}-{phone.line.network.next_device(phone.line.account)}"
        number = phone.linking.scan(await self.qr(name))
        await self.probe.event(name, "Connected")
        account = self.box.world.account(phone.line.lid)
        assert account is not None
        client = Client(self, name, account, account.devices[number])
        if phone.habits.app_state:
            await self.until(lambda: self.collections_fetched(client.device), "the app state was fetched")
        return client

    def collections_fetched(self, device: Device) -> bool:
        """Whether a client has asked for the last of its app-state collections."""
        asked = [t.stanza for t in self.box.world.trace if t.event == "accepted" and t.who == device.lid and t.stanza]
        syncs = [iq.child("sync") for iq in asked if iq.get("xmlns") == "w:sync:app:state"]
        return any(c.get("name") == "regular_low" for sync in syncs if sync for c in sync.children)

    async def until(self, condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
        """Wait until something holds, looking each time anything happens in the sandbox; fails with `what`."""
        changed = asyncio.Event()
        listener = lambda _entry: changed.set()  # noqa: E731 - its identity is needed to take it out again
        self.box.world.listeners.append(listener)
        try:
            async with asyncio.timeout(patience):
                while not condition():
                    await changed.wait()
                    changed.clear()
                    await asyncio.sleep(0)
        except TimeoutError:
            raise AssertionError(f"never came true: {what}") from None
        finally:
            self.box.world.listeners.remove(listener)

    async def record(self, phone: Phone, kind: str, since: int = 0, **fields: object) -> dict[str, Any]:
        """Wait until a phone has seen something of a kind with these fields."""

        def found() -> list[dict[str, Any]]:
            seen = [record.as_json() for record in phone.inbox.since(since) if record.kind == kind]
            return [record for record in seen if all(record.get(key) == value for key, value in fields.items())]

        async with asyncio.timeout(PATIENCE):
            while not found():
                await phone.inbox.wait(phone.inbox.last, PATIENCE)
        return found()[0]

    def sent(self, device: Device, tag: str) -> list[Any]:
        """The stanzas of a tag that were written to a device, oldest first."""
        written = [t.stanza for t in self.box.world.trace if t.event == "sent" and t.who == device.lid]
        return [stanza for stanza in written if stanza is not None and stanza.tag == tag]

    @property
    def now(self) -> int:
        """The number of the child's next event, for `since`."""
        return len(self.probe.events)


def text_of(message: dict[str, Any]) -> str:
    """The text of a client's message event."""
    content = message.get("Message", {})
    return str(content.get("conversation") or content.get("extendedTextMessage", {}).get("text", ""))


def address(jid: JID) -> dict[str, str]:
    """An address as an argument of a call."""
    return {"jid": str(jid)}


@asynccontextmanager
async def make_bed(folder: Path, settings: Settings | None = None) -> AsyncIterator[Bed]:
    """A sandbox with one child process."""
    async with Sandbox(settings or Settings(qr_refs=2, fresh_count=100)) as box, Probe(box.config, folder) as probe:
        yield Bed(box, probe)
