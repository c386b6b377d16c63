"""Places where a door's accounts may be kept, behind one face, so that the same tests run on each of them."""

import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol

from ponton_operator.cluster.kube_accounts import KubeAccounts
from ponton_operator.cluster.kube_api import KubeApi
from ponton_operator.cluster.local_folder import FILE, STATUS
from ponton_operator.resources.account import FINALIZER, AccountStatus, BridgeAccount
from ponton_operator.resources.yamlfile import dump
from ponton_operator.selfservice.accounts import AccountStore
from tests.harness.kube_fake import KubeFake
from tests.integration.local_world import World, account_yaml
from tests.unit.gateway_world import gateway

OWNER = "alice@example.test"
DOMAIN = "wa.example.test"


class Place(Protocol):
    """One gateway's accounts, as people and the operator change them."""

    def store(self) -> AccountStore:
        """Open a door's store of its own."""

    def tell(self, account: BridgeAccount, **status: object) -> None:
        """Write a status, as the operator does, which from now on has to see to its deletion."""

    def finish(self, name: str) -> None:
        """End a deletion, as the operator does."""

    def put(self, name: str, owner: str) -> None:
        """Make an account by hand."""

    def fail(self) -> None:
        """Be out of reach."""


class Files:
    """A folder."""

    def __init__(self, world: World) -> None:
        self.world = world

    def store(self) -> AccountStore:
        """See Place."""
        return self.world.store()

    def tell(self, account: BridgeAccount, **status: object) -> None:
        """See Place."""
        metadata = account.metadata.model_copy(update={"annotations": {FILE: f"{account.metadata.name}.yaml"}})
        told = account.model_copy(update={"metadata": metadata, "status": AccountStatus.model_validate(status)})
        (self.world.accounts / f"{account.metadata.name}{STATUS}").write_text(dump(told))

    def finish(self, name: str) -> None:
        """See Place."""
        with suppress(FileNotFoundError):
            (self.world.accounts / f"{name}.yaml").unlink()
        (self.world.accounts / f"{name}{STATUS}").unlink()

    def put(self, name: str, owner: str) -> None:
        """See Place."""
        self.world.put(name, account_yaml(name, owner=owner))

    def fail(self) -> None:
        """See Place."""
        self.world.accounts.rename(self.world.root / "elsewhere")


class Cluster:
    """An API server."""

    def __init__(self, fake: KubeFake) -> None:
        self.fake = fake
        self.apis: list[KubeApi] = []
        self.stores: list[KubeAccounts] = []

    def store(self) -> AccountStore:
        """See Place."""
        self.apis.append(KubeApi(self.fake.client(), writes=0))
        self.stores.append(KubeAccounts(self.apis[-1], gateway(domain=DOMAIN)))
        return self.stores[-1]

    def tell(self, account: BridgeAccount, **status: object) -> None:
        """See Place."""
        held = AccountStatus.model_validate(status).model_dump(mode="json", by_alias=True, exclude_none=True)
        self.fake.answer("PATCH", self.path(account.metadata.name) + "/status", {}, {"status": held})

    def finish(self, name: str) -> None:
        """See Place."""
        self.fake.remove("bridgeaccounts", "bridges", name)

    def put(self, name: str, owner: str) -> None:
        """See Place."""
        metadata = {"name": name, "finalizers": [FINALIZER], "creationTimestamp": self.early()}
        spec = {"owner": owner, "gatewayRef": {"name": "wa"}}
        self.fake.put("bridgeaccounts", "bridges", {"metadata": metadata, "spec": spec})

    def fail(self) -> None:
        """See Place."""
        self.fake.down = True

    def path(self, name: str) -> str:
        """Give the path of an account."""
        return f"/apis/ponton.im/v1alpha1/namespaces/bridges/bridgeaccounts/{name}"

    @staticmethod
    def early() -> str:
        """Give a time before now, in the form of the API."""
        return datetime.fromtimestamp(time.time() - 100, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    async def close(self) -> None:
        """Close everything that was opened."""
        self.fake.closed = True
        for store in self.stores:
            await store.close()
        for api in self.apis:
            api.close()
