"""Prosody's configuration for a gateway, as text: what it says, and that nothing in it can get out of its quotes."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponton_operator.plan.manifests_prosody import CONFIG, Shared, configuration, lua, prosody
from tests.unit.gateway_world import find, gateway, text

SHARED = Shared("m" * 32, "t" * 16)


def test_the_pair_holds_configuration_and_module() -> None:
    """The Secret has the file to include, the ConfigMap each file of the module; no secret is in the latter."""
    manifests = prosody(gateway(), SHARED, {"mod_component_shards.lua": "return 1\n", "box.lib.lua": "return 2\n"})
    assert configuration(gateway(), SHARED) == text(find(manifests, "Secret", "wa-prosody"), CONFIG)
    module = find(manifests, "ConfigMap", "wa-prosody-module")
    assert {"mod_component_shards.lua": "return 1\n", "box.lib.lua": "return 2\n"} == module["data"]


def test_it_says_what_the_gateway_needs() -> None:
    """Ports, privileges on each host of owners, the component with its secrets and upload service."""
    said = configuration(
        gateway(accounts={"allowedOwners": ["a.example", "b.example"]}, shard={"upload": {"host": "up.example"}}),
        SHARED,
    )
    for line in (
        "component_shards_ports = { 5348; }",
        'VirtualHost "a.example"',
        'VirtualHost "b.example"',
        'Component "wa.example.org" "component_shards"',
        f'component_shards_master_secret = "{SHARED.master}"',
        f'component_shards_admin_token = "{SHARED.token}"',
        'component_shards_upload_hosts = { "up.example"; }',
    ):
        assert line in [found.strip() for found in said.splitlines()]
    assert 2 == said.count('privileged_entities = { ["wa.example.org"] = ')
    assert "component_secret =" not in said


def test_a_front_desks_own_secret_is_said() -> None:
    """With a plain secret of the front desk the component knows it."""
    said = configuration(gateway(), Shared("m", "t", front_desk="plain"))
    assert '  component_secret = "plain"' in said.splitlines()


def test_with_tls_the_tls_port_listens() -> None:
    """Direct TLS has its own port; the plain one is not opened."""
    tls = {"host": "192.0.2.10", "port": 5349, "tls": {"caRef": {"name": "ca", "key": "ca.pem"}}}
    said = configuration(gateway(xmpp=tls), SHARED)
    assert "component_shards_tls_ports = { 5349; }" in said
    assert "component_shards_ports" not in said
    assert "component_shards_tls_ssl" in said


@pytest.mark.parametrize("value", ['"', "\\", "\n", "\r\n]]", "\0", '";os.exit();"', "ä€😀", "\x1b[1m"])
def test_odd_secrets_stay_in_their_quotes(value: str) -> None:
    """Whatever stands in a Secret, Lua reads it back as it is."""
    assert value.encode() == _read_back([value])


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=30))
@settings(max_examples=20, deadline=None)
def test_any_text_stays_in_its_quotes(values: list[str]) -> None:
    """Any text at all comes back from Lua."""
    assert "".join(values).encode() == _read_back(values)


def _read_back(values: list[str]) -> bytes:
    program = f"for _, text in ipairs({lua(values)}) do io.write(text) end"
    return subprocess.run(["lua5.4", "-"], input=program.encode(), capture_output=True, check=True).stdout


def test_lua_spells_mappings_and_numbers() -> None:
    """Mappings, lists and numbers."""
    assert '{ ["a"] = { 1; "b"; }; }' == lua({"a": [1, "b"]})
