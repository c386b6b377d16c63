"""The control plane at Redis: users of shards, their states and heartbeats, unlinking, forgetting. For every driver.

Redis may be away at any time, and may come back without the users that were made: their passwords are derived, so
they are made again. Nothing here is ever the only copy of anything.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from ponton_bridge.coordination.client.door import DoorClient, NoAcl, user_name
from ponton_bridge.coordination.contract import Happening, Heartbeat, StateChange, Verb
from ponton_bridge.model.errors import HostError
from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.events import Event
from ponton_operator.plan.secrets import login_url, redis_password

START_SECONDS: Final = 2.0  # a start waits no longer for Redis: the shard can do without for a while
_READ: Final = 20.0  # seconds that one read of the states stream waits
_RETRY: Final = 1.0  # seconds between tries while Redis is away
FORGET: Final = "forget"  # argument of Verb.UNLINK, as ponton_bridge.shard.commands has it (which is costly to import)
SWEEP: Final = 10.0  # seconds between looks at heartbeats, which tell what a lost stream did not
TOGETHER: Final = 0.5  # seconds in which what happened is gathered, so that it goes in one round trip
HAPPENED: Final = 10_000  # things that wait for a Redis that is away; what happens after them is not kept
PAGE: Final = 250  # accounts of one look; a tenth of a second of our time, and thousands are not worth more of it


class Coordination:
    """One gateway's Redis; `told(state)` is called for every state that a shard published, in whatever order.

    Raises HostError when `url` is none.
    """

    def __init__(self, url: str, gateway: str, master: str, told: Callable[[StateChange], None], log: Log) -> None:
        self._url = url
        self._gateway = gateway
        self._master = master
        self._told = told
        self._log = log
        try:
            self._door = DoorClient(url, gateway)
        except ValueError:
            raise HostError("This is no URL of a Redis: redis://user:password@host:6379/0 is one.") from None
        self._users: dict[str, int] = {}  # the epoch whose password each user should have
        self._happened: list[tuple[str, Happening]] = []
        self._news = asyncio.Event()
        self._telling = asyncio.Lock()  # so that nothing is added to what was just removed
        self._unsaved = False  # users were made that a restart of Redis would lose
        self.away = True  # until the first answer
        self.looked = asyncio.Event()  # the heartbeats of all that run were asked for once
        self.users = True  # whether Redis lets us make users

    def shard_url(self, account: str, epoch: int) -> str:
        """Give the URL with which the shard of this epoch comes to Redis: as its own user, whatever ours is."""
        password = redis_password(self._master, self._gateway, account, epoch)
        return login_url(self._url, user_name(self._gateway, account), password)

    async def prepare(self, account: str, epoch: int) -> None:
        """Make the account's user for an epoch, now or as soon as Redis is back."""
        self._users[account] = epoch
        with suppress(HostError, TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                await self._make(account)

    def keep(self, account: str, epoch: int) -> None:
        """Know a shard that runs already; its user is made again should Redis have lost it."""
        self._users[account] = epoch

    def rest(self, account: str) -> None:
        """The account has no shard now: its user need not be made again."""
        self._users.pop(account, None)

    async def unlink(self, account: str, seconds: float) -> str:
        """Ask the shard to unlink its device and tidy the owner's roster; gives '' when it did, else what was wrong."""
        try:
            result = await self._door.command(account, Verb.UNLINK, FORGET, seconds, seconds)
        except HostError as error:
            return error.sentence
        if result is None:
            return "The shard did not answer in time."
        return "" if result.ok else result.sentence or "The shard could not unlink."

    def record(self, account: str, happening: Happening) -> None:
        """Keep what happened to an account, now or as soon as Redis is back."""
        if len(self._happened) < HAPPENED:
            self._happened.append((account, happening))
            self._news.set()

    async def forget(self, account: str) -> None:
        """Remove all keys and the user of an account. Raises HostError."""
        self.rest(account)
        async with self._telling:
            self._happened = [entry for entry in self._happened if entry[0] != account]
            await self._door.delete_account(account)
        with suppress(NoAcl):  # then there is none
            await self._door.delete_user(account)

    async def run(self) -> None:
        """Read what shards publish, and keep what happened to accounts, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read())
            tasks.create_task(self._sweep())
            tasks.create_task(self._tell())

    async def close(self) -> None:
        """Tell what waits to be told, if that can be done in a moment, and close the connections."""
        with suppress(HostError, TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                await self._write()
        with suppress(OSError, TimeoutError):
            await self._door.close()

    # ---- inside --------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        cursor = "0"
        while True:
            try:
                if self.away:
                    await self._come_back()
                for passed, change in await self._door.states(cursor, _READ):
                    cursor = passed
                    self._told(change)
            except HostError:
                cursor = "0"  # a Redis that lost its stream begins its numbers anew
                if not self.away:
                    self.away = True
                    self._log(Event.REDIS_LOST, "warning")
                await asyncio.sleep(_RETRY)

    async def _come_back(self) -> None:
        """Make all users again, since a Redis that was restarted has forgotten them. Raises HostError."""
        await self._door.supports_acl()
        for account in list(self._users):
            await self._make(account)
        self.away = False
        self._log(Event.REDIS_REACHED, users=len(self._users))

    async def _make(self, account: str) -> None:
        epoch = self._users.get(account)
        if epoch is None:
            return
        try:
            await self._door.make_user(account, redis_password(self._master, self._gateway, account, epoch))
            self.users = self._unsaved = True
        except NoAcl:
            if self.users:
                self._log(Event.REDIS_WITHOUT_USERS, "error")
            self.users = False

    async def _tell(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            await asyncio.sleep(TOGETHER)
            try:
                await self._write()
            except HostError:
                self._news.set()
                await asyncio.sleep(_RETRY)

    async def _write(self) -> None:
        """Keep in Redis what happened since the last time. Raises HostError."""
        async with self._telling:
            told = len(self._happened)
            await self._door.record(self._happened[:told])
            del self._happened[:told]

    async def _sweep(self) -> None:
        """Look now and then at what a short absence of Redis, which nobody noticed, may have cost; a page at a time."""
        # All at once at the start: of thousands of shards the stream keeps the last states only.
        due, pause = list(self._users), 0.0
        while True:
            await asyncio.sleep(pause)
            page, due = due[:PAGE], due[PAGE:]
            if not due:
                due, pause = list(self._users), SWEEP
            try:
                for account, beat in (await self._door.heartbeats(page)).items():
                    self._told(_state(account, beat))
                some = next(iter(self._users), None)
                if self.users and some and not await self._door.has_user(some):
                    await self._come_back()
                if self._unsaved:  # now and then, not for each: the whole file is written
                    self._unsaved = False
                    await self._door.save_users()
            except HostError:
                self.looked.set()  # nobody shall wait until it is back
            if pause:
                self.looked.set()


def _state(account: str, beat: Heartbeat) -> StateChange:
    return StateChange(
        account=account,
        epoch=beat.epoch,
        instance=beat.instance,
        reason=beat.reason,
        since=beat.since,  # 0.0 before the first state: then everything that was told is newer
        xmpp=beat.xmpp,
        paired=beat.paired,
    )
