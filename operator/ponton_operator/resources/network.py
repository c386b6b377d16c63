"""Where a gateway's pods may connect to, from which its network policies are made. A part of BridgeGateway.

Read by `plan.manifests` on a cluster; without effect on one machine.
"""

from typing import Annotated, ClassVar, Final

from pydantic import BeforeValidator, Field

from ponton_operator.resources.base import Flag, K8s
from ponton_operator.resources.rules import NETWORK, Rule, keys_shaped, shape

Cidr = Annotated[str, Field(max_length=43), NETWORK]
_PREFIX: Final = "([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
_WORD: Final = "[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?"
LabelValue = Annotated[
    str,
    Field(max_length=63),
    shape(f"^({_WORD})?$", "write the value of a label: at most 63 letters, digits, '-', '_' and '.', or nothing"),
]


def _said(labels: object) -> object:
    """Leave out what is null, as the API server does."""
    return {key: value for key, value in labels.items() if value is not None} if isinstance(labels, dict) else labels


Labels = Annotated[
    dict[str, LabelValue],
    Field(max_length=16),
    keys_shaped(f"^{_PREFIX}{_WORD}$", "write the name of a label like app or example.org/app"),
    BeforeValidator(_said),
]
ONE_KIND: Final = Rule(
    "has(self.cidr) != (has(self.podLabels) || has(self.namespaceLabels))",
    "say either cidr, or podLabels and/or namespaceLabels",
    lambda peer: (peer.cidr is None) == (peer.pod_labels is not None or peer.namespace_labels is not None),
)


class Peer(K8s):
    """One server: an address range, or pods by labels (in this namespace unless namespaceLabels are given)."""

    RULES: ClassVar = (ONE_KIND,)

    cidr: Cidr | None = None
    """An address range."""
    pod_labels: Labels | None = None
    """Labels that the pods of the server have; {} means every pod."""
    namespace_labels: Labels | None = None
    """Labels that the namespace of these pods has; {} means every namespace."""


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
    """The servers that pods of the gateway reach, and what of the public internet they may not."""

    policies: Flag = True
    """False: no network policies are made; the host writes its own, and answers for it."""
    xmpp: Peer | None = None
    """Prosody's port for shards. Default for this and the next two: the address in its URL; any, if that is a name."""
    prosody_http: Peer | None = None
    """Prosody's HTTP view."""
    redis: Peer | None = None
    """Redis."""
    upload: Peer | None = None
    """The upload host. Default: any public address on its port."""
    proxy: Peer | None = None
    """The egress proxy. Default: the address in its URL; any, if that is a name."""
    dns: Peer | None = None
    """The name server. Default: pods with k8s-app=kube-dns in kube-system."""
    api_server: Peer | None = None
    """The API server, for the front desk and the portal. Default: any address on 443 and 6443."""
    login_server: Peer | None = None
    """The login server of the portal. Default: any public address on its port; with privateNetwork as for Prosody."""
    visitors: Peer | None = None
    """Who may connect to the portal's pages: the proxy that speaks TLS. Default: anybody."""
    blocked: Annotated[tuple[Cidr, ...], Field(max_length=64)] = ()
    """Ranges that no shard reaches besides the private ones: the cluster's own (nodes, pods, services), if public."""
