"""From a new account to the code at its owner's client."""

import pytest

from tests.cluster.reach import Cluster
from tests.cluster.release import installed
from tests.cluster.starting import ROUNDS, judged, measured


async def test_nineteen_of_twenty_codes_are_there_in_ten_seconds(
    node_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With the image on the node."""
    if node_cluster.box is None:
        pytest.skip("the steps are read from our own cluster's audit log and node")
    owners = [f"owner{number}" for number in range(ROUNDS)]
    with installed(node_cluster, tmp_path_factory.mktemp("release"), owners) as release:
        result = judged(await measured(release, ROUNDS))
    assert all(line.met for line in result.lines), result.figures
