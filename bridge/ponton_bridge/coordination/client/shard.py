"""A shard's side of the Redis contract: lease, heartbeat, state, live code, commands, and its last day in figures.

Nothing here ever stops a shard but a refused epoch: with Redis away the shard goes on, and what it last said (state,
code, lease) is said again when Redis is back. Publishing is synchronous and never blocks. Called by the shard program.

One connection at rest, since a gateway may have 10,000 shards: it renews the lease and waits for commands in turns.
A second one is opened for what is said out of turn, and closed when it is idle.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Sequence
from typing import Final

from ponton_bridge.coordination.client.inbox import Handle, Inbox
from ponton_bridge.coordination.client.scripts import EpochRefused, Pen, RedisCommand
from ponton_bridge.coordination.client.wire import CALL, RedisAway, RedisRefused, Wire, entries
from ponton_bridge.coordination.contract import (
    HEARTBEAT_TTL,
    LEASE_RENEW,
    LEASE_TTL,
    STATES_MAX,
    Heartbeat,
    Keys,
    LiveCode,
    StateChange,
)
from ponton_bridge.core.backoff import delay
from ponton_bridge.core.day import BUCKET, DAY, Day

READ_COUNT: Final = 20  # commands of one read
IDLE: Final = 10.0  # seconds until the second connection is closed
FIRST_WAIT: Final = 0.2  # seconds; a restart of Redis takes about that long
LONGEST_WAIT: Final = 10.0  # seconds; below the lease's life, so that a Redis that is back knows everybody soon
RELEASE: Final = 1.0  # seconds for the last words
_AWAY: Final = (RedisAway, RedisRefused)  # a Redis that does not understand us is no use either


class ShardClient:
    """One shard's client. `away` tells whether Redis is out of reach; `changed` is called when that turns.

    `clock` gives seconds since 1970, for what is left of a code's life.
    """

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
        self._wire = Wire(url)
        self._second = Wire(url)
        self._keys = keys
        self._pen = Pen(keys, epoch, instance)
        self._changed = changed
        self._clock = clock
        self._state: StateChange | None = None
        self._code: LiveCode | None = None
        self._state_due = self._code_due = False
        self._day: Day | None = None  # until Redis has given what earlier processes left there
        self._day_due = False
        self._known = False  # Redis has taken our epoch
        self._ahead = 0.0  # seconds of Redis' clock before the loop's
        self._news = asyncio.Event()
        self._saying = asyncio.Lock()  # so that nothing is said twice

    # ---- what the shard says -----------------------------------------------------------------------------------

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

    # ---- life --------------------------------------------------------------------------------------------------

    async def run(self, handle: Handle, heartbeat: Callable[[], Heartbeat]) -> None:
        """Keep the contract until cancelled; raises EpochRefused when a newer one has taken over."""
        inbox = Inbox(self._keys, handle, self._write_aside, self._redis_now)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep(inbox, heartbeat, tasks))
                tasks.create_task(self._tell())
        except ExceptionGroup as group:
            # COMPAT: before Python 3.11.4 `except*` wraps what is raised in it. Debian 12 has 3.11.2; may go with it.
            if group.split(EpochRefused)[1] is not None:
                raise
            raise EpochRefused("A newer process serves this account.") from None
        finally:
            await self._close()

    async def release(self) -> None:
        """Give the lease back at a clean end; does its best for a second."""
        last = [["DEL", self._keys.lease], ["DEL", self._keys.heartbeat], ["DEL", self._keys.code]]
        self._code, self._code_due = None, False
        with contextlib.suppress(*_AWAY, EpochRefused, TimeoutError):
            async with asyncio.timeout(RELEASE):
                await self._pen.write(self._wire, [*self._due(), *self._day_words(), *last])
        await self._close()

    async def _close(self) -> None:
        for wire in (self._wire, self._second):
            await wire.close()

    async def _keep(self, inbox: Inbox, heartbeat: Callable[[], Heartbeat], tasks: asyncio.TaskGroup) -> None:
        """Renew and read in turns, for ever; with Redis away, try again with growing pauses."""
        failures = 0
        while True:
            try:
                await self._beat(heartbeat())
                failures = 0
                await self._read(inbox, tasks)
            except _AWAY:
                failures += 1
                self._turn(away=True)
                await self._close()
                inbox.rewind()
                await asyncio.sleep(delay(failures, random.random, FIRST_WAIT, LONGEST_WAIT))

    async def _read(self, inbox: Inbox, tasks: asyncio.TaskGroup) -> None:
        """Wait for commands until the lease is due."""
        loop = asyncio.get_running_loop()
        until = loop.time() + LEASE_RENEW
        while (left := until - loop.time()) > 0:
            if inbox.full:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await inbox.wait_for_room()
                continue
            block = max(1, int(left * 1000))
            stream = self._keys.commands
            reply = await self._wire.call(
                "XREAD", "COUNT", READ_COUNT, "BLOCK", block, "STREAMS", stream, inbox.cursor, seconds=left + CALL
            )
            await inbox.accept(entries(reply), tasks)

    async def _tell(self) -> None:
        """Say out of turn what is new; with Redis away the next renewal says it."""
        while True:
            try:
                # COMPAT: not wait_for, which swallows a cancellation that meets its result (Python 3.11; gone in 3.12)
                async with asyncio.timeout(IDLE):
                    await self._news.wait()
            except TimeoutError:
                await self._second.close()
                continue
            self._news.clear()
            if not self.away and (self._state_due or self._code_due):
                with contextlib.suppress(*_AWAY):
                    await self._say(self._second, [], lease=0.0)

    # ---- writing -----------------------------------------------------------------------------------------------

    async def _beat(self, beat: Heartbeat) -> None:
        """Renew the lease, with a heartbeat and whatever is still to be said."""
        commands: list[RedisCommand] = [
            ["HSET", self._keys.heartbeat, *_flat(beat.to_redis())],
            ["EXPIRE", self._keys.heartbeat, HEARTBEAT_TTL],
        ]
        if self._day is None:
            self._day = await self._past()
        self._day_due |= self._day.note(beat)
        if self.away:
            self._state_due, self._code_due, self._day_due = self._state is not None, True, True
        if self._day_due:
            commands += self._day_words()
        self._day_due = await self._say(self._wire, commands, lease=LEASE_TTL)
        self._turn(away=False)

    async def _past(self) -> Day:
        """Read the day that earlier processes of the account left; what cannot be read is a day of nothing."""
        try:
            return Day.from_text(await self._wire.call("GET", self._keys.day) or "")
        except (RedisRefused, ValueError):
            return Day()

    def _day_words(self) -> list[RedisCommand]:
        return [["SET", self._keys.day, self._day.to_text(), "EX", DAY + BUCKET]] if self._day else []

    async def _say(self, wire: Wire, commands: list[RedisCommand], *, lease: float) -> bool:
        """Write, and note what was said; what a Redis has lost that did not know us any more is said again.

        Gives whether Redis has lost it.
        """
        async with self._saying:
            state, code = self._state, self._code
            written = await self._pen.write(wire, [*commands, *self._due()], lease=lease)
            self._ahead = written.time - asyncio.get_running_loop().time()
            lost = written.new and self._known
            self._known = True
            self._state_due = (lost or self._state is not state) and self._state is not None
            self._code_due = lost or self._code is not code
            if self._state_due or self._code_due:
                self._news.set()
            return lost

    async def _write_aside(self, commands: Sequence[RedisCommand]) -> None:
        await self._pen.write(self._second, commands)

    def _due(self) -> list[RedisCommand]:
        """Give the commands that say what was not said yet."""
        due: list[RedisCommand] = []
        if self._state and self._state_due:
            fields = _flat(self._state.to_redis())
            due += [["DEL", self._keys.state], ["HSET", self._keys.state, *fields]]
            due.append(["XADD", self._keys.states, "MAXLEN", "~", STATES_MAX, "*", *fields])
        if self._code_due:
            left = int((self._code.expires - self._clock()) * 1000) if self._code else 0
            alive = self._code is not None and left > 0
            text = self._code.to_json() if self._code else ""
            due.append(["SET", self._keys.code, text, "PX", left] if alive else ["DEL", self._keys.code])
        return due

    def _redis_now(self) -> float:
        return asyncio.get_running_loop().time() + self._ahead

    def _turn(self, *, away: bool) -> None:
        if away != self.away:
            self.away = away
            self._changed(away)


def _flat(fields: dict[str, str]) -> list[str]:
    return [part for pair in fields.items() for part in pair]
