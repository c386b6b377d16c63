"""The doors' accounts on a real API server: the tests that every store passes, and what only a real one refuses."""

import json
from collections.abc import AsyncIterator

import pytest
from kubernetes.client import ApiClient, Configuration
from kubernetes.config import load_kube_config

from ponton_operator.cluster.kube_accounts import KubeAccounts
from ponton_operator.cluster.kube_api import Client, KubeApi
from ponton_operator.resources.account import FINALIZER, AccountStatus, BridgeAccount, account_name
from ponton_operator.selfservice.accounts import AccountStore, AccountsUnavailable
from tests.cluster.operator_kit import define
from tests.cluster.reach import Cluster
from tests.unit import test_account_stores as common
from tests.unit.account_places import DOMAIN, OWNER, Place
from tests.unit.gateway_world import gateway

NAME = common.NAME
store = common.store
# The tests of every store, with the place below.
globals().update({name: test for name, test in vars(common).items() if name.startswith("test_")})


class RealCluster:
    """A namespace of a real cluster."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace
        self.apis: list[KubeApi] = []
        self.stores: list[KubeAccounts] = []
        self.down = False

    def client(self) -> Client:
        """Connect as administrator, or to nobody when it is to be out of reach."""
        settings = Configuration()
        load_kube_config(str(self.cluster.kubeconfig), client_configuration=settings)  # type: ignore[no-untyped-call]  # not typed there
        if self.down:
            settings.host = "https://127.0.0.1:1"
        return Client(ApiClient(settings))

    def store(self) -> AccountStore:
        """See Place."""
        self.apis.append(KubeApi(self.client(), writes=0))
        self.stores.append(KubeAccounts(self.apis[-1], gateway({"namespace": self.namespace}, domain=DOMAIN)))
        return self.stores[-1]

    def tell(self, account: BridgeAccount, **status: object) -> None:
        """See Place."""
        told = AccountStatus.model_validate(status).model_dump(mode="json", by_alias=True, exclude_none=True)
        self._patch(account.metadata.name, {"status": told}, "--subresource=status")

    def finish(self, name: str) -> None:
        """See Place."""
        self.cluster.kubectl("delete", "ba", name, "-n", self.namespace, "--wait=false")
        self._patch(name, {"metadata": {"finalizers": None}})

    def put(self, name: str, owner: str) -> None:
        """See Place."""
        metadata = {"name": name, "namespace": self.namespace, "finalizers": [FINALIZER]}
        spec = {"owner": owner, "gatewayRef": {"name": "wa"}}
        self.cluster.apply(
            {"apiVersion": "ponton.im/v1alpha1", "kind": "BridgeAccount", "metadata": metadata, "spec": spec}
        )

    def fail(self) -> None:
        """See Place."""
        self.down = True
        for api in self.apis:
            api.client = self.client()

    async def close(self) -> None:
        """Close everything, and leave nothing that would hold up the namespace's end."""
        for opened in self.stores:
            await opened.close()
        for api in self.apis:
            api.close()
        for item in self.cluster.get("ba", "-n", self.namespace)["items"]:
            self._patch(item["metadata"]["name"], {"metadata": {"finalizers": None}})

    def _patch(self, name: str, patch: object, *more: str) -> None:
        words = ("patch", "ba", name, "-n", self.namespace, "--type=merge", "-p", json.dumps(patch))
        self.cluster.kubectl(*words, *more)


@pytest.fixture(scope="session")
def known(api_cluster: Cluster) -> Cluster:
    """Give a cluster that knows the resources."""
    define(api_cluster)
    return api_cluster


@pytest.fixture
async def place(known: Cluster) -> AsyncIterator[Place]:
    """Give a namespace of its own."""
    with known.namespace() as namespace:
        made = RealCluster(known, namespace)
        yield made
        await made.close()


async def test_the_server_takes_what_doors_write(place: Place, known: Cluster) -> None:
    """The finalizer is on, and the server's own defaults and rules agree with ours."""
    assert isinstance(place, RealCluster)
    account = await place.store().create(OWNER)
    found = known.get("ba", NAME, "-n", place.namespace)
    assert ([FINALIZER], OWNER) == (found["metadata"]["finalizers"], found["spec"]["owner"])
    assert account.metadata.uid == found["metadata"]["uid"]


async def test_a_namespace_that_ends_takes_no_accounts(place: Place, known: Cluster) -> None:
    """The owner is told that it does not work now; nothing is half made."""
    assert isinstance(place, RealCluster)
    await place.store().create("b@example.test")  # holds the namespace
    known.kubectl("delete", "namespace", place.namespace, "--wait=false")
    with pytest.raises(AccountsUnavailable):
        await place.store().create(OWNER)
    assert None is await place.store().get(account_name(DOMAIN, OWNER))
