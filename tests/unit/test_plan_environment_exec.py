"""What a shard is told about WhatsApp's libraries: what one reads at exec only, and which of them is wanted."""

import json
from datetime import UTC, datetime

import pytest

from ponton_bridge.whatsapp.neonize_driver.environment import MUST, WANTED, lacking
from ponton_operator.plan.environment import Places, shard_environment
from ponton_operator.resources import yamlfile
from ponton_operator.resources.account import AccountSpec, BridgeAccount, GatewayRef
from ponton_operator.resources.base import Metadata
from ponton_operator.resources.gateway import BridgeGateway

GATEWAY = """
apiVersion: ponton.im/v1alpha1
kind: BridgeGateway
metadata: {name: gw}
spec:
  domain: wa.example.org
  prosody: {url: "http://127.0.0.1:5280/shards", tokenRef: {name: a, key: b}}
  redis: {urlRef: {name: a, key: c}}
  secrets: {masterRef: {name: a, key: d}}
"""
ACCOUNT = BridgeAccount(
    metadata=Metadata(name="acc-1", creation_timestamp=datetime(2026, 11, 23, tzinfo=UTC)),
    spec=AccountSpec(owner="alice@example.org", gateway_ref=GatewayRef(name="gw")),
)


def test_gives_a_shard_what_its_library_reads_at_exec() -> None:
    """Every wanted variable is there before the process begins, the one that must be included."""
    told = shard_environment(yamlfile.load(BridgeGateway, GATEWAY), ACCOUNT, 7, "i", Places("/store", "/secrets"))
    assert dict(WANTED) == {name: told[name] for name in WANTED}
    assert [] == lacking(told)
    assert set(MUST) <= set(WANTED)


def test_names_no_owner_in_the_environment() -> None:
    """The owner's JID is in a secret file, never in an environment that other tools may show."""
    told = shard_environment(yamlfile.load(BridgeGateway, GATEWAY), ACCOUNT, 7, "i", Places("/store", "/secrets"))
    assert not [value for value in told.values() if "alice" in value]


@pytest.mark.parametrize(
    ("shard", "told"),
    [({}, None), ({"driver": "Auto"}, None), ({"driver": "Core"}, "core"), ({"driver": "Neonize"}, "neonize")],
    ids=["nothing said", "Auto", "Core", "Neonize"],
)
def test_tells_the_driver_that_the_host_has_chosen(shard: dict[str, object], told: str | None) -> None:
    """In the words of the shard's own setting; where the host leaves it open the shard looks what is installed."""
    gateway = yamlfile.load(BridgeGateway, GATEWAY + f"  shard: {json.dumps(shard)}\n")
    given = shard_environment(gateway, ACCOUNT, 7, "i", Places("/store", "/secrets"))
    assert told == given.get("PONTON_WHATSAPP")
