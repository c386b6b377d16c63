"""The scaler: watches gateways, accounts and pods, and looks at all heartbeats every few seconds.

It writes `status.scaling` of accounts, two conditions and `status.portal` of gateways, and the size of running pods; it
makes and removes nothing. Without it shards and portals run on as they are. Run by `guard`, as `ponton operator
scaler`; what it decides is in `plan.scaling` and `plan.portal_scaling`, what it does in `cluster.kube_sweep` and
`cluster.kube_pages`.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import kopf

from ponton_operator.cluster.events import OperatorEvent
from ponton_operator.cluster.kube_beats import Beats
from ponton_operator.cluster.kube_errors import KubeError
from ponton_operator.cluster.kube_fleet import Fleet
from ponton_operator.cluster.kube_kinds import ACCOUNTS, GATEWAYS, PODS, Kind
from ponton_operator.cluster.kube_pages import Portals
from ponton_operator.cluster.kube_resize import Resizer
from ponton_operator.cluster.kube_sweep import Sweep
from ponton_operator.operators.guard import Context
from ponton_operator.plan.scaling import SWEEP

TIDY: Final = 600.0  # seconds between looks for what the watches did not tell
RATHER: Final = 9.0  # times that a sweep took, until the next one begins: no more than a tenth of our time
_GROUP: Final = "ponton.im"
_OURS: Final = {"app.kubernetes.io/managed-by": "ponton", "app.kubernetes.io/component": "shard"}


class Scaler:
    """The operator; `beats` gives the heartbeats."""

    def __init__(self, context: Context, beats: Beats, clock: Callable[[], float] = time.time) -> None:
        self._context = context
        self._beats = beats
        self._fleet = Fleet(context.log)
        self._resizer = Resizer(context.api, context.log, clock)
        self._sweep = Sweep(
            context.api, self._fleet, beats, self._resizer, context.metrics, context.log, clock
        )  # fmt: skip
        self._portals = Portals(context.api, self._fleet, beats, context.metrics, context.log, clock)
        self._task: asyncio.Task[None] | None = None

    def register(self, registry: kopf.OperatorRegistry) -> None:
        """Watch what the sweep reads."""

        def watch(kind: Kind) -> Callable[..., Any]:
            async def seen(event: Any, **_: object) -> None:  # noqa: ANN401  # kopf's own
                await self._see(kind, dict(event["object"]), gone=event["type"] == "DELETED")

            return seen

        for kind in (ACCOUNTS, GATEWAYS):
            kopf.on.event(_GROUP, kind.plural, registry=registry, id=f"scaler-{kind.plural}")(watch(kind))
        kopf.on.event("pods", labels=_OURS, registry=registry, id="scaler-pods")(watch(PODS))

    async def start(self) -> None:
        """Take in what there is, and begin to sweep. Raises KubeError."""
        await self._context.reach.begin(self)
        self._task = asyncio.create_task(self._run())

    async def take(self, namespace: str) -> None:
        """Take in what there is in a namespace. Raises KubeError."""
        await self._fleet.load(self._context.api, namespace)

    async def left_out(self, namespace: str) -> None:
        """Hold nothing of a namespace any more."""
        for key in self._fleet.leave(namespace):
            await self._beats.forget(*key)

    async def close(self) -> None:
        """End the sweep where it is: what it has not written it would decide again."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._beats.close()

    async def _see(self, kind: Kind, item: dict[str, Any], *, gone: bool) -> None:
        metadata = item.get("metadata") or {}
        place = (str(metadata.get("namespace") or ""), str(metadata.get("name") or ""))
        if not self._context.reach.serves(place[0]):
            return
        self._fleet.take(kind, item, gone=gone)
        if gone and kind is PODS:
            self._resizer.forget(*place)
        elif gone and kind is GATEWAYS:
            await self._beats.forget(*place)

    async def _run(self) -> None:
        tidied = time.monotonic()
        while True:
            began = time.monotonic()
            for key in list(self._fleet.gateways):
                if self._context.reach.serves(key[0]):  # else it is being taken in at this moment
                    await self._look(key)
            self._sweep.forget()
            if began - tidied >= TIDY:
                tidied = began
                for namespace in self._context.reach.served():
                    with suppress(KubeError), self._context.reach.minding(namespace):  # the next time will do
                        await self._fleet.tidy(self._context.api, namespace)
            took = time.monotonic() - began
            self._context.metrics.plan("sweep", "ok", took)
            await asyncio.sleep(max(SWEEP - took, RATHER * took, 0.1))

    async def _look(self, key: tuple[str, str]) -> None:
        try:
            await self._sweep.look(key)
            await self._portals.look(key)
        except Exception as error:  # noqa: BLE001  # one gateway's trouble is not the others'
            self._context.log.failure(OperatorEvent.SWEEP_FAILED, error, gateway=key[1])
            self._context.metrics.plan("sweep", type(error).__name__, 0.0)


def make(context: Context) -> Scaler:
    """Make the operator; called by the program."""
    return Scaler(context, Beats(context.api, time.monotonic))
