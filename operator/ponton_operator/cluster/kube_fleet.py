"""What the scaler holds of the cluster: gateways, accounts and the pods of shards, by namespace and name.

Filled by a list at the start and by watches afterwards; read by its sweep. Newer words win, whatever their order. What
vanished while a watch was broken nobody tells, so now and then the names of all that there is are compared.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.events import OperatorEvent
from ponton_operator.cluster.kube_api import KubeApi
from ponton_operator.cluster.kube_kinds import ACCOUNTS, GATEWAYS, PODS, Kind
from ponton_operator.plan.manifests_shard import ACCOUNT, SELECTOR
from ponton_operator.plan.resizing import Sized, read_sized
from ponton_operator.resources.account import BridgeAccount
from ponton_operator.resources.gateway import BridgeGateway

Key = tuple[str, str]  # namespace, name
_SEEN: Final = ((GATEWAYS, ""), (ACCOUNTS, ""), (PODS, SELECTOR))
R = TypeVar("R", BridgeAccount, BridgeGateway)


@dataclass(slots=True)
class Fleet:
    """All that is seen. Resources that cannot be read are left alone, and told in the log."""

    log: Log
    gateways: dict[Key, BridgeGateway] = field(default_factory=dict)
    pods: dict[Key, Sized] = field(default_factory=dict)  # by account; of several the one of the highest epoch
    _accounts: dict[Key, dict[Key, BridgeAccount]] = field(default_factory=dict)  # by gateway

    async def load(self, api: KubeApi, namespace: str) -> None:
        """Take in what there is in a namespace, '' for the cluster. Raises KubeError."""
        for kind, labels in _SEEN:
            async for page in api.pages(kind, namespace, labels):
                for item in page:
                    self.take(kind, item, gone=False)

    async def tidy(self, api: KubeApi, namespace: str) -> int:
        """Drop what is not in a namespace ('': the cluster) any more; gives how many that were. Raises KubeError."""
        dropped = 0
        for kind, labels in _SEEN:
            held = {key: account for key, account in self._names(kind).items() if namespace in {"", key[0]}}
            there: set[Key] = set()
            async for page in api.pages(kind, namespace, labels, names_only=True):
                there.update(map(_key, page))
            for place, name in held.keys() - there:
                label = {ACCOUNT: held[place, name]}
                self.take(kind, {"metadata": {"namespace": place, "name": name, "labels": label}}, gone=True)
                dropped += 1
        return dropped

    def leave(self, namespace: str) -> list[Key]:
        """Drop all that is held of a namespace; gives the gateways that were."""
        gateways = [key for key in self.gateways if key[0] == namespace]
        self.gateways = {key: held for key, held in self.gateways.items() if key[0] != namespace}
        self.pods = {key: held for key, held in self.pods.items() if key[0] != namespace}
        self._accounts = {key: held for key, held in self._accounts.items() if key[0] != namespace}
        return gateways

    def take(self, kind: Kind, item: Mapping[str, Any], *, gone: bool) -> None:
        """Take an object in as a list or a watch gives it."""
        if kind is PODS:
            self._take_pod(item, gone=gone)
        elif kind is GATEWAYS:
            self._take_gateway(item, gone=gone)
        else:
            self._take_account(item, gone=gone)

    def accounts(self, gateway: Key) -> list[BridgeAccount]:
        """Give the accounts of a gateway."""
        return list(self._accounts.get(gateway, {}).values())

    def put(self, account: BridgeAccount) -> None:
        """Take an account in as an answer to a write gave it."""
        group = self._accounts.setdefault((account.metadata.namespace, account.spec.gateway_ref.name), {})
        key = (account.metadata.namespace, account.metadata.name)
        if _version(account) >= _version(group.get(key)):
            group[key] = account

    def put_pod(self, pod: Sized) -> None:
        """Take a pod in as an answer to a write gave it."""
        key = (pod.namespace, pod.account)
        before = self.pods.get(key)
        if before is None or (before.epoch, before.version) <= (pod.epoch, pod.version):
            self.pods[key] = pod

    # ---- inside --------------------------------------------------------------------------------------------

    def _names(self, kind: Kind) -> dict[Key, str]:
        """Give the names of what is held of a kind, with the account that a pod belongs to."""
        if kind is PODS:
            return {(pod.namespace, pod.name): pod.account for pod in self.pods.values()}
        names = self.gateways if kind is GATEWAYS else [key for group in self._accounts.values() for key in group]
        return dict.fromkeys(names, "")

    def _take_gateway(self, item: Mapping[str, Any], *, gone: bool) -> None:
        key = _key(item)
        found = None if gone else self._read(BridgeGateway, item)
        if found is None:
            self.gateways.pop(key, None)
        elif _version(found) >= _version(self.gateways.get(key)):
            self.gateways[key] = found

    def _take_account(self, item: Mapping[str, Any], *, gone: bool) -> None:
        found = None if gone else self._read(BridgeAccount, item)
        if found is not None:
            self.put(found)
            return
        for group in self._of_namespace(_key(item)[0]):
            group.pop(_key(item), None)

    def _of_namespace(self, namespace: str) -> Iterator[dict[Key, BridgeAccount]]:
        return (group for (place, _), group in self._accounts.items() if place == namespace)

    def _take_pod(self, item: Mapping[str, Any], *, gone: bool) -> None:
        found = None if gone else read_sized(item)
        if found is not None:
            self.put_pod(found)
            return
        namespace, name = _key(item)
        account = str(((item.get("metadata") or {}).get("labels") or {}).get(ACCOUNT) or "")
        held = self.pods.get((namespace, account))
        if held is not None and held.name == name:
            del self.pods[namespace, account]

    def _read(self, model: type[R], item: Mapping[str, Any]) -> R | None:
        try:
            return model.model_validate(item)
        except ValidationError:
            self.log(OperatorEvent.RESOURCE_REFUSED, "warning", kind=str(item.get("kind") or model.__name__))
            return None


def _key(item: Mapping[str, Any]) -> Key:
    metadata = item.get("metadata") or {}
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")


def _version(resource: BridgeAccount | BridgeGateway | None) -> int:
    text = resource.metadata.resource_version if resource else ""
    return int(text) if text.isdecimal() else 0
