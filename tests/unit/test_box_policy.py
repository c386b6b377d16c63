"""Network policies as nftables rules: what is let through, in the words of the rules."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cluster.box.api import Object
from tests.cluster.box.policy import Pod, World, pod_of, script, selects

WEB = Pod("shop", "10.244.0.2", (("app", "web"),), (("http", "TCP", 8080), ("dns", "UDP", 53)))
DB = Pod("shop", "10.244.0.3", (("app", "db"),), (("http", "TCP", 9090),))
OTHER = Pod("else", "10.244.0.4", (("app", "web"),))
NAMESPACES = {"shop": {"kind": "tenant"}, "else": {"kind": "other"}}
WORLD = World([WEB, DB, OTHER], NAMESPACES)


def policy(namespace: str = "shop", **spec: object) -> Object:
    """A NetworkPolicy; without a selector it is for every pod of the namespace."""
    return {"metadata": {"name": "p", "namespace": namespace}, "spec": {"podSelector": {}, **spec}}


def chains(text: str) -> dict[str, list[str]]:
    """The rules of each chain of a script, by the chain's name."""
    found = re.findall(r"  chain (\w+) \{\n(.*?)\n  \}", text, re.DOTALL)
    return {name: [line.strip() for line in body.splitlines()] for name, body in found}


def egress_of_web(*rules: Object) -> list[str]:
    """What a policy with these egress rules, for WEB alone, lets through."""
    made = policy(podSelector={"matchLabels": {"app": "web"}}, policyTypes=["Egress"], egress=list(rules))
    *allowed, last = chains(script([made], WORLD))["egress_0"]
    assert "counter drop" == last
    return [rule.removesuffix("return").strip() for rule in allowed]


def ingress_of_web(*rules: Object) -> list[str]:
    """The same for ingress."""
    made = policy(podSelector={"matchLabels": {"app": "web"}}, ingress=list(rules))
    *allowed, last = chains(script([made], WORLD))["ingress_0"]
    assert "counter drop" == last
    return [rule.removesuffix("return").strip() for rule in allowed]


def test_without_policies_nothing_is_judged() -> None:
    """The hooks only accept."""
    hook = ["type filter hook {} priority 0; policy accept;", "ct state established,related accept"]
    expected = {name: [hook[0].format(name), hook[1]] for name in ("forward", "input")}
    assert expected == chains(script([], WORLD))


def test_a_policy_isolates_the_pods_that_it_selects_in_its_own_namespace() -> None:
    """Both directions when both are named; a pod of another namespace is never touched."""
    made = chains(script([policy(policyTypes=["Ingress", "Egress"])], WORLD))
    assert {"egress_0", "ingress_0", "egress_1", "ingress_1", "forward", "input"} == set(made)
    assert ["counter drop"] == made["egress_0"] == made["ingress_1"]


def test_egress_is_judged_towards_the_node_too_and_before_ingress() -> None:
    """A packet to the API server passes the input hook; a forwarded one is first its sender's matter."""
    made = chains(script([policy(policyTypes=["Ingress", "Egress"])], WORLD))
    jumps = [f"ip saddr {p.address} jump egress_{n}" for n, p in enumerate((WEB, DB))]
    assert jumps == made["input"][2:]
    assert jumps == made["forward"][2:4]
    assert f"ip daddr {WEB.address} jump ingress_0" == made["forward"][4]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, {"ingress_0"}),
        ({"egress": []}, {"ingress_0", "egress_0"}),
        ({"policyTypes": ["Egress"]}, {"egress_0"}),
    ],
)
def test_types_follow_from_the_rules_when_they_are_not_named(spec: Object, expected: set[str]) -> None:
    """Ingress always, Egress when there is such a list."""
    made = chains(script([policy(**spec)], World([WEB], NAMESPACES)))
    assert expected == set(made) - {"forward", "input"}


def test_an_empty_rule_lets_everything_through() -> None:
    """No peers means everybody, no ports every port."""
    assert [""] == egress_of_web({})


def test_peers_are_pods_by_label_in_this_and_other_namespaces() -> None:
    """A pod selector alone means the policy's namespace."""
    db = {"podSelector": {"matchLabels": {"app": "db"}}}
    web = {"podSelector": {"matchLabels": {"app": "web"}}}
    elsewhere = {"namespaceSelector": {"matchLabels": {"kind": "other"}}}
    assert ["ip saddr { 10.244.0.3 }"] == ingress_of_web({"from": [db]})
    assert ["ip saddr { 10.244.0.4 }"] == ingress_of_web({"from": [elsewhere]})
    assert ["ip saddr { 10.244.0.2, 10.244.0.4 }"] == ingress_of_web({"from": [{**web, "namespaceSelector": {}}]})


