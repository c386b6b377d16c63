"""Where the kinds that the control plane reads and writes are in the Kubernetes API. For `kube_api` and its callers."""

from dataclasses import dataclass
from typing import Any, Final

from ponton_operator.resources.base import API_VERSION

Obj = dict[str, Any]  # an object of the API, as JSON has it


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind; `group` is what the path begins with, for example api/v1 or apis/apps/v1."""

    group: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Give the path of an object, or without `name` of all of them.

        >>> PODS.path("wa", "acc-x-1")
        '/api/v1/namespaces/wa/pods/acc-x-1'
        """
        where = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        which = f"/{name}" if name else ""
        part = f"/{subresource}" if subresource else ""
        return f"/{self.group}{where}/{self.plural}{which}{part}"


ACCOUNTS: Final = Kind(f"apis/{API_VERSION}", "bridgeaccounts")
GATEWAYS: Final = Kind(f"apis/{API_VERSION}", "bridgegateways")
PODS: Final = Kind("api/v1", "pods")
SECRETS: Final = Kind("api/v1", "secrets")
CLAIMS: Final = Kind("api/v1", "persistentvolumeclaims")
CONFIG_MAPS: Final = Kind("api/v1", "configmaps")
SERVICES: Final = Kind("api/v1", "services")
EVENTS: Final = Kind("api/v1", "events")
NODES: Final = Kind("api/v1", "nodes", namespaced=False)
NAMESPACES: Final = Kind("api/v1", "namespaces", namespaced=False)
DEPLOYMENTS: Final = Kind("apis/apps/v1", "deployments")
NETWORK_POLICIES: Final = Kind("apis/networking.k8s.io/v1", "networkpolicies")
BUDGETS: Final = Kind("apis/policy/v1", "poddisruptionbudgets")
LEASES: Final = Kind("apis/coordination.k8s.io/v1", "leases")
SERVICE_ACCOUNTS: Final = Kind("api/v1", "serviceaccounts")
ROLES: Final = Kind("apis/rbac.authorization.k8s.io/v1", "roles")
ROLE_BINDINGS: Final = Kind("apis/rbac.authorization.k8s.io/v1", "rolebindings")
