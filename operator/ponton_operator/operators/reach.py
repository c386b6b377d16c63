"""Which namespaces an operator serves now: those of its settings that it may see. The others are asked about again.

A namespace that is refused is told (log, metric) and left out; nothing of it disturbs the others. kopf would end with
the first refusal of a watch, so it never hears of one: `streams` has it wait at the door of such a namespace. What is
in a namespace is always listed by the operator before kopf watches it, as at the start. Made by `programs.operator`.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, Protocol

from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.events import OperatorEvent
from ponton_operator.cluster.kube_errors import Forbidden, KubeError
from ponton_operator.cluster.metrics import Metrics
from ponton_operator.plan.reach import Place, away, let_in, refused, wait

ALL: Final = ""  # stands for all namespaces, of an operator that serves every one by a right in the cluster


class Resident(Protocol):
    """What an operator does about namespaces."""

    async def take(self, namespace: str) -> None:
        """Take in what there is in a namespace, before it is watched; ALL: in the cluster. Raises KubeError."""

    async def left_out(self, namespace: str) -> None:
        """Drop what is held of a namespace that may not be seen; called again each time that this has not changed."""


class Reach:
    """The namespaces of one operator; none: all that there are, which is one place that is never left out."""

    def __init__(
        self, namespaces: tuple[str, ...], log: Log, metrics: Metrics, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log, self._metrics, self._clock = log, metrics, clock
        self._places = {name: Place() for name in namespaces}
        self._doors = {name: asyncio.Event() for name in namespaces}
        self._fresh: set[str] = set()  # refused, and the operator has not dropped them yet
        self._news = asyncio.Event()
        self.shut: Callable[[str], None] = lambda _: None  # told of a namespace that is left out from now on

    def served(self) -> tuple[str, ...]:
        """Give the namespaces to list, ALL alone for the cluster."""
        if not self._places:
            return (ALL,)
        return tuple(name for name, place in self._places.items() if place.served)

    def serves(self, namespace: str) -> bool:
        """Whether what is told of a namespace counts."""
        return not self._places or self._places.get(namespace, Place()).served

    def knows(self, namespace: str) -> bool:
        """Whether it is one of those that may be left out."""
        return namespace in self._places

    async def opened(self, namespace: str) -> None:
        """Wait until a namespace is served; one that is no matter of ours is nothing to wait for."""
        if door := self._doors.get(namespace):
            await door.wait()

    def refuse(self, namespace: str) -> None:
        """The API server does not let us see a namespace (any more): leave it out until it does."""
        if not (place := self._places.get(namespace)) or not place.served:
            return
        self._refused(namespace)
        self._fresh.add(namespace)
        self._news.set()

    @contextmanager
    def minding(self, namespace: str) -> Iterator[None]:
        """Leave a namespace out if what is asked within, which we may do wherever we serve, is forbidden."""
        try:
            yield
        except Forbidden:
            self.refuse(namespace)
            raise

    async def begin(self, resident: Resident) -> None:
        """Have everything taken in that may be seen. Raises KubeError when there is no answer."""
        if not self._places:
            await resident.take(ALL)
        for name in self._places:
            try:
                await self._ask(resident, name)
            except Forbidden:
                self._refused(name)
                await resident.left_out(name)

    async def keep(self, resident: Resident) -> None:
        """Have dropped what is refused, and ask about it again and again; for ever."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), wait(self._places.values(), self._clock()))
            self._news.clear()
            await self.round(resident)

    async def round(self, resident: Resident) -> None:
        """Do what is due now."""
        while self._fresh:
            await resident.left_out(self._fresh.pop())
        for name, place in list(self._places.items()):
            if place.served or place.due > self._clock():
                continue
            try:
                await self._ask(resident, name)
            except Forbidden:
                self._refused(name)
                await resident.left_out(name)
            except KubeError:
                self._places[name] = away(place, self._clock())

    # ---- inside --------------------------------------------------------------------------------------------

    async def _ask(self, resident: Resident, name: str) -> None:
        """Have a namespace taken in, and let kopf watch it. Raises KubeError."""
        await resident.take(name)
        before = self._places[name]
        self._places[name] = let_in(before, self._clock())
        self._metrics.served(name, yes=True)
        if before.tries:
            self._log(OperatorEvent.NAMESPACE_SERVED, namespace=name)
        self._doors[name].set()

    def _refused(self, name: str) -> None:
        before = self._places[name]
        self._places[name] = refused(before, self._clock())
        self._doors[name].clear()
        self._metrics.served(name, yes=False)
        if before.served or not before.tries:
            self._log(OperatorEvent.NAMESPACE_LEFT_OUT, "warning", namespace=name)
        self.shut(name)
