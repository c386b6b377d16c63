"""Runs one operator as its program does: stand by for the Lease, then kopf, then end in order.

Identical replicas stand by with everything imported; one works. Called by `programs.operator`. What an operator has to
bring is `Operator`; its module has a function `make(context)` that gives one.
"""

import asyncio
import contextlib
import gc
import logging
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol, cast

import kopf

from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.events import OperatorEvent
from ponton_operator.cluster.kube_api import KubeApi
from ponton_operator.cluster.lease import Lease
from ponton_operator.cluster.metrics import Metrics
from ponton_operator.operators.reach import Reach, Resident
from ponton_operator.operators.streams import Streams

REQUEST: Final = 20.0  # seconds for a call of kopf's own, which are lists
INACTIVE: Final = 70.0  # seconds without a bookmark, which the server sends every 60
DEAD: Final = 140.0  # seconds without anything in a watch: kopf's own reconnecting did not help
OURS: Final = "app.kubernetes.io/managed-by=ponton"
# Python's thresholds for its three collections of garbage. At its own (700, 10, 10) all objects are looked at again and
# again while thousands of accounts start; with ten thousand everything stands still for seconds each time.
COLLECTIONS: Final = (2_000, 10, 20)
# What a start costs beside what is kept: all kinds in all namespaces are listed at the same time, a chunk of each, and
# each object has a worker until it has rested. With 2,500 accounts chunks of 500 and a second took 130 MiB more.
CHUNK: Final = 100  # objects of one answer to kopf
IDLE: Final = 0.1  # seconds
END: Final = 20.0  # seconds for what runs to end when we are told to; the kubelet gives 30


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator is told; `namespaces` empty: all. `image` of shards whose gateway names none."""

    name: str
    namespaces: tuple[str, ...]
    lease_namespace: str
    identity: str
    port: int = 9090
    image: str = ""
    nodes: bool = False  # whether we may watch nodes
    log_level: str = "info"
    writes: float = 20.0  # a second


@dataclass(frozen=True, slots=True)
class Context:
    """What an operator works with."""

    settings: Settings
    api: KubeApi
    log: Log
    metrics: Metrics
    reach: Reach
    clock: Callable[[], float] = time.time


class Operator(Resident, Protocol):
    """One operator. Its handlers only take in what they see, where `reach` serves.

    All that there is in a namespace is taken in before that is watched: `start` has the reach begin with it.
    """

    def register(self, registry: kopf.OperatorRegistry) -> None:
        """Register the handlers: kopf.on.event(…, registry=registry) only."""

    async def start(self) -> None:
        """Take in what there is, and begin. Raises KubeError."""

    async def close(self) -> None:
        """Begin nothing more, and wait for what runs."""


@dataclass(slots=True)
class Guard:
    """An operator, its Lease, and the signals that end it."""

    operator: Operator
    context: Context
    lease: Lease
    clock: Callable[[], float] = time.monotonic
    working: bool = False
    streams: Streams = field(init=False)

    def __post_init__(self) -> None:
        """Nothing is watched yet."""
        self.streams = Streams(self.clock, self.context.reach)

    def alive(self) -> str:
        """Say why the kubelet should restart us, '' for no reason."""
        silent = self.streams.age()
        return "" if silent < DEAD else f"a watch has said nothing for {silent:.0f} s"

    def ready(self) -> str:
        """Say why we are not ready: standing by is being ready, too."""
        return ""

    async def run(self) -> None:
        """Serve until SIGTERM; gives the Lease up at the end."""
        stop, log = asyncio.Event(), self.context.log
        _on_signals(stop)
        gc.freeze()  # what was imported stays for good
        gc.set_threshold(*COLLECTIONS)
        log(OperatorEvent.OPERATOR_STANDS_BY)
        if not await self._hold(stop):
            return
        self.lease.keep()
        self.context.api.client.fence = self.lease.overdue
        self.working = True
        log(OperatorEvent.OPERATOR_WORKS)
        try:
            await self._serve(stop)
        finally:
            # By the hand of another thread: this may run while the loop is being torn down.
            await asyncio.shield(asyncio.to_thread(self.lease.release))
        log(OperatorEvent.OPERATOR_ENDED)

    async def _hold(self, stop: asyncio.Event) -> bool:
        halted = threading.Event()
        waiting = asyncio.create_task(stop.wait())
        waiting.add_done_callback(lambda _: halted.set())
        try:
            return await asyncio.to_thread(self.lease.hold, halted) and not stop.is_set()
        finally:
            waiting.cancel()

    async def _serve(self, stop: asyncio.Event) -> None:
        operator, settings = self.operator, self.context.settings
        await operator.start()
        # Begun before kopf, which at its end cancels every task that is younger.
        asking = asyncio.create_task(self.context.reach.keep(operator))
        registry = kopf.OperatorRegistry()
        operator.register(registry)
        kopf.on.login(registry=registry)(self.streams.login)
        ready, stopped = asyncio.Event(), asyncio.Event()
        watching = kopf.operator(
            registry=registry,
            settings=kopf_settings(),
            standalone=True,
            identity=settings.identity,  # type: ignore[arg-type]  # a NewType of theirs, which is not public
            ready_flag=ready,
            stop_flag=stopped,
            namespaces=settings.namespaces,
            clusterwide=not settings.namespaces,
        )
        serving = asyncio.create_task(watching)
        stopping = asyncio.create_task(stop.wait())
        started = asyncio.create_task(ready.wait())
        await asyncio.wait({serving, stopping, started}, return_when=asyncio.FIRST_COMPLETED)
        _on_signals(stop)  # kopf has taken them
        await asyncio.wait({serving, stopping, asking}, return_when=asyncio.FIRST_COMPLETED)
        for task in (started, stopping, asking):
            task.cancel()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(operator.close(), END)
        stopped.set()
        await serving
        await asyncio.wait({asking}, timeout=END)
        if asking.done() and not asking.cancelled():
            asking.result()  # raises what it ended with by itself


class NoEssence(kopf.DiffBaseStorage):
    """What kopf keeps of objects to tell their changes: nothing. We take events; copies were a tenth of our time."""

    def build(self, **_: object) -> kopf.BodyEssence:
        """Give what of an object counts."""
        return cast("kopf.BodyEssence", {})

    def fetch(self, **_: object) -> None:
        """Give what counted the last time."""

    def store(self, **_: object) -> None:
        """Keep it."""


def kopf_settings() -> kopf.OperatorSettings:
    """Give how kopf has to behave: it watches for us and does nothing else."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.networking.request_timeout = REQUEST
    settings.watching.inactivity_timeout = INACTIVE
    settings.watching.chunk_size = CHUNK
    settings.watching.label_selectors["v1", "pods"] = OURS  # others' pods are none of our business, nor of our memory
    settings.persistence.diffbase_storage = NoEssence()
    settings.queueing.idle_timeout = IDLE
    settings.queueing.exit_timeout = 1.0
    logging.getLogger("kopf").setLevel(logging.WARNING)
    return settings


def _on_signals(stop: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
