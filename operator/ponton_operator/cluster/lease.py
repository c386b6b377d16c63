"""A Lease of Kubernetes (coordination.k8s.io): of several identical programs one works, the others stand by.

Used by the operators and by the front desk on a cluster. Whoever holds it renews every 2 s; who could not for 10 s ends
itself, before the others may take it after 15 s. Staleness is judged by the own monotonic clock since the record last
changed, never by times that others wrote; the resourceVersion makes the taking atomic. It is no fence: writes stay
safe when two work at once for a moment.
"""

import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from ponton_operator.cluster.kube_api import Client
from ponton_operator.cluster.kube_errors import Conflict, KubeError, NotFound
from ponton_operator.cluster.kube_kinds import LEASES, Obj

DURATION: Final = 15.0  # seconds after which an unchanged record counts as given up; as Kubernetes' own components
DEADLINE: Final = 10.0  # seconds without a renewal after which the holder ends itself; with 6 a starved one gave up
RENEW: Final = 2.0  # seconds between renewals
LOOK: Final = 1.0  # seconds between looks of those that stand by
CALL: Final = 2.0  # seconds that one call may take
EPOCH: Final = "ponton.im/epoch"  # annotation: grows with every taking
SAY: Final = 0.5  # seconds to say why we end
_TICK: Final = 0.2  # seconds between looks of the watchdog
EX_TEMPFAIL: Final = 75  # sysexits.h: somebody else works now, or nobody can


def leave(say: Callable[[], None] = lambda: None) -> None:
    """End the process at once, whatever hangs, saying why included: the Lease may be another's any moment."""
    saying = threading.Thread(target=say, daemon=True)
    saying.start()
    saying.join(SAY)
    os._exit(EX_TEMPFAIL)


class Lease:
    """One Lease and our part in it; `lost()` is called, by any thread, when we may not work any more.

    `issue(last)` gives the epoch after the last one; it may raise KubeError, and the Lease is not taken then.
    """

    def __init__(  # a clock and an end, for tests
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        *,
        lost: Callable[[], None] = leave,
        issue: Callable[[int], int] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._client, self._namespace, self._name, self._identity = client, namespace, name, identity
        self._lost, self._clock, self._wall = lost, clock, wall
        self._issue = issue or (lambda last: max(last + 1, int(wall() * 1000)))
        self._record: Obj = {}
        self._seen: tuple[str, float] = ("", 0.0)  # the version seen last, and since when it has not changed
        self._renewed = 0.0
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def epoch(self) -> int:
        """The fencing token of this taking: milliseconds since 1970, or more than the last one's."""
        return _epoch(self._record)

    def hold(self, stop: threading.Event) -> bool:
        """Stand by until the Lease is ours; gives False if `stop` was set before. Blocks: for a thread."""
        while not stop.is_set():
            try:
                if self.take():
                    return True
            except KubeError:
                pass  # the API server is away: nobody can take or renew it
            stop.wait(LOOK)
        return False

    def take(self) -> bool:
        """Try once to take the Lease; gives whether it is ours. Raises KubeError."""
        asked = self._clock()
        try:
            found = self._call("get")
        except NotFound:
            found = {}
        spec = found.get("spec") or {}
        holder, version = str(spec.get("holderIdentity") or ""), _version(found)
        if version != self._seen[0]:
            self._seen = (version, asked)
        patience = float(spec.get("leaseDurationSeconds") or DURATION)
        if holder and holder != self._identity and asked - self._seen[1] < patience:
            return False
        try:
            self._record = self._call("update" if found else "create", self._taken(found))
        except Conflict:
            return False
        self._renewed = asked
        return True

    def keep(self) -> None:
        """Renew from now on in a thread, and watch in another that it was done in time."""
        for work in (self._renewing, self._watching):
            thread = threading.Thread(target=work, name=f"lease {work.__name__}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def renew(self) -> None:
        """Renew once. Raises KubeError; calls `lost` when somebody else holds it."""
        asked = self._clock()
        try:
            self._record = self._call("update", self._renewal(self._record))
        except Conflict:  # an answer of ours got lost, or somebody else took it
            found = self._call("get")
            if (found.get("spec") or {}).get("holderIdentity") != self._identity or _epoch(found) != self.epoch:
                self._lost()
                return
            self._record = self._call("update", self._renewal(found))
        except NotFound:  # whoever removed it did not mean to stop us; but another may hold a new one
            self._record = self._call("create", self._renewal(self._record, fresh=True))
        self._renewed = asked

    def overdue(self) -> bool:
        """Whether the last renewal is so long ago that we have to end."""
        return self._clock() - self._renewed > DEADLINE

    def release(self) -> None:
        """Give the Lease up, after the last deed: who stands by takes it at the next look."""
        self._ending.set()
        for thread in self._threads:
            thread.join(CALL * 2)
        body = self._renewal(self._record)
        body["spec"]["holderIdentity"] = ""
        try:
            self._call("update", body)
        except KubeError:
            return  # it runs out by itself

    # ---- inside --------------------------------------------------------------------------------------------

    def _renewing(self) -> None:
        while not self._ending.wait(RENEW):
            try:
                self.renew()
            except KubeError:
                continue  # the watchdog counts

    def _watching(self) -> None:
        while not self._ending.wait(_TICK):
            if self.overdue():
                self._lost()
                return

    def _call(self, verb: str, body: Obj | None = None) -> Obj:
        path = LEASES.path(self._namespace, "" if verb == "create" else self._name)
        return self._client.call(verb, LEASES, path, body=body, seconds=CALL)

    def _taken(self, found: Obj) -> Obj:
        """Give the record with us as its new holder."""
        spec = dict(found.get("spec") or {})
        again = spec.get("holderIdentity") == self._identity
        spec |= {"holderIdentity": self._identity, "leaseDurationSeconds": int(DURATION)}
        spec |= {"acquireTime": self._now(), "renewTime": self._now()}
        spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + (0 if again or not found else 1)
        metadata = dict(found.get("metadata") or {"name": self._name, "namespace": self._namespace})
        epoch = self._issue(_epoch(found))
        metadata["annotations"] = dict(metadata.get("annotations") or {}) | {EPOCH: str(epoch)}
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}

    def _renewal(self, found: Obj, *, fresh: bool = False) -> Obj:
        spec = dict(found.get("spec") or {}) | {"renewTime": self._now()}
        metadata = dict(found.get("metadata") or {})
        if fresh:
            annotations = metadata.get("annotations") or {}
            metadata = {"name": self._name, "namespace": self._namespace, "annotations": annotations}
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}

    def _now(self) -> str:
        return datetime.fromtimestamp(self._wall(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _version(found: Obj) -> str:
    return str((found.get("metadata") or {}).get("resourceVersion") or "")


def _epoch(found: Obj) -> int:
    text = str(((found.get("metadata") or {}).get("annotations") or {}).get(EPOCH) or "0")
    return int(text) if text.isascii() and text.isdigit() else 0
