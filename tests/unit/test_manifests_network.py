"""Network policies as data: what pods of a gateway may reach, and that it is no more than that."""

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from ponton_operator.plan.manifests_base import Manifest
from ponton_operator.plan.manifests_network import (
    WHATSAPP,
    BadAddress,
    open_servers,
    policies,
    private_login,
    server_of,
    shard_servers,
)
from ponton_operator.resources.network import NEVER
from tests.unit.gateway_world import find, gateway

REDIS = "redis://admin:word@192.0.2.20:6380/0"
PEERS: dict[str, Any] = {
    "xmpp": {"podLabels": {"app": "prosody"}, "namespaceLabels": {"name": "xmpp"}},
    "redis": {"podLabels": {"app": "redis"}},
    "upload": {"namespaceLabels": {"name": "xmpp"}},
    "proxy": {"cidr": "198.51.100.7/32"},
    "dns": {"cidr": "10.96.0.10/32"},
    "apiServer": {"cidr": "10.99.0.1/32"},
}


def policy(name: str, redis: str = REDIS, **spec: Any) -> Manifest:  # noqa: ANN401  # as in YAML
    """Make the policies of a gateway and give one."""
    return find(policies(gateway(**spec), redis), "NetworkPolicy", name)


def reaches(made: Manifest, address: str, port: int, protocol: str = "TCP") -> bool:
    """Whether pods under a policy may connect to an address outside the cluster."""
    return any(
        {"protocol": protocol, "port": port} in rule["ports"]
        and ("to" not in rule or any(holds(to.get("ipBlock"), address) for to in rule["to"]))
        for rule in made["spec"]["egress"]
    )


def holds(block: dict[str, Any] | None, address: str) -> bool:
    """Whether an address is in a block of a policy."""
    if block is None or ip_network(block["cidr"]).version != ip_address(address).version:
        return False
    inside = ip_address(address) in ip_network(block["cidr"])
    return inside and not any(ip_address(address) in ip_network(part) for part in block.get("except", ()))


def test_nobody_connects_to_a_shard_or_the_front_desk() -> None:
    """Both policies count for both directions and have no rule for what comes in."""
    for name, component in (("wa-shards", "shard"), ("wa-frontdesk", "frontdesk")):
        spec = policy(name)["spec"]
        assert (["Ingress", "Egress"], []) == (spec["policyTypes"], spec["ingress"])
        expected = {"app.kubernetes.io/component": component, "ponton.im/gateway": "wa"}
        assert expected == spec["podSelector"]["matchLabels"]


def test_a_shard_reaches_whatsapp_at_public_addresses() -> None:
    """WhatsApp's ports are open at public addresses, of both families, and no other port."""
    made = policy("shards")
    for port in WHATSAPP:
        assert reaches(made, "157.240.0.60", port)
        assert reaches(made, "2a03:2880:f2ff::1", port)
    for port in (22, 80, 6443, 5347, 5348):
        assert not reaches(made, "157.240.0.60", port)
    assert not reaches(made, "157.240.0.60", 443, "UDP")


@pytest.mark.parametrize(
    "address",
    [
        "10.96.0.1", "10.244.1.7", "172.16.3.3", "192.168.0.1", "169.254.169.254", "127.0.0.1", "0.0.0.1", "100.64.1.1",
        "198.18.0.1", "224.0.0.1", "255.255.255.255", "fd00::1", "fe80::1", "::1", "::ffff:10.0.0.1", "ff02::1",
        "2002:a00:1::1", "2001:0:a00::1", "2001:db8::1",
    ],
)  # fmt: skip
def test_a_shard_reaches_nothing_private(address: str) -> None:
    """Private, link-local, shared, multicast and embedded addresses are closed on each port that is open to others."""
    for port in WHATSAPP:
        assert not reaches(policy("shards", network=PEERS), address, port)


def test_every_range_that_is_never_is_left_out() -> None:
    """All of NEVER is there literally, and what the host blocked is added, twice the same once."""
    made = policy("shards", network={"blocked": ["203.0.113.0/24", "203.0.113.0/24", "2001:67c::/32"]})
    (rule,) = [r for r in made["spec"]["egress"] if len(r.get("to", ())) == 2]
    v4, v6 = (to["ipBlock"] for to in rule["to"])
    assert ["0.0.0.0/0", *NEVER, "203.0.113.0/24"] == [v4["cidr"], *v4["except"]]
    assert ("2000::/3", "2001:67c::/32") == (v6["cidr"], v6["except"][-1])
    assert not reaches(made, "203.0.113.200", 443)


