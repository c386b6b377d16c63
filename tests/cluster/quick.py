"""What people and doors do with accounts and pods, by the API itself: a call takes milliseconds, kubectl a second."""

from dataclasses import dataclass
from urllib.parse import quote

from tests.cluster.box.api import Api
from tests.cluster.looks import GROUPS
from tests.cluster.reach import Cluster, Object

_MERGE = "application/merge-patch+json"


def api_of(cluster: Cluster, user: str = "admin", *, keep: bool = False) -> Api:
    """Give a client from outside; as "box" it leaves no trace in the audit log."""
    assert cluster.box
    return Api(cluster.box.folder.pki, user, int(cluster.box.folder.notes()["port"]), keep=keep)


@dataclass(frozen=True)
class Quick:
    """One namespace."""

    api: Api
    namespace: str

    def make(self, account: Object) -> None:
        """Make an account."""
        self.api.create(self._path("bridgeaccounts"), account)

    def change(self, name: str, **spec: object) -> None:
        """Change the spec of an account."""
        self.api.call("PATCH", self._path("bridgeaccounts", name), {"spec": spec}, _MERGE)

    def remove(self, kind: str, name: str) -> None:
        """Remove an account, or a pod; that it is gone already is as good."""
        self.api.delete(self._path(kind, name))

    def items(self, kind: str, labels: str = "app.kubernetes.io/managed-by=ponton") -> list[Object]:
        """Give what there is of a kind."""
        found: list[Object] = self.api.get(f"{self._path(kind)}?labelSelector={quote(labels)}")["items"]
        return found

    def accounts(self) -> dict[str, Object]:
        """Give all accounts by name."""
        return {item["metadata"]["name"]: item for item in self.items("bridgeaccounts", "")}

    def _path(self, kind: str, name: str = "") -> str:
        path = f"{GROUPS[kind]}/namespaces/{self.namespace}/{kind}"
        return f"{path}/{name}" if name else path
