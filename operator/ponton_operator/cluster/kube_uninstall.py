"""Leaves the cluster in order before the operators go: the deeds of `ponton uninstall`, one after the other.

The order matters: operators unlink while they run; then they are stopped, since they would put finalizers back and start
shards again; then accounts are released and what still runs is ended. Everything may be repeated.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ponton_operator.cluster.kube_api import KubeApi
from ponton_operator.cluster.kube_errors import Conflict, NotFound
from ponton_operator.cluster.kube_kinds import ACCOUNTS, DEPLOYMENTS, PODS, Kind, Obj
from ponton_operator.plan.uninstall import Report, full_name, linked, release

OURS: Final = "app.kubernetes.io/managed-by=ponton"
SHARDS: Final = f"{OURS},app.kubernetes.io/component=shard"
STOP: Final = 45.0  # seconds for the operators to end; the kubelet gives each 30
_LOOK: Final = 1.0  # seconds between two looks at what shall go
_TRIES: Final = 5  # at an account that others change meanwhile
_SIDE_BY_SIDE: Final = 8  # calls at the same time


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is uninstalled: the operators (Deployments in `home`, their pods by `selector`) and where accounts are.

    `seconds` for unlinking all devices first; 0 keeps them linked.
    """

    namespaces: tuple[str, ...]
    home: str
    operators: tuple[str, ...]
    selector: str
    seconds: float = 0.0


@dataclass(slots=True)
class Uninstall:
    """One run; `report` tells what was done, also after an error."""

    api: KubeApi
    wanted: Wanted
    report: Report = field(default_factory=Report)

    async def run(self) -> None:
        """Do it all. Raises KubeError when the API refuses or does not answer."""
        if self.wanted.seconds:
            await self._unlink()
        await self._stop_operators()
        await self._each(ACCOUNTS, self._release)
        # Deployments first: they would make their pods again.
        await self._each(DEPLOYMENTS, self._end, OURS)
        await self._each(PODS, self._end_shard, SHARDS)

    # ---- inside --------------------------------------------------------------------------------------------

    async def _unlink(self) -> None:
        """Delete all accounts and wait until the operators have unlinked them, for a time."""
        before = await self._each(ACCOUNTS, self._delete)
        left = await self._gone(self._accounts, self.wanted.seconds)
        self.report.deleted = before - left
        if left:
            self.report.problems.append(f"Not unlinked in {self.wanted.seconds:.0f} s: {left} of {before} accounts.")

    async def _stop_operators(self) -> None:
        home = self.wanted.home
        for name in self.wanted.operators:
            try:
                await self.api.patch(DEPLOYMENTS, home, name, {"spec": {"replicas": 0}}, "scale")
            except NotFound:
                continue  # somebody removed it by hand
        if await self._gone(self._operator_pods, STOP):
            self.report.problems.append("The operators did not end in time: look at their pods before you go on.")

    async def _release(self, account: Obj) -> None:
        namespace, name = _place(account)
        if linked(account):
            self.report.linked.append(full_name(account))
        for _ in range(_TRIES):
            patch = release(account)
            if patch is None:
                return
            try:
                await self.api.patch(ACCOUNTS, namespace, name, patch)
            except Conflict:
                found = await self.api.find(ACCOUNTS, namespace, name)
                if found is None:
                    return
                account = found
                continue
            except NotFound:
                return
            self.report.released += 1
            return
        self.report.problems.append(f"{namespace}/{name} was changed all the time: its finalizer is still there.")

    async def _delete(self, account: Obj) -> None:
        await self.api.delete(ACCOUNTS, *_place(account))

    async def _end(self, deployment: Obj) -> None:
        await self.api.delete(DEPLOYMENTS, *_place(deployment))

    async def _end_shard(self, pod: Obj) -> None:
        self.report.ended += await self.api.delete(PODS, *_place(pod))

    async def _each(self, kind: Kind, deed: Callable[[Obj], Awaitable[None]], labels: str = "") -> int:
        """Do it with all objects of a kind, some at the same time; gives how many there were."""
        count = 0
        async for page in self._pages(kind, self.wanted.namespaces, labels):
            for part in _parts(page, _SIDE_BY_SIDE):
                await asyncio.gather(*map(deed, part))
            count += len(page)
        return count

    async def _pages(self, kind: Kind, namespaces: Sequence[str], labels: str) -> AsyncIterator[list[Obj]]:
        for namespace in namespaces:
            try:
                async for page in self.api.pages(kind, namespace, labels):
                    # Items of a list do not always say where they are.
                    yield [
                        {**item, "metadata": {"namespace": namespace, **(item.get("metadata") or {})}} for item in page
                    ]
            except NotFound:
                continue  # the kind is not known any more: somebody removed the definitions

    async def _gone(self, count: Callable[[], Awaitable[int]], seconds: float) -> int:
        """Wait until there is none; gives how many there are after so many seconds."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while (left := await count()) and loop.time() < end:
            await asyncio.sleep(_LOOK)
        return left

    async def _accounts(self) -> int:
        return sum([len(page) async for page in self._pages(ACCOUNTS, self.wanted.namespaces, "")])

    async def _operator_pods(self) -> int:
        return sum([len(page) async for page in self._pages(PODS, [self.wanted.home], self.wanted.selector)])


def _place(item: Obj) -> tuple[str, str]:
    return str(item["metadata"]["namespace"]), str(item["metadata"]["name"])


def _parts(items: Sequence[Obj], size: int) -> Iterable[Sequence[Obj]]:
    return (items[at : at + size] for at in range(0, len(items), size))
