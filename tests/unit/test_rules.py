"""Rules: in Python they hold for what they should, each with its sentence; their CEL is tried on a real API server."""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from ponton_operator.resources import account, base, gateway, network, oidc, running
from ponton_operator.resources.rules import (
    ASCENDING_TO_ALL,
    KEYWORD,
    MEMORY_FITS,
    NAMES_UNIQUE,
    NETWORK,
    SOME_LOGIN,
    Rule,
    amount,
    keys_shaped,
    shape,
)


def sentences(kind: Any, value: object) -> list[str]:  # noqa: ANN401  # any type
    """Give what a type says to a value; nothing if it takes it."""
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        return [found["msg"] for found in error.errors()]
    return []


LOGIN = {"issuer": "https://login.example.org", "clientId": "ponton", "jid": "{xmpp}"}
PAGE = {"url": "https://example.org/wa"}
GOOD: dict[str, tuple[object, tuple[object, ...]]] = {
    "name": (base.Name, ("a", "a-b", "0", "a" * 63)),
    "host": (base.Host, ("localhost", "wa.example.org", "xn--bcher-kva.example", "1.2")),
    "cluster name": (base.ClusterName, ("", "gvisor", "a.b")),
    "cpu": (base.Cpu, ("0", "20m", "0.5", "2", "64", "1234567m")),
    "memory": (base.Memory, ("1", "268435456", "96Mi", "1.5Gi", "2G", "1Ti", "500k")),
    "network": (network.Cidr, ("10.0.0.0/8", "0.0.0.0/0", "203.0.113.7/32", "2001:db8::/32", "::/0", "::1/128")),
    "label": (network.LabelValue, ("", "a", "A.b_c-9", "a" * 63)),
    "labels": (network.Labels, ({}, {"app": "x"}, {"example.org/App_1": ""})),
    "waves": (running.Rollout, ({"wavePercents": [100]}, {"wavePercents": [1, 99, 100]}, {})),
    "tiers": (running.Scaling, ({"tiers": [{"name": "a"}, {"name": "b"}]}, {"tiers": []})),
    "login": (
        oidc.Oidc,
        (
            LOGIN,
            LOGIN | {"issuer": "https://login.example.org:8443/realms/a%20b/"},
            LOGIN | {"issuer": "http://localhost:8080"},
            LOGIN | {"jid": "{first.name}.{https://example.org/last}@example.org"},
            LOGIN | {"hostGroups": ["/Ponton hosts"], "groupsClaim": "realm_access.roles", "scopes": ["a:b"]},
        ),
    ),
    "ways in": (
        gateway.Portal,
        (PAGE, PAGE | {"xmppLogin": False, "oidc": LOGIN}, PAGE | {"xmppLogin": True, "oidc": LOGIN}),
    ),
    "sizes": (running.Tier, ({"name": "a", "memoryRequest": "1Gi", "memoryLimit": "1024Mi"},)),
    "peer": (
        network.Peer,
        ({"cidr": "::/0"}, {"podLabels": {}}, {"namespaceLabels": {}}, {"cidr": None, "podLabels": {"a": "b"}}),
    ),
}
BAD: dict[str, tuple[object, str, tuple[object, ...]]] = {
    "name": (base.Name, base.NAME_SENTENCE, ("", "A", "a.b", "-a", "a-", "a\n", "ä", "a_b")),
    "host": (
        base.Host,
        "write a host name in small letters, like chat.example.org",
        ("", "Example.org", "a..b", ".a", "a.", "a_b", "a b", "a\n", "a:1"),
    ),
    "cpu": (
        base.Cpu,
        "write an amount of CPU like 20m, 0.5 or 2",
        ("", "m", "1.5m", "-1", "1k", "1e3", "0.0001", "1 "),
    ),
    "memory": (
        base.Memory,
        "write an amount of bytes like 96Mi or 1.5Gi",
        ("", "0", "100m", "Mi", "-1", "96mi", "96 Mi", "1e6", "1.2345Gi", "0.5Gi", "٣Mi"),
    ),
    "network": (
        network.Cidr,
        NETWORK.sentence,
        (
            "",
            "10.0.0.0",
            "10.0.0.1/8",
            "10.0.0.0/08",
            "10.0.0.0/33",
            "010.0.0.0/8",
            "::ffff:1.2.3.4/128",
            "::ffff:0:0/96",
            "fe80::%1/64",
            "10.0.0.0/255.0.0.0",
            "10.0.0.0/8\n",
            "x/8",
            "2001:db8::1/32",
        ),
    ),
    "labels": (
        network.Labels,
        "write the name of a label like app or example.org/app",
        ({"": "x"}, {"a b": "x"}, {"a/b/c": "x"}, {"A.org/x": ""}, {"a" * 64: ""}),
    ),
    "waves": (
        running.Rollout,
        ASCENDING_TO_ALL.sentence,
        ({"wavePercents": []}, {"wavePercents": [5, 25]}, {"wavePercents": [50, 50, 100]}, {"wavePercents": [100, 5]}),
    ),
    "tiers": (running.Scaling, NAMES_UNIQUE.sentence, ({"tiers": [{"name": "a"}, {"name": "b"}, {"name": "a"}]},)),
    "issuer": (
        oidc.Oidc,
        (
            "write the issuer exactly as the login server names itself, like https://login.example.org/realms/main; "
            "http is for localhost only"
        ),
        tuple(
            LOGIN | {"issuer": text}
            for text in ("http://login.example.org", "https://a:b@c.example", "https://a/?b", "https://a/#b", "a", "")
        ),
    ),
    "address of claims": (
        oidc.Oidc,
        (
            "write the name of the claim that holds the XMPP address, in braces, "
            "or an address in which such a name stands for a part"
        ),
        tuple(LOGIN | {"jid": text} for text in ("", "alice@example.org", "{a", "a}", "{}", "{a b}", "{a}\n", "{{a}}")),
    ),
    "scope": (oidc.Oidc, "write the name of a scope, like profile", (LOGIN | {"scopes": ["a b"]},)),
    "client": (
        oidc.Oidc,
        "write it in ASCII without spaces, exactly as the login server has it",
        (LOGIN | {"clientId": ""}, LOGIN | {"clientId": "a b"}),
    ),
    "no way in": (gateway.Portal, SOME_LOGIN.sentence, (PAGE | {"xmppLogin": False},)),
    "sizes": (
        running.Tier,
        MEMORY_FITS.sentence,
        ({"name": "a", "memoryRequest": "257Mi"}, {"name": "a", "memoryRequest": "1Gi", "memoryLimit": "1G"}),
    ),
    "resources": (gateway.Resources, MEMORY_FITS.sentence, ({"memoryLimit": "95Mi"},)),
    "peer": (
        network.Peer,
        "say either cidr, or podLabels and/or namespaceLabels",
        ({}, {"cidr": None}, {"cidr": "::/0", "podLabels": {}}, {"cidr": "::/0", "namespaceLabels": {"a": "b"}}),
    ),
}


