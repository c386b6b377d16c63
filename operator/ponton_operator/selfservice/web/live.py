"""How links are, for the pages that show them: looked at once for a page, followed for those that stay open.

All open pages of a replica share one look in half a second: the accounts as their store tells of changes, heartbeats
and codes by one round trip for hundreds of them. Called by the pages.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from ponton_bridge.coordination.contract import Heartbeat, LiveCode
from ponton_bridge.model.errors import HostError
from ponton_bridge.model.states import TABLE, Next, Phase, Reason
from ponton_operator.resources.account import BridgeAccount, Desired, account_name
from ponton_operator.selfservice import hosting, words
from ponton_operator.selfservice.accounts import AccountStore
from ponton_operator.selfservice.links import is_deleting, keeps_link, reason_of, sentence_of
from ponton_operator.selfservice.web.keep import digest

LOOK: Final = 0.5  # seconds between looks; a page turns within two of them
AGAIN: Final = 1.0  # seconds until a store that could not be followed is tried again
DAY: Final = 86400.0
WHATSAPP_DROPS: Final = 14  # days that WhatsApp keeps a link whose phone is away


class Beats(Protocol):
    """Redis, as the pages read it."""

    async def fresh(self, accounts: Sequence[str]) -> dict[str, Heartbeat]:
        """Give the heartbeats that there are."""

    async def live_codes(self, accounts: Sequence[str]) -> dict[str, LiveCode]:
        """Give the codes that can be used now. Raises HostError."""


@dataclass(frozen=True, slots=True)
class View:
    """What a page shows of a link; `account` None: there is none. Times in seconds since 1970, 0 unknown."""

    account: BridgeAccount | None = None
    reason: Reason = Reason.STARTING
    code: LiveCode | None = None
    since: float = 0.0
    phone_seen: float = 0.0

    @property
    def deleting(self) -> bool:
        """Whether the account is on its way out."""
        return self.account is not None and is_deleting(self.account)

    @property
    def paused(self) -> bool:
        """Whether the owner (or the host) has parked it."""
        return self.account is not None and self.account.spec.desired is Desired.PARKED

    @property
    def stopped(self) -> bool:
        """Whether only the host can start it."""
        return self.account is not None and self.account.spec.desired is Desired.STOPPED

    @property
    def linked(self) -> bool:
        """Whether a phone has accepted the bridge, as far as we know."""
        return TABLE[self.reason].phase in {Phase.RUNNING, Phase.DEGRADED, Phase.CONNECTING} or (
            self.account is not None and keeps_link(self.account, self.reason)
        )

    @property
    def waits(self) -> bool:
        """Whether something will happen by itself soon: the page looks again even without JavaScript."""
        return self.deleting or TABLE[self.reason].phase in {Phase.STARTING, Phase.WAITING_FOR_SCAN, Phase.CONNECTING}

    @property
    def next(self) -> Next:
        """Who acts next."""
        return TABLE[self.reason].next

    @property
    def sentence(self) -> str:
        """How it is, in words."""
        if self.account is None:
            return words.off_chat(words.NOT_REGISTERED)
        if self.deleting:
            return words.BEING_DELETED
        return words.off_chat(sentence_of(self.account, self.reason))

    @property
    def version(self) -> str:
        """Differs when something else is to be shown."""
        account, code = self.account, self.code
        parts = (
            account is not None, self.deleting, self.paused, self.stopped, self.linked,
            self.reason, code and (code.kind, code.text), self.since,
        )  # fmt: skip
        return digest(repr(parts))[:16]

    def left(self, now: float) -> int:
        """Give the seconds that the code still holds."""
        return max(0, int(self.code.expires - now)) if self.code else 0

    def days(self, now: float) -> int:
        """Give the days until WhatsApp ends the link, should the phone stay away."""
        return max(0, WHATSAPP_DROPS - int((now - self.phone_seen) / DAY))


def look(account: BridgeAccount | None, beat: Heartbeat | None, code: LiveCode | None) -> View:
    """Put together what is known."""
    if account is None:
        return View()
    reason = reason_of(account, beat)
    if beat is not None and reason == beat.reason:
        return View(account, reason, code, beat.since, beat.phone_seen)
    status = account.status
    turned = [c.last_transition_time.timestamp() for c in status.conditions if c.type == "Ready"]
    since = status.parking.since.timestamp() if status.parking else next(iter(turned), 0.0)
    return View(account, reason, None, since, beat.phone_seen if beat else 0.0)


class Live:
    """One gateway's links; `failed` is told when the accounts cannot be followed."""

    def __init__(
        self,
        domain: str,
        accounts: AccountStore,
        beats: Beats,
        failed: Callable[[Exception], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._domain = domain
        self._accounts = accounts
        self._beats = beats
        self._failed = failed
        self.clock = clock
        self._known: dict[str, hosting.Row] = {}
        self._watched: Counter[str] = Counter()
        self._views: dict[str, View] = {}
        self._news = asyncio.Event()
        self.stopping = False

    @property
    def watched(self) -> int:
        """How many pages are open."""
        return self._watched.total()

    @property
    def rows(self) -> Collection[hosting.Row]:
        """All accounts, as far as the store has told of them."""
        return self._known.values()

    async def beats(self, names: Sequence[str]) -> dict[str, Heartbeat]:
        """Give heartbeats by name of account; what Redis does not give is left out."""
        return await self._beats.fresh(names)

    def stop(self) -> None:
        """End what is followed: the program ends."""
        self.stopping = True
        self._news.set()

    async def view(self, owner: str) -> View:
        """Look at an owner's link now. Raises AccountsUnavailable."""
        account = await self._accounts.get(account_name(self._domain, owner))
        if account is None:
            return View()
        name = account.metadata.name
        beat = (await self._beats.fresh([name])).get(name)
        return look(account, beat, (await self._codes([name])).get(name))

    async def last(self, owner: str) -> View:
        """Give what an open page was told last, which costs nothing; a look for those that are not open."""
        return self._views.get(account_name(self._domain, owner)) or await self.view(owner)

    async def follow(self, owner: str, seconds: float) -> AsyncGenerator[View, None]:
        """Give the owner's link again and again, whenever it has changed, for so many seconds."""
        name, last = account_name(self._domain, owner), ""
        self._watched[name] += 1
        until = time.monotonic() + seconds
        try:
            while not self.stopping and (left := until - time.monotonic()) > 0:
                view = self._views.get(name)
                if view is not None and view.version != last:
                    last = view.version
                    yield view
                    continue
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), left)
        finally:
            self._watched[name] -= 1
            if not self._watched[name]:
                del self._watched[name]
                self._views.pop(name, None)

    async def run(self) -> None:
        """Follow the accounts and look at those that are watched, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_accounts())
            tasks.create_task(self._sweep())

    async def _follow_accounts(self) -> None:
        while True:
            try:
                async for change in self._accounts.watch():
                    name = account_name(self._domain, change.account.spec.owner)
                    if change.gone:
                        self._known.pop(name, None)
                    else:
                        self._known[name] = hosting.row(change.account)
            except Exception as error:  # noqa: BLE001  # pages that are open must not go blind for good
                self._failed(error)
            await asyncio.sleep(AGAIN)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            watched = list(self._watched)
            known = {name: self._known[name].account for name in watched if name in self._known}
            names = [account.metadata.name for account in known.values()]
            beats, codes = await self._beats.fresh(names), await self._codes(names)
            for name in watched:
                account = known.get(name)
                key = account.metadata.name if account else ""
                self._views[name] = look(account, beats.get(key), codes.get(key))
            self._news.set()
            self._news.clear()

    async def _codes(self, names: Sequence[str]) -> dict[str, LiveCode]:
        try:
            return await self._beats.live_codes(names)
        except HostError:  # Redis is away: the page says how the link was last
            return {}
