"""The portal in pods: an owner links at the page through its Service, and one pod that dies logs nobody out.

The tests of this module share one installation and follow each other.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from ponton_bridge.model.states import Reason
from tests.cluster.reach import Cluster, Object, until
from tests.cluster.release import DOMAIN, FULL, GATEWAY, PORTAL, Release, installed
from tests.cluster.scene import ClusterScene, Ways, ways
from tests.demo import page, picture
from tests.harness import prosody
from tests.harness.visitor import Visitor, visitor
from tests.harness.xmpp import Client

SECONDS = 120.0  # for what starts pods
PODS = "app.kubernetes.io/component=portal"
# Run in a pod of the portal: what it can connect to.
REACH = """
import socket, sys
for place in sys.argv[1:]:
    host, _, port = place.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 3).close()
        print(place)
    except OSError:
        pass
"""


@pytest.fixture(scope="module")
def release(node_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """The chart with all that it bundles, its gateway Ready and its portal running."""
    with installed(node_cluster, tmp_path_factory.mktemp("portal"), ["alice", "bob"], page=True) as made:
        yield made


@asynccontextmanager
async def at_the_page(open_ways: Ways, user: str) -> AsyncIterator[tuple[Client, Visitor]]:
    """Log an owner in, at the server and at the page."""
    scene = ClusterScene(open_ways, user)
    async with scene.client("laptop") as client, visitor(scene.page) as browser:
        await page.log_in(browser, client, scene.gateway)
        yield client, browser


def replicas(release: Release) -> list[Object]:
    """Give the pods of the portal that are not ending."""
    found = release.get("pods", "-l", PODS)["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def all_ready(release: Release, number: int) -> None:
    """Wait for so many pods, all ready."""
    until(
        f"{number} pods of the portal",
        lambda: number == release.get("deployment", PORTAL)["status"].get("readyReplicas", 0),
        SECONDS,
    )


async def drawn(browser: Visitor) -> str:
    """Wait for the code on the owner's page; gives its text."""

    async def there() -> bool:
        return 200 == await browser.get("/account/code.svg")

    await prosody.until(there, what="a code on the page", timeout=page.PATIENCE)
    return picture.read_drawn(browser.body.decode())


async def test_an_owner_links_at_the_page(release: Release) -> None:
    """By the Service's own address: the code that her client received, an account, the code from the page, linked."""
    all_ready(release, 2)
    async with ways(release) as open_ways, at_the_page(open_ways, "alice") as (_, browser):
        phone = await open_ways.sandbox.account(push_name="Alice", contacts=["Bob"])
        assert 303 == await browser.post("/account/create", understood="yes")
        await phone.scan(await drawn(browser))
        await page.shows(browser, Reason.CONNECTED)
        assert await phone.linked()
    (account,) = release.get("ba")["items"]
    assert f"alice@{DOMAIN}" == account["spec"]["owner"]


async def test_a_replica_that_is_killed_logs_nobody_out(release: Release) -> None:
    """A page waits at each; whichever goes, the other serves the same session, and a page that asks again is told."""
    async with ways(release) as open_ways, at_the_page(open_ways, "bob") as (_, browser):
        events = f"{browser.base}/account/events"
        waiting = [await browser.session.get(events) for _ in range(4)]
        for stream in waiting:
            assert (200, b"retry: 2000\n") == (stream.status, await stream.content.readline())
        victim = replicas(release)[0]["metadata"]["name"]
        await asyncio.to_thread(release.kubectl, "delete", "pod", victim, "--grace-period=0", "--force")
        assert {200} == {await answered(browser, "/account") for _ in range(20)}
        assert f"bob@{DOMAIN}" in browser.text
        async with browser.session.get(events) as stream, asyncio.timeout(SECONDS):
            assert 200 == stream.status
            while not (line := await stream.content.readline()).startswith(b"event: changed"):
                assert line, "the page was told nothing"
        for stream in waiting:
            stream.close()
        await asyncio.to_thread(all_ready, release, 2)
        assert victim not in {pod["metadata"]["name"] for pod in replicas(release)}
        assert 200 == await answered(browser, "/account")


async def answered(browser: Visitor, path: str) -> int:
    """Ask until there is an answer: a connection to the pod that was killed may break."""
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                return await browser.get(path)
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)


def test_a_pod_reaches_redis_and_the_api_server_only(release: Release) -> None:
    """Neither the ports of Prosody, nor the sandbox, nor its neighbours."""
    (pod, *_) = replicas(release)
    place = f"{release.namespace}.svc"
    open_ = [f"{FULL}-redis.{place}:6379", "kubernetes.default.svc:443"]
    shut = [f"{FULL}-xmpp.{place}:{port}" for port in (5222, 5281, 5349)] + [f"{GATEWAY}.{place}:8080"]
    said = release.kubectl("exec", pod["metadata"]["name"], "--", "python", "-c", REACH, *open_, *shut)
    assert open_ == said.split()


def test_the_scalers_word_reaches_the_pods(release: Release) -> None:
    """Its part of the gateway's status becomes the number of replicas; nothing else of the Deployment changes."""
    release.kubectl(
        "patch", "bg", GATEWAY, "--subresource=status", "--type=merge", "-p", '{"status":{"portal":{"replicas":3}}}'
    )
    all_ready(release, 3)
    assert ("True", "Running") == release.condition(f"bg/{GATEWAY}", "PortalRunning")


async def test_an_owner_deletes_at_the_page(release: Release) -> None:
    """The account goes, and its device."""
    async with ways(release) as open_ways, at_the_page(open_ways, "alice") as (_, browser):
        assert 303 == await browser.post("/account/delete", sure="yes")

        async def gone() -> bool:
            return not await asyncio.to_thread(lambda: release.get("ba")["items"])

        await prosody.until(gone, what="the end of the account", timeout=SECONDS)


def test_the_portal_goes_with_its_gateway(release: Release) -> None:
    """And nothing of it stays."""
    release.kubectl("delete", "bg", GATEWAY, "--timeout=60s")
    kinds = "deployment,service,secret,configmap,serviceaccount,rolebinding,networkpolicy,pdb,pods"
    until("nothing of the portal", lambda: not release.get(kinds, "-l", PODS)["items"], SECONDS)