def test_blocking_everything_leaves_no_public_rule() -> None:
    """A range that holds a whole family closes that family; an exception must be smaller than what it is one of."""
    assert not reaches(policy("shards", network={"blocked": ["0.0.0.0/0"]}), "157.240.0.60", 443)
    assert reaches(policy("shards", network={"blocked": ["0.0.0.0/0"]}), "2a03:2880:f2ff::1", 443)
    none = policy("shards", network={"blocked": ["0.0.0.0/0", "::/0"]})
    assert not reaches(none, "2a03:2880:f2ff::1", 443)


def test_with_a_proxy_there_is_no_other_way() -> None:
    """Where shards use a proxy they reach that, and nothing public."""
    made = policy("shards", shard={"egress": {"proxy": "http://proxy.example:3128"}}, network=PEERS)
    assert reaches(made, "198.51.100.7", 3128)
    assert not reaches(made, "157.240.0.60", 443)
    assert not reaches(made, "157.240.0.60", 5222)


def test_servers_are_reached_where_the_host_says_they_are() -> None:
    """Peers become selectors; ports are those of the stream, of the Redis URL, of uploads."""
    egress = policy("shards", network=PEERS, shard={"upload": {"host": "up.example.org"}})["spec"]["egress"]
    by_port = {rule["ports"][0]["port"]: rule for rule in egress}
    xmpp = {"namespaceSelector": {"matchLabels": {"name": "xmpp"}}, "podSelector": {"matchLabels": {"app": "prosody"}}}
    assert [xmpp] == by_port[5348]["to"]
    assert [{"podSelector": {"matchLabels": {"app": "redis"}}}] == by_port[6380]["to"]
    upload = next(rule for rule in egress if {"protocol": "TCP", "port": 5281} in rule["ports"])
    assert [{"namespaceSelector": {"matchLabels": {"name": "xmpp"}}}] == upload["to"]
    assert [{"ipBlock": {"cidr": "10.96.0.10/32"}}] == by_port[53]["to"]
    assert ["UDP", "TCP"] == [port["protocol"] for port in by_port[53]["ports"]]


def test_dns_is_the_clusters_own_unless_said_otherwise() -> None:
    """Without a peer names are asked of kube-dns only."""
    (rule,) = [r for r in policy("shards")["spec"]["egress"] if r["ports"][0]["port"] == 53]
    (to,) = rule["to"]
    assert {"k8s-app": "kube-dns"} == to["podSelector"]["matchLabels"]
    assert {"kubernetes.io/metadata.name": "kube-system"} == to["namespaceSelector"]["matchLabels"]


def test_an_address_needs_no_peer() -> None:
    """A server that is given by address is reached there and nowhere else, of either family."""
    made = policy("shards", redis="redis://u:p@[2001:db8::7]:6379/0")
    assert (True, False) == (reaches(made, "192.0.2.10", 5348), reaches(made, "192.0.2.11", 5348))
    assert (True, False) == (reaches(made, "2001:db8::7", 6379), reaches(made, "2001:db8::8", 6379))


def test_a_name_alone_opens_its_port_and_is_told() -> None:
    """A server without a known address may be anywhere, on its own port; the host is told which these are."""
    resource = gateway(xmpp={"host": "prosody.example"}, shard={"egress": {"proxy": "http://proxy.example:3128"}})
    servers = shard_servers(resource, "redis://redis.example")
    assert ("xmpp", "redis", "proxy") == open_servers(servers)
    made = find(policies(resource, "redis://redis.example"), "NetworkPolicy", "shards")
    assert reaches(made, "10.1.2.3", 6379)
    assert not reaches(made, "10.1.2.3", 443)
    assert () == open_servers(shard_servers(gateway(network=PEERS), REDIS))


def test_an_upload_service_by_name_is_public() -> None:
    """Without a peer uploads go to public addresses only, so that no name opens the API server."""
    made = policy("shards", shard={"upload": {"host": "up.example.org"}})
    assert reaches(made, "157.240.0.60", 5281)
    for port in (443, 5281):
        assert not reaches(made, "10.96.0.1", port)


def test_the_front_desk_reaches_its_four_servers() -> None:
    """Prosody's stream, Redis, DNS and the API server; nothing public."""
    made = policy("frontdesk", network=PEERS)
    assert {5348, 6380, 443, 53} == {rule["ports"][0]["port"] for rule in made["spec"]["egress"]}
    assert (True, True) == (reaches(made, "10.99.0.1", 6443), reaches(made, "10.99.0.1", 443))
    assert not reaches(made, "157.240.0.60", 443)


def test_no_policies_when_the_host_writes_its_own() -> None:
    """With policies off there are none, and without a front desk there is none for it."""
    assert [] == policies(gateway(network={"policies": False}), REDIS)
    made = policies(gateway(selfservice={"frontDesk": False}), REDIS)
    assert ["wa-shards"] == [m["metadata"]["name"] for m in made]


