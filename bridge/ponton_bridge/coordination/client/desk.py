"""The front desk's side of the Redis contract: the commands that the portal leaves for it, read and answered.

The same stream, results and promises as a shard's commands (`inbox`), without a fence: Prosody lets one front desk
speak, and each command bears being done twice. Called by `programs.frontdesk`.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from ponton_bridge.coordination.client.inbox import Handle, Inbox
from ponton_bridge.coordination.client.scripts import RedisCommand
from ponton_bridge.coordination.client.wire import CALL, RedisAway, RedisRefused, Wire, entries
from ponton_bridge.coordination.contract import FRONT_DESK, Keys

READ: Final = 20.0  # seconds that one read waits
RETRY: Final = 1.0  # seconds between tries while Redis is away


class DeskInbox:
    """Reads what is left for the front desk of a gateway; `handle` does one command, or raises PontonError."""

    def __init__(self, url: str, gateway: str, handle: Handle) -> None:
        self._keys = Keys(gateway, FRONT_DESK)
        self._reading, self._writing = Wire(url), Wire(url)
        self._handle = handle
        self._ahead = 0.0  # seconds that Redis' clock is ahead of ours

    async def run(self) -> None:
        """Read until cancelled; with Redis away it is tried again."""
        inbox = Inbox(self._keys, self._handle, self._write, lambda: time.time() + self._ahead)
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    try:
                        await self._read(inbox, tasks)
                    except (RedisAway, RedisRefused):
                        inbox.rewind()
                        await asyncio.sleep(RETRY)
        finally:
            await self._reading.close()
            await self._writing.close()

    async def _read(self, inbox: Inbox, tasks: asyncio.TaskGroup) -> None:
        if inbox.full:
            await inbox.wait_for_room()
        now, micros = await self._reading.call("TIME")
        self._ahead = int(now) + int(micros) / 1e6 - time.time()
        words = ("XREAD", "COUNT", 10, "BLOCK", int(READ * 1000), "STREAMS", self._keys.commands, inbox.cursor)
        await inbox.accept(entries(await self._reading.call(*words, seconds=READ + CALL)), tasks)

    async def _write(self, commands: Sequence[RedisCommand]) -> None:
        for reply in await self._writing.calls(commands):
            if isinstance(reply, RedisRefused):
                raise reply