def test_a_peer_that_nobody_is_lets_nothing_through() -> None:
    """An empty set would be an error of nft; there is no rule instead."""
    nobody = {"podSelector": {"matchLabels": {"app": "none"}}}
    assert [] == ingress_of_web({"from": [nobody]})


def test_blocks_have_exceptions_which_may_overlap() -> None:
    """They become one set without overlaps; IPv6 is passed over."""
    block = {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "10.96.0.0/16", "192.168.0.0/16", "fc00::/7"]}
    assert ["ip daddr != { 10.0.0.0/8, 192.168.0.0/16 }"] == egress_of_web({"to": [{"ipBlock": block}]})
    assert ["ip daddr 0.0.0.0/0"] == egress_of_web({"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]})
    assert ["ip daddr 203.0.113.0/24"] == egress_of_web({"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]})
    assert [] == egress_of_web({"to": [{"ipBlock": {"cidr": "::/0"}}]})


def test_ports_are_numbers_ranges_or_a_whole_protocol() -> None:
    """Each peer with each port."""
    ports = [{"port": 443}, {"protocol": "UDP", "port": 5000, "endPort": 5010}, {"protocol": "SCTP"}]
    expected = ["tcp dport 443", "udp dport 5000-5010", "meta l4proto sctp"]
    assert expected == egress_of_web({"ports": ports})
    block = {"ipBlock": {"cidr": "203.0.113.0/24"}}
    assert [f"ip daddr 203.0.113.0/24 {end}" for end in expected] == egress_of_web({"to": [block], "ports": ports})


def test_a_named_port_is_the_number_that_the_receiver_gives_it() -> None:
    """On the way in it is the pod's own, on the way out each receiver's; protocol and name must fit."""
    http = [{"port": "http"}]
    assert ["tcp dport 8080"] == ingress_of_web({"ports": http})
    assert [] == ingress_of_web({"ports": [{"port": "dns"}]})
    assert ["udp dport 53"] == ingress_of_web({"ports": [{"port": "dns", "protocol": "UDP"}]})
    both = ["ip daddr 10.244.0.2 tcp dport 8080", "ip daddr 10.244.0.3 tcp dport 9090"]
    assert both == egress_of_web({"ports": http})
    assert both[1:] == egress_of_web({"to": [{"podSelector": {"matchLabels": {"app": "db"}}}], "ports": http})
    assert [] == egress_of_web({"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}], "ports": http})


def test_policies_add_up() -> None:
    """What any of them allows passes, said once."""
    one = policy(ingress=[{"ports": [{"port": 1}]}])
    two = policy(ingress=[{"ports": [{"port": 2}]}, {"ports": [{"port": 1}]}])
    made = chains(script([one, two], WORLD))
    assert ["tcp dport 1 return", "tcp dport 2 return", "counter drop"] == made["ingress_0"]


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ({"key": "app", "operator": "In", "values": ["web", "db"]}, True),
        ({"key": "app", "operator": "NotIn", "values": ["web"]}, False),
        ({"key": "none", "operator": "NotIn", "values": ["web"]}, True),
        ({"key": "app", "operator": "Exists"}, True),
        ({"key": "app", "operator": "DoesNotExist"}, False),
    ],
)
def test_expressions_of_a_selector(term: Object, *, expected: bool) -> None:
    """The four operators."""
    assert expected == selects({"matchExpressions": [term]}, {"app": "web"})


@given(labels=st.dictionaries(st.text(max_size=3), st.text(max_size=3)))
def test_a_selector_of_all_labels_matches_and_one_more_does_not(labels: dict[str, str]) -> None:
    """Every label of a selector must hold."""
    assert selects({"matchLabels": labels}, labels)
    assert not selects({"matchLabels": {**labels, "more": "x"}}, labels)


def test_a_pod_counts_while_it_has_an_address_of_its_own() -> None:
    """Not before it has one, not on the node's network, not after its end."""
    port = {"name": "http", "containerPort": 80}
    found: Object = {
        "metadata": {"namespace": "shop", "labels": {"app": "web"}},
        "spec": {"containers": [{"ports": [port, {"containerPort": 81}]}]},
        "status": {"podIP": "10.244.0.9", "phase": "Pending"},
    }
    assert Pod("shop", "10.244.0.9", (("app", "web"),), (("http", "TCP", 80),)) == pod_of(found)
    assert pod_of({**found, "status": {"phase": "Pending"}}) is None
    assert pod_of({**found, "status": {**found["status"], "phase": "Succeeded"}}) is None
    assert pod_of({**found, "spec": {**found["spec"], "hostNetwork": True}}) is None
