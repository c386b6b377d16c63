"""Resources: what they accept, their names, and that a structural schema can say it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from ponton_operator.resources.account import BridgeAccount, account_name
from ponton_operator.resources.base import MAX_NAME, NAME_PATTERN, Metadata, moment
from ponton_operator.resources.gateway import BridgeGateway, allowed_hosts
from ponton_operator.resources.yamlfile import dump, load

MODELS = (BridgeAccount, BridgeGateway)
GATEWAY: dict[str, Any] = {
    "metadata": {"name": "wa"},
    "spec": {
        "domain": "wa.example.org",
        "prosody": {"url": "http://127.0.0.1:5280/shards", "tokenRef": {"name": "prosody", "key": "token"}},
        "redis": {"urlRef": {"name": "redis", "key": "url"}},
        "secrets": {"masterRef": {"name": "prosody", "key": "master"}},
    },
}
ACCOUNT: dict[str, Any] = {
    "metadata": {"name": "acc-1"},
    "spec": {"owner": "alice@example.org", "gatewayRef": {"name": "wa"}},
}


class Structural(GenerateJsonSchema):
    """An optional value is nullable, as a structural schema says it."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Give the inner schema with a mark."""
        return {**self.generate_inner(schema["schema"]), "nullable": True}


def words(node: object) -> set[str]:
    """Give every keyword of a schema (names of properties left out)."""
    if isinstance(node, list):
        return set().union(*map(words, node)) if node else set()
    if not isinstance(node, dict):
        return set()
    found = set()
    for key, value in node.items():
        found.add(key)
        inner = list(value.values()) if key in {"properties", "$defs"} else value
        found |= words(inner)
    return found


@pytest.mark.parametrize("model", MODELS)
def test_a_structural_schema_can_say_it(model: type[BaseModel]) -> None:
    """No union, no pattern properties, nothing that a CRD's schema forbids."""
    schema = model.model_json_schema(by_alias=True, schema_generator=Structural)
    forbidden = {"anyOf", "oneOf", "not", "if", "then", "else", "patternProperties", "additionalItems", "prefixItems"}
    assert set() == words(schema) & forbidden


@pytest.mark.parametrize("model", MODELS)
def test_patterns_are_re2(model: type[BaseModel]) -> None:
    """No pattern looks ahead or back, which RE2 cannot."""
    text = str(model.model_json_schema(by_alias=True))
    assert "(?" not in text


@pytest.mark.parametrize(
    ("model", "raw"), [(BridgeAccount, ACCOUNT), (BridgeGateway, GATEWAY)], ids=["account", "gateway"]
)
def test_is_closed_and_camel(model: type[BaseModel], raw: dict[str, Any]) -> None:
    """Names on the wire are camelCase, an unknown field is refused at every level of the spec."""
    made = model.model_validate(raw)
    assert raw["spec"] == made.model_dump(mode="json", by_alias=True, exclude_defaults=True)["spec"]
    for place in (raw | {"unknown": 1}, {**raw, "spec": raw["spec"] | {"unknown": 1}}):
        with pytest.raises(ValidationError):
            model.model_validate(place)


def test_what_an_api_server_adds_is_left_out() -> None:
    """Metadata that only an API server knows does not keep a resource from being moved to one machine."""
    metadata = Metadata.model_validate({"name": "a", "managedFields": [{"manager": "kubectl"}], "selfLink": "/x"})
    assert {"name": "a"} == metadata.model_dump(exclude_defaults=True)


@given(st.text(), st.text())
def test_names_are_opaque_and_valid(domain: str, owner: str) -> None:
    """A name is valid whatever it is made of, the same again for the same, another for another."""
    name = account_name(domain, owner)
    assert Metadata(name=name).name == name
    assert account_name(domain, owner) == name
    assert len(name) <= MAX_NAME
    assert account_name(domain, owner + "x") != name


def test_names_do_not_mix_their_parts() -> None:
    """Domain and owner are kept apart in the hash."""
    assert account_name("a", "b@c") != account_name("ab", "@c")
    assert NAME_PATTERN.startswith("^")


@pytest.mark.parametrize("bad", ["alice", "alice@", "@example.org", "alice@example.org/phone", "a@b@c"])
def test_an_owner_is_a_bare_jid(bad: str) -> None:
    """What is no bare JID is no owner."""
    with pytest.raises(ValidationError):
        BridgeAccount.model_validate({**ACCOUNT, "spec": {**ACCOUNT["spec"], "owner": bad}})


def test_allowed_hosts() -> None:
    """The hosts are those listed, else the parent of the gateway's domain."""
    gateway = BridgeGateway.model_validate(GATEWAY)
    assert ("example.org",) == allowed_hosts(gateway)
    listed = {**GATEWAY, "spec": {**GATEWAY["spec"], "accounts": {"allowedOwners": ["a.test", "b.test"]}}}
    assert ("a.test", "b.test") == allowed_hosts(BridgeGateway.model_validate(listed))
    single = {**GATEWAY, "spec": {**GATEWAY["spec"], "domain": "localhost"}}
    assert () == allowed_hosts(BridgeGateway.model_validate(single))


@pytest.mark.parametrize("url", ["", "ftp://x/shards", "http://host", "http://host/a?b", "http:///x y"])
def test_a_view_is_an_http_url(url: str) -> None:
    """Prosody's view is an http or https URL with a path and nothing behind it."""
    spec = {**GATEWAY["spec"], "prosody": {**GATEWAY["spec"]["prosody"], "url": url}}
    with pytest.raises(ValidationError):
        BridgeGateway.model_validate({**GATEWAY, "spec": spec})


@given(
    st.integers(0, 2**31), st.sampled_from(["Running", "Parked", "Stopped"]), st.text(min_size=1).filter(str.isalnum)
)
def test_yaml_gives_back_what_it_was_given(wake: int, desired: str, local: str) -> None:
    """Dumping and loading an account changes nothing."""
    spec = {"owner": f"{local}@example.org", "gatewayRef": {"name": "wa"}, "wake": wake, "desired": desired}
    account = BridgeAccount.model_validate({"metadata": {"name": "a", "creationTimestamp": moment(wake)}, "spec": spec})
    assert account == load(BridgeAccount, dump(account))