@pytest.mark.parametrize(
    "url", ["", "redis", "http://x", "redis://", "redis://x:99999", "redis://[::1", "unix:///run/redis.sock"]
)
def test_a_redis_url_that_is_none_is_told(url: str) -> None:
    """The sentence says what one looks like, never what stands there."""
    with pytest.raises(BadAddress) as caught:
        server_of("redis", url, None)
    assert "This is no URL of Redis: redis://user:password@host:6379/0 is one." == caught.value.sentence


def test_urls_have_usual_ports() -> None:
    """Schemes bring their port."""
    assert (6379,) == server_of("redis", "rediss://u:p@redis.example", None).ports
    assert (80,) == server_of("proxy", "http://proxy.example", None).ports
    assert (443,) == server_of("proxy", "https://proxy.example", None).ports
    with pytest.raises(BadAddress, match="proxy"):
        server_of("proxy", "redis://x", None)


PAGE: dict[str, Any] = {"selfservice": {"portal": {"url": "https://example.org", "port": 8481}}}


def test_the_portal_is_visited_at_its_pages() -> None:
    """By anybody; its metrics, which name nobody, are for pods of the cluster; nothing else is open."""
    pages, metrics = policy("wa-portal", **PAGE)["spec"]["ingress"]
    assert {"ports": [{"protocol": "TCP", "port": 8481}]} == pages
    assert ([{"protocol": "TCP", "port": 9090}], [{"namespaceSelector": {}}]) == (metrics["ports"], metrics["from"])


def test_only_the_hosts_proxy_visits_the_portal_where_it_is_named() -> None:
    """By labels of its pods, as any other peer."""
    visitors = {"namespaceLabels": {"name": "ingress"}, "podLabels": {"app": "proxy"}}
    pages, _ = policy("wa-portal", network={"visitors": visitors}, **PAGE)["spec"]["ingress"]
    (peer,) = pages["from"]
    assert {"namespaceSelector", "podSelector"} == set(peer)


def test_the_portal_reaches_redis_and_the_api_server_and_nobody_else() -> None:
    """Neither Prosody, nor WhatsApp, nor an upload service."""
    made = policy("wa-portal", network=PEERS | {"redis": None}, **PAGE)
    assert reaches(made, "192.0.2.20", 6380)
    assert reaches(made, "10.99.0.1", 443)
    assert reaches(made, "10.96.0.10", 53, "UDP")
    for address, port in (("192.0.2.10", 5348), ("203.0.113.9", 443), ("203.0.113.9", 5222), ("192.0.2.20", 6379)):
        assert not reaches(made, address, port), (address, port)
    assert 3 == len(made["spec"]["egress"])


def at_login(network: dict[str, Any] | None = None, **more: object) -> dict[str, Any]:
    """Make the portal's policy with a login server."""
    oidc = {"issuer": "https://login.example.org:8443/a", "clientId": "x", "jid": "{xmpp}", **more}
    page: dict[str, Any] = {"selfservice": {"portal": PAGE["selfservice"]["portal"] | {"oidc": oidc}}}
    return policy("wa-portal", network=PEERS | (network or {}), **page)


def test_the_portal_reaches_its_login_server() -> None:
    """At public addresses on its port; where the host says that it is, there alone."""
    made = at_login()
    assert reaches(made, "203.0.114.9", 8443)
    for address, port in (("203.0.114.9", 443), ("10.1.2.3", 8443), ("169.254.169.254", 8443)):
        assert not reaches(made, address, port), (address, port)
    named = at_login({"loginServer": {"cidr": "10.1.2.3/32"}})
    assert reaches(named, "10.1.2.3", 8443)
    assert not reaches(named, "203.0.114.9", 8443)


def test_a_private_login_server_by_name_is_told() -> None:
    """Any address on its port has to be open then, until spec.network says where it is."""
    oidc = {"issuer": "https://login.example.org", "clientId": "x", "jid": "{xmpp}", "privateNetwork": True}
    page: dict[str, Any] = {"selfservice": {"portal": PAGE["selfservice"]["portal"] | {"oidc": oidc}}}
    assert reaches(policy("wa-portal", network=PEERS, **page), "10.1.2.3", 443)
    assert ("loginServer",) == open_servers(private_login(gateway(network=PEERS, **page)))
    assert [] == private_login(gateway(**PAGE))
    assert [] == private_login(gateway())
    known = PEERS | {"loginServer": {"cidr": "10.1.2.3/32"}}
    assert () == open_servers(private_login(gateway(network=known, **page)))


def test_without_a_portal_there_is_no_policy_for_it() -> None:
    """It goes with the portal."""
    assert ["wa-shards", "wa-frontdesk"] == [one["metadata"]["name"] for one in policies(gateway(), REDIS)]
