"""Network policies of a gateway: what its pods may reach, and nothing else. Pure; called by `plan.gateway`.

Nobody connects to a shard or to the front desk, and to the portal only at its pages and its metrics. A server is found
by the peer that the host named in spec.network, else by its address if it is one. One that is known by name only may be
reached at any address, on its port alone, and `open_servers` says so; an upload service by name has to be public.
Policies count behind Services: ports are those of the pods.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Final
from urllib.parse import urlsplit

from ponton_bridge.model.errors import HostError
from ponton_operator.plan.manifests_base import Component, Manifest, build, selector
from ponton_operator.plan.manifests_door import HEALTH_PORT
from ponton_operator.resources.gateway import BridgeGateway, Portal
from ponton_operator.resources.network import NEVER, Network, Peer
from ponton_operator.resources.oidc import Oidc

WHATSAPP: Final = (443, 5222)
HTTPS: Final = (443, 5281)  # of uploads: at a proxy before Prosody, or Prosody's own https
API: Final = (443, 6443)
UPLOAD: Final = "upload"
DNS: Final = 53
PUBLIC: Final = "0.0.0.0/0"
PUBLIC_V6: Final = "2000::/3"  # all that is globally routed (RFC 4291); private and link-local ranges lie outside
# Within it: protocol assignments with Teredo (RFC 2928), documentation (RFC 3849), 6to4 (RFC 3056): ways back to IPv4.
NEVER_V6: Final = ("2001::/23", "2001:db8::/32", "2002::/16")
_KUBE_DNS: Final = Peer(
    pod_labels={"k8s-app": "kube-dns"}, namespace_labels={"kubernetes.io/metadata.name": "kube-system"}
)
_REDIS_PORT: Final = 6379
_SCHEME_PORTS: Final = {"redis": _REDIS_PORT, "rediss": _REDIS_PORT, "http": 80, "https": 443}

Rule = dict[str, Any]


class BadAddress(HostError):
    """A URL of the gateway that cannot be used."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server of the gateway; `field` is the part of spec.network that names its peer."""

    field: str
    host: str
    ports: tuple[int, ...]
    peer: Peer | None


def server_of(field: str, url: str, peer: Peer | None) -> Server:
    """Give the server that a URL names, Redis or a proxy. Raises BadAddress, which never holds the URL.

    >>> server_of("redis", "redis://user:word@redis.example:6380/0", None).ports
    (6380,)
    """
    what = "Redis: redis://user:password@host:6379/0 is one" if field == "redis" else "a proxy: http://host:3128 is one"
    try:
        parts = urlsplit(url)
        port = parts.port or _SCHEME_PORTS.get(parts.scheme, 0)
    except ValueError:
        raise BadAddress(f"This is no URL of {what}.") from None
    right = {"redis", "rediss"} if field == "redis" else {"http", "https"}
    if parts.scheme not in right or not parts.hostname or not port:
        raise BadAddress(f"This is no URL of {what}.")
    return Server(field, parts.hostname, (port,), peer)


def shard_servers(gateway: BridgeGateway, redis_url: str) -> list[Server]:
    """Give the servers that shards reach. Raises BadAddress."""
    spec, network = gateway.spec, gateway.spec.network
    servers = [*_common(gateway, redis_url)]
    if spec.shard.upload:
        servers.append(Server(UPLOAD, spec.shard.upload.host, HTTPS, network.upload))
    if spec.shard.egress.proxy:
        servers.append(server_of("proxy", spec.shard.egress.proxy, network.proxy))
    return servers


def private_login(gateway: BridgeGateway) -> list[Server]:
    """Give the portal's login server, if it may be at an address that is not public."""
    portal = gateway.spec.selfservice.portal
    oidc = portal.oidc if portal else None
    return [_login_server(oidc, gateway.spec.network)] if oidc and oidc.private_network else []


def open_servers(servers: Iterable[Server]) -> tuple[str, ...]:
    """Name the parts of spec.network without which a policy has to allow any address on a server's port."""
    return tuple(server.field for server in servers if _place(server) is None and server.field != UPLOAD)


def policies(gateway: BridgeGateway, redis_url: str) -> list[Manifest]:
    """Make the policies of shards and doors; none when the host writes its own. Raises BadAddress."""
    network = gateway.spec.network
    if not network.policies:
        return []
    shard = [rule for server in shard_servers(gateway, redis_url) for rule in _to_server(server, network)]
    if not gateway.spec.shard.egress.proxy:
        shard += public(network, WHATSAPP)
    desk = [rule for server in _common(gateway, redis_url) for rule in _to_server(server, network)]
    api = Server("apiServer", "", API, network.api_server)
    made = [_policy(gateway, Component.SHARD, "shards", [*shard, _dns(network)])]
    if gateway.spec.selfservice.front_desk:
        desk += _to_server(api, network)
        made.append(_policy(gateway, Component.FRONT_DESK, "frontdesk", [*desk, _dns(network)]))
    if portal := gateway.spec.selfservice.portal:
        servers = (server_of("redis", redis_url, network.redis), api)
        pages = [rule for server in servers for rule in _to_server(server, network)]
        if portal.oidc:
            pages += _to_login(portal.oidc, network)
        made.append(_policy(gateway, Component.PORTAL, "portal", [*pages, _dns(network)], _visits(portal, network)))
    return made


