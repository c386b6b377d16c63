"""What the owner wants WhatsApp to show and what may be lost: typing, presence, subscriptions, as the owner chose.

Nothing waits here: with no connection, or too much under way, a wish is dropped, since the next one replaces it. Part
of the shard program.
"""

import asyncio
from typing import Final

from ponton_bridge.features.context import Intent, SetPresence, SetTyping, Subscribe
from ponton_bridge.model.errors import PontonError
from ponton_bridge.model.states import TABLE, Phase, Reason
from ponton_bridge.shard.account import Account
from ponton_bridge.whatsapp import port

AT_ONCE: Final = 20  # wishes under way
SECONDS: Final = 20.0  # for one


class Wishes:
    """`act` begins a wish and returns at once."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._driver: port.WhatsApp | None = None
        self._subscribed: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def link(self, reason: Reason, driver: port.WhatsApp | None) -> None:
        """Take the link's new state; with a new connection WhatsApp is told again whether the owner is there."""
        before, self._driver = self._driver, driver if TABLE[reason].phase is Phase.RUNNING else None
        if self._driver and before is None:
            self._subscribed.clear()
            self.act(SetPresence(self._account.live.available))

    def act(self, intent: Intent) -> None:
        """Begin, if it can be done now."""
        driver, choices = self._driver, self._account.choices
        if driver is None or len(self._tasks) >= AT_ONCE:
            return
        if isinstance(intent, SetTyping) and not choices.typing:
            return
        if isinstance(intent, SetPresence) and not choices.presence:
            intent = SetPresence(available=False)
        if isinstance(intent, Subscribe):
            if intent.who.key in self._subscribed:
                return
            self._subscribed.add(intent.who.key)
        task = self._account.background.spawn(_carry_out(driver, intent))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _carry_out(driver: port.WhatsApp, intent: Intent) -> None:
    try:
        async with asyncio.timeout(SECONDS):
            match intent:
                case SetTyping(chat, state):
                    await driver.typing(chat, state)
                case SetPresence(available):
                    await driver.presence(available=available)
                case Subscribe(who):
                    await driver.subscribe(who)
                case _:
                    pass
    except (PontonError, TimeoutError):
        return  # stale by now
