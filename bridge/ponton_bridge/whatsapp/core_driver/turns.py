"""Whose turn it is to be sent: one message of a chat at a time, in the order of the calls, and only so many in all.

Used by the driver, which so knows of each message that waits here that it was never begun.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

AT_ONCE: Final = 16  # sends under way; the core takes 64 calls, and whatsmeow encrypts one message after the other


class Turns:
    """`of` is a turn to wait for, for one chat; locks and places serve in the order in which they were asked for."""

    def __init__(self) -> None:
        self._chats: dict[str, tuple[asyncio.Lock, int]] = {}  # and how many have it or wait for it
        self._places = asyncio.Semaphore(AT_ONCE)

    @asynccontextmanager
    async def of(self, chat: str, seconds: float) -> AsyncIterator[None]:
        """Wait for the chat's turn, have it, and give it on; raises TimeoutError when it did not come in `seconds`."""
        lock, users = self._chats.get(chat, (asyncio.Lock(), 0))
        self._chats[chat] = lock, users + 1
        try:
            async with asyncio.timeout(seconds) as patience, lock, self._places:
                patience.reschedule(None)  # what follows has limits of its own
                yield
        finally:
            lock, users = self._chats.pop(chat)
            if users > 1:
                self._chats[chat] = lock, users - 1
