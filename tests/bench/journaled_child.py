"""The driver in a process of its own, with a journal behind it as in a shard: for `tests.bench.drivers` and `panics`.

Messages and receipts are acknowledged once they are in the journal and on the disk; what is sent was journaled before.
The parent hears of every hundredth message, and sends are made in here: nothing is paid that a shard does not pay.
"""

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from ponton_bridge.model.address import Address
from ponton_bridge.model.errors import PontonError
from ponton_bridge.store.journal import Journal
from ponton_bridge.store.opening import open_store
from ponton_bridge.store.worker import JournalWorker
from ponton_bridge.whatsapp import port
from ponton_bridge.whatsapp.core_driver.child import Gone
from ponton_bridge.whatsapp.core_driver.driver import CoreDriver
from ponton_bridge.whatsapp.neonize_driver import stdio
from tests.integration.driver_child import Child

TELL: Final = 100  # messages
BATCH: Final = 100  # rows taken at once, as a shard takes them from Prosody
STANZA: Final = "<message xmlns='jabber:client' to='owner@example.org' type='chat'><body>0123456789</body></message>"
SECONDS: Final = 20.0  # for one send, as in a shard
AGAIN: Final = 0.05  # seconds until a send is tried once more


class Journaled(Child):
    """A driver and a journal."""

    OWN = Child.OWN | {"send_many", "send_kept", "panic"}

    def __init__(self, folder: Path, driver: str) -> None:
        super().__init__(folder, driver)
        self._worker = JournalWorker(open_store(folder / "journal", 1))
        self._numbers = 0

    async def tell_events(self) -> None:
        """Keep what is to be kept, pass the rest on."""
        try:
            async for delivery in self.driver.events():
                if isinstance(delivery.event, port.Message | port.Receipt):
                    task = asyncio.create_task(self._keep(delivery))
                    self.tasks.add(task)
                    task.add_done_callback(self.tasks.discard)
                    continue
                self.say("event", delivery.event)
                if delivery.token is not None:
                    self.driver.acknowledge(delivery.token)
        except PontonError as error:
            self.say("event", error)

    async def _keep(self, delivery: port.Delivery) -> None:
        event = delivery.event

        def keep(journal: Journal) -> None:
            if isinstance(event, port.Message):
                journal.seen(event.chat.key, event.sender.key, event.id, "message")
            journal.covered(journal.emit(STANZA) - TELL)  # what the XMPP server has goes, as in a shard

        await self._worker.run(keep)
        if delivery.token is not None:
            self.driver.acknowledge(delivery.token)
        if isinstance(event, port.Message) and isinstance(event.content, port.Text):
            number = event.content.body.rpartition(".")[2]
            if number.isdigit() and (int(number) + 1) % TELL == 0:
                self.say("event", event)

    async def send_many(self, chats: Sequence[Address], count: int, size: int = 0) -> list[float]:
        """Send so many to each chat, one after the other there, chats beside each other; gives milliseconds each."""
        made = await asyncio.gather(*(self._to(chat, count, size) for chat in chats))
        return [took for chat in made for took in chat]

    async def _to(self, chat: Address, count: int, size: int) -> list[float]:
        took = []
        for first in range(0, count, BATCH):
            rows = await self._worker.run(lambda journal: self._take(journal, chat, BATCH))
            for number, row in enumerate(rows[: count - first], first):
                at = time.monotonic()
                name = await self._worker.run(partial(_chosen, row), lazy=True)
                content = port.Text(f"{'x' * size}o.{number}")
                await self.driver.send(chat, content, message_id=name, seconds=SECONDS)
                await self._worker.run(partial(_drop, row), lazy=True)
                took.append((time.monotonic() - at) * 1000)
        return took

    def _take(self, journal: Journal, chat: Address, count: int) -> list[int]:
        self._numbers += count
        names = [f"3EB0{self._numbers - n:018X}" for n in range(count)]
        return journal.take("bench", self._numbers, [(chat.key, STANZA)] * count, names)

    async def panic(self) -> None:
        """Let the core panic, by the call that only the sandbox's build has."""
        assert isinstance(self.driver, CoreDriver)
        child = self.driver._keeper.child  # no command of the port
        assert child is not None
        with suppress(Gone):
            await child.call("crash", seconds=SECONDS)

    async def send_kept(self, chat: Address, text: str, name: str) -> None:
        """Send until WhatsApp has it, under one id, as a shard does."""
        sent = None
        while sent is None:
            try:
                sent = await self.driver.send(chat, port.Text(text), message_id=name, seconds=SECONDS)
            except (port.NotConnected, port.SendUncertain):
                await asyncio.sleep(AGAIN)


def _chosen(row: int, journal: Journal) -> str | None:
    return journal.chosen(row, None)


def _drop(row: int, journal: Journal) -> None:
    journal.drop(row)


if __name__ == "__main__":
    stdio.keep_apart(Path(sys.argv[1]) / "last-words")

    async def main() -> None:
        """Serve on the standard streams."""
        await Journaled(Path(sys.argv[1]), sys.argv[2]).serve()

    asyncio.run(main())
    os._exit(0)
