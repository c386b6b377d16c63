"""The life of the WhatsApp driver: made, started, read, stopped, its keys forgotten. Part of the shard program.

One driver object at a time. What a stopped one still says of the link is not heard any more; messages that it had
taken from WhatsApp are, to the last. Carries out those effects of the link machine that are about the driver.
"""

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from ponton_bridge.model.errors import PontonError
from ponton_bridge.shard.account import Account
from ponton_bridge.shard.events import Event
from ponton_bridge.whatsapp import port

DATABASE: Final = "whatsapp.db"  # the driver's own, in the store folder
STOP_SECONDS: Final = 10.0  # for a driver to let go of its connection

LINK_EVENTS: Final = (port.Link, port.Code, port.Paired, port.PairingFailed)

Make = Callable[[Path], port.WhatsApp]
Acknowledge = Callable[[bool], None]
Take = Callable[[port.Event, Acknowledge], Awaitable[None]]


class DriverLife:
    """`take` gets each event and how to acknowledge it. A driver's error (worn out) ends the shard."""

    def __init__(self, account: Account, make: Make, take: Take) -> None:
        self.current: port.WhatsApp | None = None
        self._account = account
        self._make = make
        self._take = take
        self._reader: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Make a driver and let it connect; does nothing when one is there."""
        if self.current is not None:
            return
        self.current = self._make(self._account.config.store / DATABASE)
        self._reader = self._account.background.spawn(self._read(self.current))
        self._account.log(Event.DRIVER_STARTED, driver=self.current.capabilities.name)
        await self.current.start()

    async def stop(self) -> None:
        """Disconnect and drop the driver, once it has told what it had taken; its keys stay."""
        driver, self.current = self.current, None
        reader, self._reader = self._reader, None
        if driver is None or reader is None:
            return
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await driver.stop()
                await asyncio.wait([reader])
        except (PontonError, TimeoutError) as error:
            reader.cancel()
            self._account.log.failure(Event.DRIVER_STOPPED, error, "warning")
        else:
            self._account.log(Event.DRIVER_STOPPED)

    async def forget(self) -> None:
        """Delete the driver's database, once it has stopped."""
        await asyncio.to_thread(_delete, self._account.config.store)

    async def _read(self, driver: port.WhatsApp) -> None:
        async for delivery in driver.events():
            if driver is self.current or not isinstance(delivery.event, LINK_EVENTS):
                await self._take(delivery.event, functools.partial(_acknowledge, driver, delivery.token))


def _acknowledge(driver: port.WhatsApp, token: int | None, safe: bool) -> None:  # noqa: FBT001 - the one argument of a callback
    if token is not None:
        driver.acknowledge(token, safe=safe)


def _delete(store: Path) -> None:
    for path in store.glob(DATABASE + "*"):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