def public(network: Network, ports: Sequence[int]) -> list[Rule]:
    """Allow what is public, but for NEVER and what the host blocked, on these ports."""
    blocked = [ip_network(text) for text in network.blocked]
    blocks = []
    for base, never in ((PUBLIC, NEVER), (PUBLIC_V6, NEVER_V6)):
        whole = ip_network(base)
        inner = [text for text in (*never, *map(str, blocked)) if _inside(ip_network(text), whole)]
        if not any(_inside(whole, one) for one in blocked):
            blocks.append({"ipBlock": {"cidr": base, "except": list(dict.fromkeys(inner))}})
    return [{"to": blocks, "ports": _ports(ports)}] if blocks else []


# ---- inside ------------------------------------------------------------------------------------------------------


def _common(gateway: BridgeGateway, redis_url: str) -> tuple[Server, Server]:
    spec, network = gateway.spec, gateway.spec.network
    xmpp = Server("xmpp", spec.xmpp.host, (spec.xmpp.port,), network.xmpp)
    return xmpp, server_of("redis", redis_url, network.redis)


def _login_server(oidc: Oidc, network: Network) -> Server:
    parts = urlsplit(oidc.issuer)
    port = parts.port or _SCHEME_PORTS[parts.scheme]
    return Server("loginServer", parts.hostname or "", (port,), network.login_server)


def _to_login(oidc: Oidc, network: Network) -> list[Rule]:
    """Let the portal at its login server: where the host says that it is, else at what is public."""
    server = _login_server(oidc, network)
    known = network.login_server is not None or oidc.private_network
    return _to_server(server, network) if known else public(network, server.ports)


def _visits(portal: Portal, network: Network) -> list[Rule]:
    """Let visitors at the pages, and pods of the cluster at the metrics, which name nobody."""
    pages: Rule = {"ports": _ports((portal.port,))}
    if network.visitors:
        pages["from"] = [_block(network.visitors)]
    return [pages, {"ports": _ports((HEALTH_PORT,)), "from": [{"namespaceSelector": {}}]}]


def _policy(
    gateway: BridgeGateway, pods: Component, name: str, egress: Sequence[Rule], ingress: Sequence[Rule] = ()
) -> Manifest:
    spec = {
        "podSelector": selector(gateway, pods),
        "policyTypes": ["Ingress", "Egress"],
        "ingress": list(ingress),
        "egress": list(egress),
    }
    full = f"{gateway.metadata.name}-{name}"
    return build(gateway, "NetworkPolicy", "networking.k8s.io/v1", full, Component.NETWORK, {"spec": spec})


def _to_server(server: Server, network: Network) -> list[Rule]:
    place = _place(server)
    if place is None and server.field == UPLOAD:
        return public(network, server.ports)
    return [{"ports": _ports(server.ports)} | ({} if place is None else {"to": [place]})]


def _dns(network: Network) -> Rule:
    ports = [{"protocol": protocol, "port": DNS} for protocol in ("UDP", "TCP")]
    return {"ports": ports, "to": [_block(network.dns or _KUBE_DNS)]}


def _place(server: Server) -> Rule | None:
    """Say where a server is, None when only its name is known."""
    if server.peer is not None:
        return _block(server.peer)
    try:
        address = ip_address(server.host)
    except ValueError:
        return None
    return {"ipBlock": {"cidr": f"{address}/{address.max_prefixlen}"}}


def _block(peer: Peer) -> Rule:
    if peer.cidr is not None:
        return {"ipBlock": {"cidr": peer.cidr}}
    block: Rule = {}
    if peer.namespace_labels is not None:
        block["namespaceSelector"] = {"matchLabels": dict(peer.namespace_labels)}
    if peer.pod_labels is not None or not block:
        block["podSelector"] = {"matchLabels": dict(peer.pod_labels or {})}
    return block


def _ports(numbers: Sequence[int]) -> list[Rule]:
    return [{"protocol": "TCP", "port": number} for number in numbers]


def _inside(inner: IPv4Network | IPv6Network, outer: IPv4Network | IPv6Network) -> bool:
    """Tell whether a range is part of another, or all of it."""
    if isinstance(inner, IPv4Network):
        return isinstance(outer, IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, IPv6Network) and inner.subnet_of(outer)
