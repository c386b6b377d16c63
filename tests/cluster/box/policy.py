"""Turn NetworkPolicy objects into nftables rules; pure, called by `enforcer`.

One chain for each isolated pod and direction: what a policy allows returns, the rest is dropped. What the node itself
starts (probes) is always let in, as the specification allows. IPv4 alone, as the box has nothing else.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.cluster.box.api import Object

TABLE = "ponton_box_policy"
_PROTOCOLS = {"TCP": "tcp", "UDP": "udp", "SCTP": "sctp"}


@dataclass(frozen=True)
class Pod:
    """What policies look at: `ports` are the named ones as (name, protocol, number)."""

    namespace: str
    address: str
    labels: tuple[tuple[str, str], ...] = ()
    ports: tuple[tuple[str, str, int], ...] = ()


def pod_of(found: Object) -> Pod | None:
    """A pod as policies see it; None while it has no address of its own or when it has ended."""
    spec, status = found["spec"], found.get("status", {})
    if spec.get("hostNetwork") or not status.get("podIP") or status.get("phase") not in {"Pending", "Running"}:
        return None
    declared = (p for c in spec["containers"] for p in c.get("ports", []) if "name" in p)
    ports = tuple((p["name"], p.get("protocol", "TCP"), p["containerPort"]) for p in declared)
    labels = tuple(found["metadata"].get("labels", {}).items())
    return Pod(found["metadata"]["namespace"], status["podIP"], labels, ports)


def selects(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a LabelSelector matches; an empty one matches everything."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for term in selector.get("matchExpressions", []):
        value, values = labels.get(term["key"]), term.get("values", [])
        holds = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not holds[term["operator"]]:
            return False
    return True


class World:
    """Pods and the labels of their namespaces: what peers of a rule are chosen from."""

    def __init__(self, pods: Sequence[Pod], namespaces: dict[str, dict[str, str]]) -> None:
        self.pods = pods
        self._namespaces = namespaces

    def chosen(self, peer: Object, home: str) -> list[Pod]:
        """The pods that a peer with podSelector or namespaceSelector means, in a policy of namespace `home`."""
        spaces = {home}
        if "namespaceSelector" in peer:
            spaces = {n for n, labels in self._namespaces.items() if selects(peer["namespaceSelector"], labels)}
        wanted = peer.get("podSelector", {})
        return [pod for pod in self.pods if pod.namespace in spaces and selects(wanted, dict(pod.labels))]


def script(policies: Iterable[Object], world: World) -> str:
    """The input of one `nft -f -`, which replaces the whole table at once."""
    policies = list(policies)
    hooks: dict[str, list[str]] = {"forward": [], "input": []}
    chains: list[str] = []
    for number, pod in enumerate(world.pods):
        for way in ("egress", "ingress"):  # a forwarded packet is judged by its sender's rules first
            mine = [p for p in policies if _isolates(p, pod, way)]
            if not mine:
                continue
            name = f"{way}_{number}"
            rules = [rule for policy in mine for rule in _allowed(policy, pod, way, world)]
            body = [f"    {rule} return" if rule else "    return" for rule in dict.fromkeys(rules)]
            chains.append("\n".join([f"  chain {name} {{", *body, "    counter drop", "  }"]))
            jump = f"    ip {'saddr' if way == 'egress' else 'daddr'} {pod.address} jump {name}"
            hooks["forward"].append(jump)
            if way == "egress":
                hooks["input"].append(jump)  # to the API server and whatever else listens on the node
    lines = [f"add table ip {TABLE}", f"delete table ip {TABLE}", f"table ip {TABLE} {{", *chains]
    for hook, jumps in hooks.items():
        lines += [f"  chain {hook} {{", f"    type filter hook {hook} priority 0; policy accept;"]
        lines += ["    ct state established,related accept", *sorted(jumps, key=lambda jump: "ingress" in jump), "  }"]
    return "\n".join([*lines, "}"]) + "\n"


def _isolates(policy: Object, pod: Pod, way: str) -> bool:
    spec = policy["spec"]
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]
    here = policy["metadata"]["namespace"] == pod.namespace
    return here and way.capitalize() in types and selects(spec.get("podSelector", {}), dict(pod.labels))


def _allowed(policy: Object, pod: Pod, way: str, world: World) -> Iterable[str]:
    """Each match of packets that one policy lets pass; the empty match is everything."""
    side, key = ("daddr", "to") if way == "egress" else ("saddr", "from")
    for rule in policy["spec"].get(way, []):
        peers = rule.get(key) or [None]  # a rule without peers means everybody
        ports = rule.get("ports") or [None]
        for peer in peers:
            for port in ports:
                yield from _matches(peer, port, pod, side, policy["metadata"]["namespace"], world)


def _matches(peer: Object | None, port: Object | None, pod: Pod, side: str, home: str, world: World) -> Iterable[str]:
    named = port is not None and isinstance(port.get("port"), str)
    if peer is not None and "ipBlock" in peer:
        block = _block(peer["ipBlock"], side)
        if block and not (named and side == "daddr"):  # an address outside has no named ports
            yield from (_joined(block, end) for end in _ports(port, pod))
        return
    if named and side == "daddr":  # the name is the receiver's: another number for each of them
        receivers = world.pods if peer is None else world.chosen(peer, home)
        for receiver in receivers:
            yield from (_joined(f"ip daddr {receiver.address}", end) for end in _ports(port, receiver))
        return
    if peer is None:
        yield from _ports(port, pod)
        return
    if chosen := sorted({found.address for found in world.chosen(peer, home)}):
        yield from (_joined(f"ip {side} {{ {', '.join(chosen)} }}", end) for end in _ports(port, pod))


def _block(block: Object, side: str) -> str:
    if ":" in block["cidr"]:
        return ""
    match = "" if block["cidr"] == "0.0.0.0/0" else f"ip {side} {block['cidr']}"
    ranges = [ipaddress.IPv4Network(cidr) for cidr in block.get("except", []) if ":" not in cidr]
    if excepted := [str(network) for network in ipaddress.collapse_addresses(ranges)]:  # a set has no overlaps
        match = _joined(match, f"ip {side} != {{ {', '.join(excepted)} }}")
    return match or f"ip {side} 0.0.0.0/0"


def _ports(port: Object | None, pod: Pod) -> list[str]:
    """Matches for one entry of `ports`, its name looked up at `pod`; none when the pod has no port of that name."""
    if port is None:
        return [""]
    protocol = port.get("protocol", "TCP")
    number = port.get("port")
    if number is None:
        return [f"meta l4proto {_PROTOCOLS[protocol]}"]
    if isinstance(number, str):
        found = [n for name, kind, n in pod.ports if (name, kind) == (number, protocol)]
        return [f"{_PROTOCOLS[protocol]} dport {n}" for n in found]
    end = f"-{port['endPort']}" if "endPort" in port else ""
    return [f"{_PROTOCOLS[protocol]} dport {number}{end}"]


def _joined(first: str, second: str) -> str:
    return f"{first} {second}".strip()
