"""What is held of a cluster: the accounts of one gateway, and the pods of all shards.

Own dictionaries, filled by one list and kept by events and by the answers to our own writes, whichever is newer. What
comes late (a watch may lag) is known by its resourceVersion and ignored. Called by `kube_backend` and `kube_shards`;
fed by `operators.accounts`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from ponton_operator.cluster.reconcile import Held
from ponton_operator.plan.fleet import Owners
from ponton_operator.plan.manifests_shard import shard_name
from ponton_operator.plan.pods import Pod
from ponton_operator.plan.values import Process
from ponton_operator.resources.account import BridgeAccount

GONE: Final = 1000  # accounts that are remembered after their end: a watch is late by seconds


@dataclass(slots=True)
class Pending:
    """A start whose pod is not made yet, or of which nobody knows: it counts as a process that runs.

    `due`: when it is tried again (seconds since 1970). `claim`: the uid of the claim that a wipe is removing.
    """

    epoch: int
    wipe: bool
    trouble: str = ""
    tries: int = 0
    due: float = 0.0
    claim: str = ""


@dataclass(slots=True)
class KubeHeld(Held):
    """One account of the cluster."""

    pending: Pending | None = None

    @property
    def version(self) -> int:
        """The resourceVersion, by which newer is told from older."""
        text = self.account.metadata.resource_version
        return int(text) if text.isascii() and text.isdigit() else 0


@dataclass(slots=True)
class Accounts:
    """The accounts of one gateway by name; `owners` knows which of two of one owner counts.

    One that we have let go is not taken again, whatever a late watch still tells of it.
    """

    held: dict[str, KubeHeld] = field(default_factory=dict)
    owners: Owners = field(default_factory=Owners)
    _gone: dict[str, None] = field(default_factory=dict)  # uids, the oldest first

    def put(self, account: BridgeAccount, now: float) -> set[str]:
        """Take an account as it was seen; gives the names to plan, none if that was no news."""
        name = account.metadata.name
        if account.metadata.uid in self._gone:
            return set()
        held, fresh = self.held.get(name), KubeHeld(account, written=now)
        if held is None or held.account.metadata.uid != account.metadata.uid:
            self.held[name] = fresh
        elif fresh.version <= held.version:
            return set()
        else:
            held.account = account
        return self.owners.put(account) | {name}

    def drop(self, name: str) -> set[str]:
        """Forget an account; gives the names of others to plan."""
        if held := self.held.pop(name, None):
            self._gone[held.account.metadata.uid] = None
            if len(self._gone) > GONE:
                del self._gone[next(iter(self._gone))]
        return self.owners.drop(name) - {name}


@dataclass(slots=True)
class Pods:
    """All pods of shards, by namespace and account."""

    _all: dict[tuple[str, str], dict[int, Pod]] = field(default_factory=dict)
    _collected: dict[tuple[str, str], int] = field(default_factory=dict)  # the highest epoch that was

    def of(self, namespace: str, account: str) -> dict[int, Pod]:
        """Give the pods of an account by epoch, those too of which only the end is known."""
        return self._all.get((namespace, account), {})

    def all(self) -> Iterator[Pod]:
        """Give every pod that there is."""
        for pods in list(self._all.values()):
            yield from (pod for pod in pods.values() if not pod.gone)

    def put(self, pod: Pod) -> bool:
        """Take a pod as it was seen; gives whether that was news."""
        key, epoch = (pod.namespace, pod.account), pod.process.epoch
        if epoch <= self._collected.get(key, 0):
            return False  # a late word of one whose end is recorded
        before = self._all.setdefault(key, {}).get(epoch)
        if before and before.uid == pod.uid and (before.gone or pod.version < before.version):
            return False
        self._all[key][epoch] = pod
        return before != pod

    def gone(self, namespace: str, account: str, uid: str, final: Pod | None = None) -> bool:
        """The object of a pod is gone; `final` is how it was seen last. Gives whether that was news."""
        before = next((pod for pod in self.of(namespace, account).values() if pod.uid == uid), None)
        if before is None or before.gone:
            return False
        self._all[namespace, account][before.process.epoch] = (final or before).left()
        return True

    def suspect(self, pod: Pod) -> None:
        """Have a pod looked at, at the next plan of its account."""
        pods = self.of(pod.namespace, pod.account)
        if pods.get(pod.process.epoch) == pod and not pod.gone:
            pods[pod.process.epoch] = replace(pod, look=0.0, version=0)

    def never(self, namespace: str, account: str, gateway: str, epoch: int) -> None:
        """Record a start that was given up before there was a pod."""
        end = Process(epoch, ended=True, told=True)
        name = shard_name(account, epoch)
        pod = Pod(namespace, name, "", account, gateway, "", "", "", 0, end, gone=True)
        self._all.setdefault((namespace, account), {})[epoch] = pod

    def collect(self, namespace: str, account: str, epoch: int) -> None:
        """Forget a pod whose end is recorded."""
        key = namespace, account
        pods = self._all.get(key, {})
        pods.pop(epoch, None)
        if not pods:
            self._all.pop(key, None)
        self._collected[key] = max(epoch, self._collected.get(key, 0))

    def is_known(self, namespace: str, account: str, epoch: int) -> bool:
        """Whether a pod of this epoch is held, or was collected."""
        key = namespace, account
        return epoch in self._all.get(key, {}) or epoch <= self._collected.get(key, 0)

    def leave(self, namespace: str) -> None:
        """Hold nothing of a namespace any more."""
        self._all = {key: pods for key, pods in self._all.items() if key[0] != namespace}
        self._collected = {key: epoch for key, epoch in self._collected.items() if key[0] != namespace}

    def forget(self, namespace: str, account: str) -> None:
        """The account is gone: whatever comes of its name next is another's."""
        key = namespace, account
        self._collected.pop(key, None)
        if left := {epoch: pod for epoch, pod in self._all.pop(key, {}).items() if not pod.gone}:
            self._all[key] = left
