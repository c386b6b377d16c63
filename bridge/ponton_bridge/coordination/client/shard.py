"""A shard's side of the Redis contract: lease, heartbeat, state, live code, commands.

Nothing here ever stops a shard but a refused epoch: with Redis away the shard goes on, and what it last said (state,
code, lease) is said again when Redis is back. Publishing is synchronous and never blocks. Called by the shard program.
"""

import asyncio
import contextlib
import json
import random
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Final, cast

from ponton_bridge.coordination.client.connecting import AWAY, CALL, connect
from ponton_bridge.coordination.client.scripts import FENCED, EpochRefused, RedisCommand, arguments
from ponton_bridge.coordination.contract import (
    HEARTBEAT_TTL,
    LEASE_RENEW,
    LEASE_TTL,
    RESULT_TTL,
    STATES_MAX,
    Command,
    Heartbeat,
    Keys,
    LiveCode,
    Result,
    StateChange,
)
from ponton_bridge.core.backoff import delay
from ponton_bridge.model.errors import PontonError

READ_WAIT: Final = 5.0  # seconds that one read of the command stream waits
READ_COUNT: Final = 20  # commands of one read
AT_ONCE: Final = 8  # commands being worked on
REMEMBERED: Final = 100  # results kept, so that a command that comes again is answered and not done again
FIRST_WAIT: Final = 0.2  # seconds; a restart of Redis takes about that long
LONGEST_WAIT: Final = 10.0  # seconds; below the lease's life, so that a Redis that is back knows everybody soon
RELEASE: Final = 1.0  # seconds for the last words
TOO_LATE: Final = "This came too late to be done; please ask again."

Handle = Callable[[Command], Awaitable[Result]]


