"""Events on the cluster (kubectl describe) for what a person must know; few, and none that says who an owner is.

Called by `kube_backend` when the reason of an account changes, and by the gateways operator about gateways. One of a
kind for an object in an hour: a loop of crashes is one event, and ten thousand accounts at rest are none.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ponton_bridge.model.states import Reason
from ponton_operator.cluster.kube_api import KubeApi
from ponton_operator.cluster.kube_errors import KubeError
from ponton_operator.cluster.kube_kinds import EVENTS, Obj
from ponton_operator.resources.account import BridgeAccount
from ponton_operator.resources.base import API_VERSION, moment
from ponton_operator.resources.conditions import Own, sentence_of
from ponton_operator.resources.gateway import BridgeGateway

AGAIN: Final = 3600.0  # seconds after which the same may be told again
KEPT: Final = 20_000  # what was told lately; the oldest goes first
COMPONENT: Final = "ponton-operator"
# Reasons of an account that somebody has to look at.
NOTABLE: Final = frozenset({
    Reason.CRASHING,
    Reason.BANNED,
    Reason.STALE_STORE,
    Own.IMAGE_UNAVAILABLE,
    Own.CONTAINER_REFUSED,
    Own.POD_REFUSED,
    Own.QUOTA_FULL,
    Own.UNSCHEDULABLE,
    Own.VOLUME_PENDING,
    Own.OUT_OF_MEMORY,
    Own.WAITING_FOR_NODE,
})  # fmt: skip


@dataclass(slots=True)
class Notices:
    """Who was told what, and when."""

    api: KubeApi
    clock: Callable[[], float] = time.time
    _told: dict[tuple[str, str], float] = field(default_factory=dict)

    async def changed(self, account: BridgeAccount, before: str) -> None:
        """The reason of an account has changed: make an event if somebody must know."""
        reason = account.status.reason
        if reason != before and reason in NOTABLE:
            await self.tell(account, reason, sentence_of(reason))

    async def tell(self, about: BridgeAccount | BridgeGateway, reason: str, sentence: str) -> None:
        """Make an event; a cluster that does not take it is no reason to stop."""
        now, key = self.clock(), (about.metadata.uid, reason)
        if now - self._told.get(key, -AGAIN) < AGAIN:
            return
        self._told.pop(key, None)
        self._told[key] = now
        while len(self._told) > KEPT:
            self._told.pop(next(iter(self._told)))
        try:
            await self.api.create(EVENTS, about.metadata.namespace, event_of(about, reason, sentence, now))
        except KubeError:
            return


def event_of(about: BridgeAccount | BridgeGateway, reason: str, sentence: str, now: float) -> Obj:
    """Give the object of a warning about an account or a gateway."""
    meta, at = about.metadata, moment(int(now)).isoformat().replace("+00:00", "Z")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": meta.namespace, "generateName": f"{meta.name}."},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": about.kind,
            "namespace": meta.namespace,
            "name": meta.name,
            "uid": meta.uid,
        },
        "reason": reason,
        "message": sentence,
        "type": "Warning",
        "source": {"component": COMPONENT},
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }
