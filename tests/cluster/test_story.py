"""The whole story in pods: the chart, an account by kubectl, talk, a kill, an upgrade, and the end of it all.

The tests of this module share one installation and follow each other.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from tests.cluster.box import images
from tests.cluster.owners import Talk, linked
from tests.cluster.reach import Cluster, until
from tests.cluster.release import FULL, GATEWAY, Release, installed
from tests.cluster.scene import ClusterScene, ways
from tests.demo.say import Say
from tests.demo.story import Story
from tests.harness.xmpp import Client

TALKERS = [f"talker{n}" for n in range(10)]
NEXT = "next"  # the tag of an image that is the same, and new
ROLLED = 240.0  # seconds for operators, front desk and ten shards one after the other
UNINSTALLED = 60.0  # seconds


@pytest.fixture(scope="module")
def release(node_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """The chart with all that it bundles, and its gateway Ready."""
    with installed(node_cluster, tmp_path_factory.mktemp("release"), ["alice", *TALKERS]) as made:
        yield made


@dataclass
class ByKubectl(Story):
    """The story as a host plays it: the account comes and goes as a resource."""

    scene: ClusterScene

    async def register(self, alice: Client) -> None:  # noqa: ARG002  # the owner does nothing
        """Make the account."""
        release = self.scene.ways.release
        await asyncio.to_thread(release.cluster.apply, release.account("alice"))
        self.say("The host makes an account")

    async def unregister(self, alice: Client) -> None:  # noqa: ARG002  # the same
        """Delete the account."""
        await asyncio.to_thread(self.scene.ways.release.kubectl, "delete", "ba", "alice", "--timeout=60s")
        self.say("The host deletes the account")


async def test_an_account_by_kubectl_goes_the_whole_way(release: Release) -> None:
    """Pod, picture, scan, text both ways, a kill in mid conversation, unlinked at the end with nothing left."""
    async with ways(release) as open_ways:
        await ByKubectl(ClusterScene(open_ways, "alice"), open_ways.sandbox, Say()).play()


@pytest.mark.timeout(900)
async def test_an_upgrade_with_ten_linked_accounts_in_conversation_loses_nothing(release: Release) -> None:
    """New operators, a new front desk, and each shard drained and replaced by one of another image."""
    if release.cluster.box is None:
        pytest.skip("a second name for an image can be given on our own node only")
    for name in ("operator", "sandbox"):
        release.cluster.box.name_image(images.reference(name), images.reference(name, NEXT))
    # In waves without the minutes in which a host would look at each.
    quick = '{"spec":{"rollout":{"pauseSeconds":1,"canaryPercent":10,"wavePercents":[50,100]}}}'
    release.kubectl("patch", "bg", GATEWAY, "--type=merge", "-p", quick)
    async with ways(release) as open_ways, AsyncExitStack() as stack:
        owners = [await stack.enter_async_context(linked(open_ways, user)) for user in TALKERS]
        talks = [Talk(owner) for owner in owners]
        async with asyncio.TaskGroup() as tasks:
            for talk in talks:
                tasks.create_task(talk.go())
            await asyncio.to_thread(_upgrade, release)
            for talk in talks:
                talk.ended.set()
        assert [] == [fault for talk in talks for fault in await talk.faults()]
    assert len(TALKERS) == len(release.pods())


def _upgrade(release: Release) -> None:
    """Upgrade the chart to another operator's image, then the gateway to another shard's."""
    operator = release.values["images"]["operator"] | {"tag": NEXT}
    release.upgrade("--wait", "--timeout=4m", images=release.values["images"] | {"operator": operator})
    shard = images.reference("sandbox", NEXT)
    release.kubectl("patch", "bg", GATEWAY, "--type=merge", "-p", f'{{"spec":{{"shard":{{"image":"{shard}"}}}}}}')

    def rolled() -> bool:
        pods = release.pods()
        running = [pod for pod in pods if pod["status"].get("phase") == "Running"]
        return {shard} == {pod["spec"]["containers"][0]["image"] for pod in pods} and len(TALKERS) == len(running)

    until("all shards are of the new image", rolled, ROLLED)
    until("the rollout is over", lambda: release.condition(f"bg/{GATEWAY}", "Progressing")[1] == "Done", ROLLED)
    release.ready()


def test_an_uninstallation_keeps_accounts_and_volumes_and_lists_what_is_linked(release: Release) -> None:
    """In a minute; the pods are gone, and the same list can be read for a day."""
    names = sorted(pod["metadata"]["labels"]["ponton.im/account"] for pod in release.pods())
    began = time.monotonic()
    said = release.helm("uninstall", "wa")
    assert time.monotonic() - began < UNINSTALLED
    assert "uninstalled" in said
    assert [] == release.pods()
    kept = release.get("ba")["items"]
    assert names == sorted(one["metadata"]["name"] for one in kept)
    assert not any(one["metadata"].get("finalizers") for one in kept)
    assert set(names) <= {claim["metadata"]["name"] for claim in release.get("pvc")["items"]}
    listed = release.kubectl("logs", f"job/{FULL}-uninstall")
    assert [] == [name for name in names if name not in listed]


def test_the_namespace_can_be_removed_then(release: Release) -> None:
    """Nothing in it waits for somebody who is gone."""
    release.cluster.kubectl("delete", "namespace", release.namespace, "--timeout=60s")
