"""The host's guide from top to bottom: a Prosody and a Redis of the host's own, outside of the cluster."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import chart_kit
from tests.cluster.box import images
from tests.cluster.reach import Cluster
from tests.cluster.release import usual

RELEASE = "ponton"


@pytest.fixture
def places(node_cluster: Cluster) -> Iterator[tuple[str, str]]:
    """The operators installed in one namespace, for gateways in another."""
    if node_cluster.box is None:
        pytest.skip("the host's servers have an address of our own cluster's network")
    for name in ("operator", "bridge", "sandbox"):
        node_cluster.box.load(images.archive(name))
    with node_cluster.namespace() as home, node_cluster.namespace() as bridges:
        values = {"images": usual()["images"], "namespaces": [bridges], **chart_kit.definitions(node_cluster)}
        place = (f"--kubeconfig={node_cluster.kubeconfig}", "--namespace", home)
        chart_kit.helm("install", RELEASE, str(chart_kit.CHART), *place, values=values)
        yield home, bridges
        chart_kit.helm("uninstall", RELEASE, *place)


@pytest.mark.timeout(600)
def test_a_host_with_servers_of_its_own_follows_the_guide(
    node_cluster: Cluster, places: tuple[str, str], tmp_path: Path
) -> None:
    """Secrets, gateway, Prosody's half, the whole story of an account, and all secrets changed in the middle of it."""
    assert node_cluster.box
    home, bridges = places
    program = (sys.executable, "-m", "tests.cluster.outside", bridges, str(tmp_path), f"{home}-{RELEASE}-shards")
    said = node_cluster.box.run(*program, seconds=480)
    assert "The host has changed the master secret, the token and Redis's password" in said
    assert "account, store and process are gone" in said