class ShardClient:
    """One shard's client. `away` tells whether Redis is out of reach; `changed` is called when that turns."""

    def __init__(
        self,
        url: str,
        keys: Keys,
        epoch: int,
        instance: str,
        *,
        changed: Callable[[bool], None] = lambda _away: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.away = False
        self._redis = connect(url, connections=4, longest=READ_WAIT)
        self._keys = keys
        self._epoch = epoch
        self._instance = instance
        self._changed = changed
        self._clock = clock
        self._state: StateChange | None = None
        self._code: LiveCode | None = None
        self._state_due = self._code_due = False
        self._news = asyncio.Event()
        self._results: OrderedDict[str, Result] = OrderedDict()
        self._working: set[asyncio.Task[None]] = set()

    # --- what the shard says ---

    def publish_state(self, change: StateChange) -> None:
        """Say how the link is; only the newest state matters."""
        self._state, self._state_due = change, True
        self._news.set()

    def publish_code(self, code: LiveCode) -> None:
        """Say which code can be used now."""
        self._code, self._code_due = code, True
        self._news.set()

    def clear_code(self) -> None:
        """Say that no code can be used."""
        self._code, self._code_due = None, True
        self._news.set()

    # --- life ---

    async def run(self, handle: Handle, heartbeat: Callable[[], Heartbeat]) -> None:
        """Keep the contract until cancelled; raises EpochRefused when a newer one has taken over."""
        failures = 0
        while True:
            try:
                await self._connected(handle, heartbeat)
            except AWAY:
                failures = failures + 1 if self.away else 1
                self._turn(away=True)
                await asyncio.sleep(delay(failures, random.random, FIRST_WAIT, LONGEST_WAIT))

    async def release(self) -> None:
        """Give the lease back at a clean end; does its best for a second."""
        last = [["DEL", self._keys.lease], ["DEL", self._keys.heartbeat], ["DEL", self._keys.code]]
        states = [self._state_command(self._state)] if self._state and self._state_due else []
        with contextlib.suppress(*AWAY, EpochRefused):
            async with asyncio.timeout(RELEASE):
                await self._write([*states, *last], lease=0)
        with contextlib.suppress(*AWAY):
            await self._redis.aclose()

    async def _connected(self, handle: Handle, heartbeat: Callable[[], Heartbeat]) -> None:
        """Speak and listen until Redis is lost."""
        lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        tasks = {asyncio.ensure_future(self._speak(heartbeat)), asyncio.ensure_future(self._listen(handle, lost))}
        try:
            done, _ = await asyncio.wait({*tasks, lost}, return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                ended.result()
        finally:
            tasks |= self._working
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if lost.done():
                lost.exception()  # seen
            with contextlib.suppress(*AWAY):
                await self._redis.connection_pool.disconnect()

    def _turn(self, *, away: bool) -> None:
        if away == self.away:
            return
        self.away = away
        if away:  # what Redis may have lost is said again when it is back
            self._state_due, self._code_due = self._state is not None, True
        self._changed(away)

    async def _speak(self, heartbeat: Callable[[], Heartbeat]) -> None:
        """Renew the lease every LEASE_RENEW seconds, and at once when there is news."""
        first = True
        while True:
            self._news.clear()
            state, code = self._state if self._state_due or first else None, self._code_due
            beat = heartbeat().to_redis()
            commands: list[RedisCommand] = [
                ["HSET", self._keys.heartbeat, *(part for pair in beat.items() for part in pair)],
                ["EXPIRE", self._keys.heartbeat, HEARTBEAT_TTL],
            ]
            if state is not None:
                commands.append(self._state_command(state))
            if code:
                commands.append(self._code_command())
            sent_code = self._code
            await self._write(commands, lease=LEASE_TTL)
            first = False
            self._state_due = self._state_due and self._state is not state
            self._code_due = self._code_due and self._code is not sent_code
            self._turn(away=False)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), LEASE_RENEW)

    def _state_command(self, state: StateChange) -> RedisCommand:
        fields = [part for pair in state.to_redis().items() for part in pair]
        return ["XADD", self._keys.states, "MAXLEN", "~", STATES_MAX, "*", *fields]

    def _code_command(self) -> RedisCommand:
        left = int((self._code.expires - self._clock()) * 1000) if self._code else 0
        if self._code is None or left <= 0:
            return ["DEL", self._keys.code]
        return ["SET", self._keys.code, json.dumps(asdict(self._code)), "PX", left]

    async def _write(self, commands: list[RedisCommand], *, lease: float) -> None:
        told = arguments(self._epoch, self._instance, lease, commands)
        asked = self._redis.eval(FENCED, 2, self._keys.fence, self._keys.lease, *told)
        answer = await cast("Awaitable[str]", asked)  # the library types one method for both of its clients
        if answer != "done":
            raise EpochRefused("A newer process serves this account.")

    # --- what doors ask ---

    async def _listen(self, handle: Handle, lost: "asyncio.Future[None]") -> None:
        """Read commands from the first that is still there; a handled one is deleted from the stream."""

        def ended(task: "asyncio.Task[None]") -> None:
            self._working.discard(task)
            room.release()
            if not task.cancelled() and (error := task.exception()) and not lost.done():
                lost.set_exception(error)

        last = "0"
        room = asyncio.Semaphore(AT_ONCE)
        while True:
            streams = await self._redis.xread({self._keys.commands: last}, READ_COUNT, int(READ_WAIT * 1000))
            for _, entries in streams:
                for entry, fields in entries:
                    last = entry
                    await room.acquire()
                    task = asyncio.ensure_future(self._work(entry, fields, handle))
                    self._working.add(task)
                    task.add_done_callback(ended)

    async def _work(self, entry: str, fields: dict[str, str], handle: Handle) -> None:
        """Do one command and leave its result; one that cannot be read is taken away."""
        try:
            command = Command.from_redis(fields)
        except ValueError:
            await self._write([["XDEL", self._keys.commands, entry]], lease=0)
            return
        result = self._results.get(command.id) or await self._result(command, handle)
        self._results[command.id] = result
        while len(self._results) > REMEMBERED:
            self._results.popitem(last=False)
        key = self._keys.result(command.id)
        await self._write(
            [
                ["DEL", key],
                ["RPUSH", key, json.dumps(asdict(result))],
                ["EXPIRE", key, RESULT_TTL],
                ["XDEL", self._keys.commands, entry],
            ],
            lease=0,
        )

    async def _result(self, command: Command, handle: Handle) -> Result:
        left = command.deadline - self._clock()
        if left <= 0:
            return Result(command.id, ok=0, sentence=TOO_LATE)
        try:
            async with asyncio.timeout(max(left, CALL)):
                return await handle(command)
        except PontonError as problem:
            return Result(command.id, ok=0, sentence=problem.sentence)
        except TimeoutError:
            return Result(command.id, ok=0, sentence=TOO_LATE)
