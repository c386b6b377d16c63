"""The doors' account store on a cluster: BridgeAccounts of one gateway in its namespace.

Implements `selfservice.accounts.AccountStore`. What one account is asked for is read from the API, so that a door sees
its own writes; the feed finds accounts that a person named otherwise, counts, and tells changes. Accounts are made with
the finalizer already on, so that none can go without its device being unlinked.
"""

import asyncio
import json
import random
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from ponton_operator.cluster.kube_api import KubeApi
from ponton_operator.cluster.kube_errors import Conflict, Forbidden, KubeError, NotFound
from ponton_operator.cluster.kube_feed import Feed
from ponton_operator.cluster.kube_kinds import ACCOUNTS, Obj
from ponton_operator.resources.account import (
    FINALIZER,
    KIND,
    AccountSpec,
    BridgeAccount,
    Desired,
    GatewayRef,
    Preferences,
    account_name,
)
from ponton_operator.resources.base import API_VERSION
from ponton_operator.resources.gateway import BridgeGateway
from ponton_operator.selfservice.accounts import AccountsUnavailable, Change, NoSuchAccount, age, changed, woken

TRIES: Final = 20  # of a change that others get in the way of; each of them got through meanwhile
PAUSE: Final = 0.05  # seconds at most between two of them
_DERIVED: Final = re.compile("acc-[a-z2-7]{16}")  # what account_name gives
_GONE: Final = "There is no such account (any more)."

T = TypeVar("T")
Several = list[BridgeAccount]