@pytest.mark.parametrize("what", GOOD)
def test_what_is_good_is_taken(what: str) -> None:
    """Every good value is taken as it is."""
    kind, values = GOOD[what]
    assert [] == [value for value in values if sentences(kind, value)]


@pytest.mark.parametrize("what", BAD)
def test_what_breaks_a_rule_is_told_in_its_sentence(what: str) -> None:
    """Every bad value is refused with the rule's sentence, and with nothing else."""
    kind, sentence, values = BAD[what]
    assert [(value, [sentence]) for value in values] == [(value, sentences(kind, value)) for value in values]


@pytest.mark.parametrize(
    "owner",
    ["alice", "@b", "a@", "a@b/c", "a@b@c", "a b@c", "a@b ", "a\x00@b", "a@b\x7f", "a\ufffd@b", "\ud800@b", "a@b\n"],
)
def test_no_owner_can_be_no_address(owner: str) -> None:
    """Control characters, spaces and what could not be decoded are in no address."""
    spec = {"owner": owner, "gatewayRef": {"name": "wa"}}
    assert 1 == len(sentences(account.AccountSpec, spec))


@pytest.mark.parametrize("owner", ["a@b", "älice@exämple.org", "a.b+c@localhost", "a\\20b@c.d", "x" * 1000 + "@b"])
def test_an_owner_may_have_any_letters(owner: str) -> None:
    """The shape says what no address holds, and leaves the rest to the preparation of addresses."""
    assert [] == sentences(account.AccountSpec, {"owner": owner, "gatewayRef": {"name": "wa"}})


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ("0", 0),
        ("20m", Decimal("0.02")),
        ("1k", 1000),
        ("1.5Ki", 1536),
        ("96Mi", 96 * 2**20),
        ("2G", 2 * 10**9),
        ("1Ti", 2**40),
        ("999999999999999Ti", 2**63 - 1),
    ],
)
def test_quantities_are_numbers(quantity: str, expected: Decimal) -> None:
    """Suffixes count by 1000 and by 1024, and above the greatest number there is nothing."""
    assert expected == amount(quantity)


def every_rule(schema: object) -> Iterator[dict[str, str]]:
    """Give all rules of a schema."""
    if isinstance(schema, dict):
        yield from schema.get(KEYWORD, [])
        for value in schema.values():
            yield from every_rule(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from every_rule(value)


@pytest.mark.parametrize("model", [account.BridgeAccount, gateway.BridgeGateway])
def test_every_rule_has_a_sentence(model: type[BaseModel]) -> None:
    """A sentence is short, on one line, and has no braces: pydantic would fill them."""
    found = list(every_rule(model.model_json_schema(by_alias=True)))
    assert found
    for rule in found:
        assert re.fullmatch(r"[^{}\n]{10,200}", rule["message"])


@pytest.mark.parametrize("model", [account.BridgeAccount, gateway.BridgeGateway])
def test_patterns_mean_the_same_to_re2(model: type[BaseModel]) -> None:
    """No pattern looks around, refers back, or uses a class that is wider in Python."""
    patterns = re.findall(r'matches\("(.*?)"\)', "\n".join(r["rule"] for r in every_rule(model.model_json_schema())))
    assert patterns
    for pattern in patterns:
        assert not re.search(r"\(\?|\\\\[1-9dDwWsSbBAZz]", pattern)
        assert pattern.startswith("^")
        assert pattern.endswith("$")


@given(st.text())
def test_a_shape_is_that_of_the_whole_text(text: str) -> None:
    """Nothing may stand before or behind, not even a line's end."""
    rule = shape("^ab?$", "two letters")
    assert rule.holds is not None
    assert (text in {"a", "ab"}) == rule.holds(text)


def test_keys_have_their_shape() -> None:
    """One bad key is enough."""
    rule = keys_shaped("^a+$", "only a")
    assert rule.holds is not None
    assert [True, True, False] == [rule.holds(keys) for keys in ({}, {"a": "1", "aa": "2"}, {"a": "1", "b": "2"})]
    assert {"rule": 'self.all(key, key.matches("^a+$"))', "message": "only a"} == rule.validation


def test_what_compares_with_before_is_for_the_api_server() -> None:
    """Without a past there is nothing to check."""
    value = object()
    assert value is Rule("self == oldSelf", "it cannot be changed").check(value)
