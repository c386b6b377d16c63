"""Resources: what they accept, and their names."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from ponton_operator.resources.account import AccountSpec, BridgeAccount, GatewayRef, account_name
from ponton_operator.resources.base import MAX_NAME, NAME_PATTERN, Metadata, moment
from ponton_operator.resources.gateway import BridgeGateway, allowed_hosts
from ponton_operator.resources.network import Peer
from ponton_operator.resources.yamlfile import dump, load

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


@pytest.mark.parametrize(
    "bad", ["alice", "alice@", "@example.org", "alice@example.org/phone", "a@b@c", "a b@c", "a@b\n"]
)
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


@pytest.mark.parametrize(
    "url", ["", "ftp://x/shards", "http://host", "http://host/a?b", "http:///x y", "http://u:p@h/s"]
)
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


def test_null_is_not_said() -> None:
    """A field that is null counts as left out, with a default or without, needed or not."""
    spec = {**ACCOUNT["spec"], "desired": None, "preferences": None, "wake": None}
    assert BridgeAccount.model_validate(ACCOUNT) == BridgeAccount.model_validate({**ACCOUNT, "spec": spec})
    for bad in ({"owner": None}, {"unknown": None}):
        with pytest.raises(ValidationError):
            BridgeAccount.model_validate({**ACCOUNT, "spec": {**ACCOUNT["spec"], **bad}})
    assert BridgeAccount.model_validate({**ACCOUNT, "status": None}).status.shard is None


@pytest.mark.parametrize("wake", ["5", True, 1.5, [], 2**60])
def test_what_is_no_number_is_not_made_one(wake: object) -> None:
    """Where an API server asks for a number, nothing else is taken."""
    with pytest.raises(ValidationError):
        BridgeAccount.model_validate({**ACCOUNT, "spec": {**ACCOUNT["spec"], "wake": wake}})


def test_a_number_may_be_written_with_a_point() -> None:
    """JSON makes no difference between 5 and 5.0."""
    made = BridgeAccount.model_validate({**ACCOUNT, "spec": {**ACCOUNT["spec"], "wake": 5.0}})
    assert "5" == str(made.spec.wake)


def test_labels_that_are_null_are_not_said() -> None:
    """The same holds in a map as among fields."""
    assert {"a": "b"} == Peer.model_validate({"podLabels": {"a": "b", "c": None}}).pod_labels


@pytest.mark.parametrize("flag", ["true", 1, "yes"])
def test_what_is_no_truth_is_not_made_one(flag: object) -> None:
    """Where an API server asks for true or false, nothing else is taken."""
    with pytest.raises(ValidationError):
        BridgeGateway.model_validate({**GATEWAY, "spec": {**GATEWAY["spec"], "rollout": {"paused": flag}}})


def test_models_may_be_told_by_their_python_names() -> None:
    """Code says python_names, YAML says camelCase."""
    assert BridgeAccount.model_validate(ACCOUNT).spec == AccountSpec(
        owner="alice@example.org", gateway_ref=GatewayRef(name="wa")
    )