class KubeAccounts:
    """The accounts of one gateway; `start` it on a running loop, `close` it at the end."""

    def __init__(self, api: KubeApi, gateway: BridgeGateway) -> None:
        self._api = api
        self._namespace = gateway.metadata.namespace
        self._gateway = gateway.metadata.name
        self._domain = gateway.spec.domain
        self._feed = Feed(api.client, ACCOUNTS, self._namespace, self._ours)

    def start(self) -> None:
        """Begin to follow the accounts."""
        self._feed.start()

    @property
    def broken(self) -> bool:
        """Whether nothing follows the accounts any more: the program has to be started again."""
        return self._feed.broken

    @property
    def synced(self) -> bool:
        """Whether all accounts are known that there were when it began."""
        return self._feed.synced

    async def close(self) -> None:
        """Follow them no more."""
        await self._feed.close()

    async def create(self, owner: str, preferences: Preferences | None = None) -> BridgeAccount:
        """See AccountStore."""
        return await self._run(lambda: self._create(owner, preferences or Preferences()))

    async def get(self, name: str) -> BridgeAccount | None:
        """See AccountStore; the name that `account_name` gives finds a resource that a person named otherwise, too."""
        return await self._run(lambda: self._find(name))

    async def list(self) -> list[BridgeAccount]:
        """See AccountStore."""
        return sorted(await self._run(self._all), key=age)

    async def count(self) -> int:
        """See AccountStore."""
        if self._feed.synced:
            return len(self._feed.held)
        return len(await self._run(self._all))

    async def patch(
        self, name: str, *, desired: Desired | None = None, preferences: Preferences | None = None
    ) -> BridgeAccount:
        """See AccountStore."""
        return await self._run(lambda: self._edit(name, lambda spec: changed(spec, desired, preferences)))

    async def wake(self, name: str) -> BridgeAccount:
        """See AccountStore."""
        return await self._run(lambda: self._edit(name, woken))

    async def delete(self, name: str) -> None:
        """See AccountStore."""
        await self._run(lambda: self._delete(name))

    async def watch(self, name: str = "") -> AsyncGenerator[Change, None]:
        """See AccountStore."""
        self._feed.start()
        found = await self.get(name) if name else None
        listener = self._feed.listen(found.metadata.name if found else name)
        try:
            while True:
                seen = await listener.next()
                if account := _read(seen.text):
                    yield Change(account, gone=seen.gone)
                await asyncio.sleep(0)  # 10,000 of them must not hold up what else the loop does
        finally:
            listener.close()

    # ---- inside --------------------------------------------------------------------------------------------

    async def _run(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await work()
        except Forbidden as error:
            raise AccountsUnavailable("The cluster does not let accounts be read or written here now.") from error
        except KubeError as error:
            raise AccountsUnavailable("The accounts cannot be read or written at the moment.") from error

    def _ours(self, item: Obj) -> bool:
        return bool(((item.get("spec") or {}).get("gatewayRef") or {}).get("name") == self._gateway)

    async def _all(self) -> Several:
        found: Several = []
        async for page in self._api.pages(ACCOUNTS, self._namespace):
            found += [account for item in page if self._ours(item) and (account := _model(item))]
        return found

    async def _find(self, name: str) -> BridgeAccount | None:
        item = await self._api.find(ACCOUNTS, self._namespace, name)
        if item is not None and self._ours(item):
            return _must(item)
        if not _DERIVED.fullmatch(name):
            return None
        same = [account for account in await self._others() if account_name(self._domain, account.spec.owner) == name]
        if not same:
            return None
        item = await self._api.find(ACCOUNTS, self._namespace, min(same, key=age).metadata.name)
        return _must(item) if item else None

    async def _others(self) -> Several:
        """Give the accounts that a person named: few, since doors make the rest."""
        if not self._feed.synced:
            return await self._all()
        texts = [text for name, text in self._feed.held.items() if not _DERIVED.fullmatch(name)]
        return [account for text in texts if (account := _read(text))]

    async def _create(self, owner: str, preferences: Preferences) -> BridgeAccount:
        name = account_name(self._domain, owner)
        if existing := await self._find(name):
            return existing
        spec = AccountSpec(owner=owner, gateway_ref=GatewayRef(name=self._gateway), preferences=preferences)
        body: dict[str, Any] = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": name, "namespace": self._namespace, "finalizers": [FINALIZER]},
            "spec": spec.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        }
        try:
            return _must(await self._api.create(ACCOUNTS, self._namespace, body))
        except Conflict:
            existing = await self._find(name)
            if existing is None:  # made and gone in the same moment
                raise
            return existing

    async def _edit(self, name: str, edit: Callable[[AccountSpec], AccountSpec]) -> BridgeAccount:
        """Change the spec; when others change the account at the same time, from what they made of it."""
        for _ in range(TRIES):
            account = await self._find(name)
            if account is None or account.metadata.deletion_timestamp is not None:
                raise NoSuchAccount(_GONE)
            wanted = edit(account.spec)
            if wanted == account.spec:
                return account
            body = {
                "metadata": {"resourceVersion": account.metadata.resource_version},
                "spec": wanted.model_dump(mode="json", by_alias=True),
            }
            try:
                return _must(await self._api.patch(ACCOUNTS, self._namespace, account.metadata.name, body))
            except Conflict:
                await asyncio.sleep(PAUSE * random.random())  # noqa: S311  # so that two do not meet again
            except NotFound:
                raise NoSuchAccount(_GONE) from None
        raise AccountsUnavailable("The account is changed by others all the time; please try again.")

    async def _delete(self, name: str) -> None:
        account = await self._find(name)
        if account is None or account.metadata.deletion_timestamp is not None:
            return
        try:
            await self._api.delete(ACCOUNTS, self._namespace, account.metadata.name, uid=account.metadata.uid)
        except Conflict:  # gone, and another of its name is there
            return


def _model(item: Obj) -> BridgeAccount | None:
    """Read an account; None for one that a newer version wrote and we do not understand."""
    try:
        return BridgeAccount.model_validate({"apiVersion": API_VERSION, "kind": KIND} | item)
    except ValidationError:
        return None


def _must(item: Obj) -> BridgeAccount:
    if account := _model(item):
        return account
    raise AccountsUnavailable("The account was written by another version of the bridge; your host can see which.")


def _read(text: str) -> BridgeAccount | None:
    return _model(json.loads(text))
