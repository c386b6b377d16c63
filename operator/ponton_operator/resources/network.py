"""Where a gateway's pods may connect to, from which its network policies are made. A part of BridgeGateway.

Read by `plan.manifests` on a cluster; without effect on one machine.
"""

from typing import Annotated, Final

from pydantic import ConfigDict, Field

from ponton_operator.resources.base import K8s

_CIDR: Final = r"^[0-9a-fA-F:.]+/[0-9]{1,3}$"
Cidr = Annotated[str, Field(pattern=_CIDR, max_length=43)]
LabelValue = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?)?$")]
_ONE_KIND = {
    "x-kubernetes-validations": [
        {
            "rule": "has(self.cidr) != (has(self.podLabels) || has(self.namespaceLabels))",
            "message": "say either cidr, or podLabels and/or namespaceLabels",
        }
    ]
}


class Peer(K8s):
    """One server: an address range, or pods by labels (in this namespace unless namespaceLabels are given)."""

    model_config = ConfigDict(json_schema_extra=_ONE_KIND)  # type: ignore[typeddict-item]  # its JSON type is too wide

    cidr: Cidr | None = None
    pod_labels: dict[str, LabelValue] | None = None
    namespace_labels: dict[str, LabelValue] | None = None


# Ranges to which a shard must never connect, whatever is public: RFC 1918, 6598, 3927, 5735; multicast and reserved.
NEVER: Final = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
)


class Network(K8s):
    """The servers that pods of the gateway reach, and what of the public internet they may not.

    `blocked` adds the cluster's own ranges (nodes, pods, services) where these are public addresses.
    """

    policies: bool = True  # False: the host writes its own, and answers for it
    xmpp: Peer | None = None
    prosody_http: Peer | None = None
    redis: Peer | None = None
    upload: Peer | None = None
    proxy: Peer | None = None
    dns: Peer | None = None  # default: pods with k8s-app=kube-dns in kube-system
    api_server: Peer | None = None  # for the front desk and the portal; default: any address on 443 and 6443
    blocked: tuple[Cidr, ...] = ()
