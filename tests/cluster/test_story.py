"""The whole story in pods: the chart, a gateway, an account by kubectl, talk, a kill, and the end of it all."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.cluster.reach import Cluster
from tests.cluster.release import Release, installed
from tests.cluster.scene import ClusterScene, ways
from tests.demo.say import Say
from tests.demo.story import Story
from tests.harness.xmpp import Client


@pytest.fixture(scope="module")
def release(node_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """The chart with all that it bundles, and its gateway Ready."""
    with installed(node_cluster, tmp_path_factory.mktemp("release"), ["alice"]) as made:
        yield made


@dataclass
class ByKubectl(Story):
    """The story as a host plays it: the account comes and goes as a resource."""

    scene: ClusterScene

    async def register(self, alice: Client) -> None:  # noqa: ARG002  # the owner does nothing
        """Make the account."""
        release = self.scene.ways.release
        release.cluster.apply(release.account("alice"))
        self.say("The host makes an account")

    async def unregister(self, alice: Client) -> None:  # noqa: ARG002  # the same
        """Delete the account."""
        self.scene.ways.release.kubectl("delete", "ba", "alice", "--timeout=60s")
        self.say("The host deletes the account")


async def test_an_account_by_kubectl_goes_the_whole_way(release: Release) -> None:
    """Pod, picture, scan, text both ways, a kill in mid conversation, unlinked at the end with nothing left."""
    async with ways(release) as open_ways:
        await ByKubectl(ClusterScene(open_ways, "alice"), open_ways.sandbox, Say()).play()
