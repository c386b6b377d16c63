"""The doors' account store on one machine: YAML files in a folder, from any process that may write there.

Implements `selfservice.accounts.AccountStore`. Writers take turns by a lock on the folder; readers need none, since
files are replaced at once. What is given carries the status that the runtime wrote beside.
"""

import asyncio
import contextlib
import fcntl
import os
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import TypeVar

from ponton_operator.cluster.local_files import write_whole
from ponton_operator.cluster.local_folder import FILE, POLL, REST, Folder, Stamp
from ponton_operator.resources.account import (
    AccountSpec,
    AccountStatus,
    BridgeAccount,
    Desired,
    GatewayRef,
    Preferences,
    account_name,
)
from ponton_operator.resources.base import Metadata, moment
from ponton_operator.resources.gateway import BridgeGateway
from ponton_operator.resources.yamlfile import dump
from ponton_operator.selfservice.accounts import AccountsUnavailable, Change, NoSuchAccount, age, changed, woken

T = TypeVar("T")
LOCK_SECONDS = 5.0  # a writer needs some milliseconds
MODE = 0o640  # of an account's YAML: the host's group may read who has one


class LocalAccounts:
    """The accounts of one gateway below `folder`."""

    def __init__(self, folder: Path, gateway: BridgeGateway) -> None:
        self._folder = Folder(folder, gateway.metadata.name)
        self._domain = gateway.spec.domain
        self._statuses: dict[str, tuple[Stamp, BridgeAccount | None]] = {}
        self._whole: dict[str, tuple[BridgeAccount, BridgeAccount | None, BridgeAccount]] = {}
        self._turn = asyncio.Lock()

    async def create(self, owner: str, preferences: Preferences | None = None) -> BridgeAccount:
        """See AccountStore."""
        return await self._run(lambda: self._create(owner, preferences or Preferences()))

    async def get(self, name: str) -> BridgeAccount | None:
        """See AccountStore; the name that `account_name` gives finds a resource that a person named otherwise, too."""
        return await self._run(lambda: self._find(name))

    async def list(self) -> list[BridgeAccount]:
        """See AccountStore."""
        everything = await self._run(self._all)
        return sorted(everything.values(), key=age)

    async def count(self) -> int:
        """See AccountStore."""
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
        """See AccountStore: removing the YAML is what deletes an account."""
        await self._run(lambda: self._delete(name))

    async def watch(self, name: str = "") -> AsyncGenerator[Change, None]:
        """See AccountStore."""
        seen: dict[str, BridgeAccount] = {}
        while True:
            began = time.monotonic()
            now = await self._run(lambda: self._some(name))
            cost = time.monotonic() - began
            for key, account in now.items():
                if seen.get(key) is not account and seen.get(key) != account:
                    yield Change(account)
            for key in seen.keys() - now.keys():
                yield Change(seen[key], gone=True)
            seen = now
            await asyncio.sleep(max(POLL, REST * cost))

    # ---- in a thread ---------------------------------------------------------------------------------------

    async def _run(self, work: Callable[[], T]) -> T:
        async with self._turn:
            try:
                return await asyncio.to_thread(work)
            except OSError as error:
                raise AccountsUnavailable("The accounts cannot be read or written at the moment.") from error

    def _all(self) -> dict[str, BridgeAccount]:
        """Give every account: what the YAML wants, with the status; those without YAML are being deleted."""
        folder = self._folder
        folder.scan()
        statuses = {name: self._status(name) for name in folder.statuses()}
        self._statuses = {name: self._statuses[name] for name in statuses}
        self._whole = {name: whole for name, whole in self._whole.items() if name in folder.accounts}
        found = {name: self._together(name, account, statuses.get(name)) for name, account in folder.accounts.items()}
        for name, status in statuses.items():
            if status and name not in found:
                gone = folder.is_gone(name, status.metadata.annotations.get(FILE, ""))
                found[name] = _deleting(status) if gone else status
        return found

    def _together(self, name: str, wanted: BridgeAccount, status: BridgeAccount | None) -> BridgeAccount:
        """Put what people want and what the runtime wrote into one resource; the same one while both stay."""
        known = self._whole.get(name)
        if known is None or known[0] is not wanted or known[1] is not status:
            update = {"spec": wanted.spec} if status else {"status": AccountStatus()}
            self._whole[name] = known = (wanted, status, (status or wanted).model_copy(update=update))
        return known[2]

    def _status(self, name: str) -> BridgeAccount | None:
        """Read a status once for each version of its file."""
        try:
            stat = self._folder.status_file(name).stat()
        except OSError:
            self._statuses[name] = ((0, 0, 0), None)
            return None
        stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        known = self._statuses.get(name)
        if known is None or known[0] != stamp:
            self._statuses[name] = (stamp, self._folder.read_status(name))
        return self._statuses[name][1]

    def _some(self, name: str) -> dict[str, BridgeAccount]:
        """Give the account that is found by a name, or all without one."""
        if not name:
            return self._all()
        found = self._find(name)
        return {found.metadata.name: found} if found else {}

    def _find(self, name: str) -> BridgeAccount | None:
        everything = self._all()
        if name in everything:
            return everything[name]
        return next((a for a in everything.values() if account_name(self._domain, a.spec.owner) == name), None)

    def _create(self, owner: str, preferences: Preferences) -> BridgeAccount:
        name = account_name(self._domain, owner)
        with self._locked():
            if existing := self._find(name):
                return existing
            spec = AccountSpec(owner=owner, gateway_ref=GatewayRef(name=self._folder.gateway), preferences=preferences)
            metadata = Metadata(name=name, uid=str(uuid.uuid4()), creation_timestamp=moment(time.time()))
            account = BridgeAccount(metadata=metadata, spec=spec)
            write_whole(self._folder.path / f"{name}.yaml", dump(account), mode=MODE)
            return account

    def _edit(self, name: str, edit: Callable[[AccountSpec], AccountSpec]) -> BridgeAccount:
        with self._locked():
            account = self._find(name)
            path = self._folder.files.get(account.metadata.name) if account else None
            if account is None or path is None:
                raise NoSuchAccount("There is no such account (any more).")
            wanted = self._folder.accounts[account.metadata.name]
            wanted = wanted.model_copy(update={"spec": edit(wanted.spec)})
            if wanted.spec != account.spec:
                write_whole(path, dump(wanted), mode=MODE)
            return account.model_copy(update={"spec": wanted.spec})

    def _delete(self, name: str) -> None:
        with self._locked():
            account = self._find(name)
            path = self._folder.files.get(account.metadata.name) if account else None
            if path:
                path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other writers of this folder out, of this process and of others."""
        number = os.open(self._folder.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + LOCK_SECONDS
        try:
            while not _taken(number):
                if time.monotonic() > deadline:
                    raise AccountsUnavailable("The accounts cannot be written at the moment: another program does.")
                time.sleep(0.01)
            yield
        finally:
            os.close(number)


def _taken(number: int) -> bool:
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _deleting(status: BridgeAccount) -> BridgeAccount:
    since = status.metadata.deletion_timestamp or moment(time.time())
    metadata = status.metadata.model_copy(update={"deletion_timestamp": since})
    return status.model_copy(update={"metadata": metadata})
