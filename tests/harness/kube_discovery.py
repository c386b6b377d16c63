"""The API server in memory with what a program asks of a cluster before anything else: which kinds there are.

With it the operators' programs run as they are, kopf and all; a KUBECONFIG says where it is.
"""

from tests.harness.kube_fake import Obj, Refused
from tests.harness.kube_town import PodFake

# Group and version, and what is in it: plural, kind, whether it is in namespaces.
KINDS: dict[str, tuple[tuple[str, str, bool], ...]] = {
    "v1": (
        ("pods", "Pod", True),
        ("secrets", "Secret", True),
        ("events", "Event", True),
        ("nodes", "Node", False),
        ("namespaces", "Namespace", False),
    ),
    "ponton.im/v1alpha1": (
        ("bridgeaccounts", "BridgeAccount", True),
        ("bridgegateways", "BridgeGateway", True),
    ),
    "apiextensions.k8s.io/v1": (("customresourcedefinitions", "CustomResourceDefinition", False),),
}


class DiscoFake(PodFake):
    """Tells what it has."""

    def answer(self, method: str, path: str, query: dict[str, str], body: Obj | None) -> Obj:
        """Do one call. Raises Refused."""
        parts = path.strip("/").split("/")
        if parts == ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        if parts == ["apis"]:
            groups = [name.split("/") for name in KINDS if "/" in name]
            return {"kind": "APIGroupList", "groups": [_group(*group) for group in groups]}
        if (found := KINDS.get("/".join(parts[1:]))) is not None:
            return {"kind": "APIResourceList", "resources": [_resource(*kind) for kind in found]}
        if parts[0] == "apis" and len(parts) == 3:  # a group and its version, not in the table
            raise Refused(404, "NotFound")
        return super().answer(method, path, query, body)


def _group(name: str, version: str) -> Obj:
    here = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [here], "preferredVersion": here}


def _resource(plural: str, kind: str, namespaced: bool) -> Obj:  # noqa: FBT001  # a table's row
    verbs = ["get", "list", "watch", "create", "update", "patch", "delete"]
    return {"name": plural, "singularName": kind.lower(), "kind": kind, "namespaced": namespaced, "verbs": verbs}
