"""Commands of the doors at a shard: each is done once by this process and answered, however often it is read.

At least once: an entry leaves the stream only together with its result. Part of `shard.ShardClient`.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from ponton_bridge.coordination.client.scripts import RedisCommand
from ponton_bridge.coordination.client.wire import RedisAway, RedisRefused
from ponton_bridge.coordination.contract import RESULT_TTL, Command, Keys, Result
from ponton_bridge.model.errors import PontonError

AT_ONCE: Final = 8  # commands being worked on
REMEMBERED: Final = 100  # results kept, so that a command that comes again is answered and not done again
LEAST: Final = 5.0  # seconds for a command that was begun in time
TOO_LATE: Final = "This came too late to be done; please ask again."

Handle = Callable[[Command], Awaitable[Result]]
Write = Callable[[Sequence[RedisCommand]], Awaitable[None]]


class Inbox:
    """`now` gives Redis' time, which doors and shards share; `write` is fenced."""

    def __init__(self, keys: Keys, handle: Handle, write: Write, now: Callable[[], float]) -> None:
        self.cursor = "0"
        self._keys = keys
        self._handle = handle
        self._write = write
        self._now = now
        self._results: OrderedDict[str, Result] = OrderedDict()
        self._working: dict[str, asyncio.Task[None]] = {}
        self._room = asyncio.Event()
        self._room.set()

    @property
    def full(self) -> bool:
        """Whether no more can be begun now."""
        return len(self._working) >= AT_ONCE

    async def wait_for_room(self) -> None:
        """Wait until one of many commands has ended."""
        self._room.clear()
        if self.full:
            await self._room.wait()

    def rewind(self) -> None:
        """Read from the first entry that is still there: after a loss, or when a result could not be left."""
        self.cursor = "0"

    async def accept(self, entries: Sequence[tuple[str, dict[str, str]]], tasks: asyncio.TaskGroup) -> None:
        """Begin what was read; what cannot be begun yet is read again, what is no command is taken away."""
        for entry, fields in entries:
            if self.full:
                return
            self.cursor = entry
            try:
                command = Command.from_redis(fields)
            except ValueError:
                await self._write([["XDEL", self._keys.commands, entry]])
                continue
            if command.id not in self._working:
                self._working[command.id] = tasks.create_task(self._work(entry, command))

    async def _work(self, entry: str, command: Command) -> None:
        try:
            result = self._results.get(command.id) or await self._result(command)
            self._results[command.id] = result
            while len(self._results) > REMEMBERED:
                self._results.popitem(last=False)
            key = self._keys.result(command.id)
            await self._write([
                ["DEL", key],
                ["RPUSH", key, result.to_json()],
                ["EXPIRE", key, RESULT_TTL],
                ["XDEL", self._keys.commands, entry],
            ])  # fmt: skip
        except (RedisAway, RedisRefused):
            self.rewind()
        finally:
            del self._working[command.id]
            self._room.set()

    async def _result(self, command: Command) -> Result:
        left = command.deadline - self._now()
        if left <= 0:
            return Result(command.id, ok=0, sentence=TOO_LATE)
        try:
            async with asyncio.timeout(max(left, LEAST)):
                return await self._handle(command)
        except PontonError as problem:
            return Result(command.id, ok=0, sentence=problem.sentence)
        except TimeoutError:
            return Result(command.id, ok=0, sentence=TOO_LATE)
        except Exception:  # noqa: BLE001  # a door waits; the handler has logged what it was
            return Result(command.id, ok=0, sentence=PontonError().sentence)
