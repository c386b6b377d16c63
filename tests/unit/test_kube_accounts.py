"""The doors' accounts on a cluster: what is written, at what price, and what a broken watch costs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from ponton_operator.cluster import kube_feed
from ponton_operator.resources.account import FINALIZER, account_name
from ponton_operator.selfservice.accounts import AccountsUnavailable, Change
from tests.harness.kube_fake import KubeFake, Refused, kube_fake
from tests.integration.local_world import until
from tests.unit.account_places import DOMAIN, OWNER, Cluster

NAME = account_name(DOMAIN, OWNER)
KIND = "bridgeaccounts"


@pytest.fixture
async def cluster(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    """An API server and stores of it; tries after errors come quickly."""
    monkeypatch.setattr(kube_feed, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(kube_feed, "LONGEST_WAIT", 0.05)
    with kube_fake() as fake:
        made = Cluster(fake)
        yield made
        await made.close()


class Watcher:
    """Somebody who watches, with all that they were told."""

    def __init__(self, cluster: Cluster) -> None:
        self.seen: list[Change] = []
        self._store = cluster.store()
        self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        async with aclosing(self._store.watch()) as changes:
            async for change in changes:
                self.seen.append(change)

    @property
    def names(self) -> list[str]:
        """Names in the order in which they were told, those that are gone with a minus."""
        return [("-" if c.gone else "") + c.account.metadata.name for c in self.seen]

    async def stop(self) -> None:
        """Watch no more."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest.fixture
async def watcher(cluster: Cluster) -> AsyncIterator[Watcher]:
    """A watcher from the beginning."""
    made = Watcher(cluster)
    yield made
    await made.stop()


def held(fake: KubeFake, name: str = NAME) -> dict[str, Any]:
    """Give an account as the API server has it."""
    found = fake.get(KIND, "bridges", name)
    assert found
    return found


async def test_the_finalizer_is_on_from_the_first_moment(cluster: Cluster) -> None:
    """An account is made with it, in one write, and goes only when the operator takes it off."""
    store = cluster.store()
    await store.create(OWNER)
    assert ["POST"] == [method for method, _ in cluster.fake.asked if method != "GET"]
    assert ([FINALIZER], {"owner": OWNER, "gatewayRef": {"name": "wa"}}) == (
        held(cluster.fake)["metadata"]["finalizers"],
        held(cluster.fake)["spec"],
    )
    await store.delete(NAME)
    assert held(cluster.fake)["metadata"]["deletionTimestamp"]


async def test_other_gateways_accounts_are_none_of_ours(cluster: Cluster, watcher: Watcher) -> None:
    """In one namespace each gateway has its own; an account that changes hands is gone here."""
    other = {"metadata": {"name": "x"}, "spec": {"owner": OWNER, "gatewayRef": {"name": "other"}}}
    cluster.fake.put(KIND, "bridges", other)
    cluster.put("bob", "bob@example.test")
    store = cluster.store()
    assert (["bob"], 1, None) == (
        [a.metadata.name for a in await store.list()],
        await store.count(),
        await store.get("x"),
    )
    await until(lambda: watcher.names == ["bob"])
    cluster.fake.put(KIND, "bridges", other | {"metadata": {"name": "bob"}})
    await until(lambda: watcher.names == ["bob", "-bob"])


async def test_a_watch_that_breaks_goes_on(cluster: Cluster, watcher: Watcher) -> None:
    """When the server was away, what changed meanwhile is told once it is back, and nothing twice."""
    cluster.put("bob", "bob@example.test")
    await until(lambda: watcher.names == ["bob"])
    cluster.fake.down = True
    cluster.put("carol", "carol@example.test")
    cluster.finish("bob")
    cluster.fake.down = False
    await until(lambda: set(watcher.names) == {"bob", "carol", "-bob"})
    assert 3 == len(watcher.names)


async def test_a_version_that_was_forgotten_is_listed_again(cluster: Cluster, watcher: Watcher) -> None:
    """After 410 everything is listed: what is new is told, what is gone too, what stayed is not."""
    for name in ("bob", "carol"):
        cluster.put(name, f"{name}@example.test")
    await until(lambda: len(watcher.names) == 2)
    with cluster.fake.changed:
        cluster.fake.events.clear()
        cluster.finish("bob")
        cluster.put("dave", "dave@example.test")
        cluster.fake.events.clear()
        cluster.fake.forget()
    await until(lambda: sorted(watcher.names) == ["-bob", "bob", "carol", "dave"])


async def test_a_list_that_fails_is_tried_again(cluster: Cluster) -> None:
    """A watcher that begins while the server is away is told everything later."""
    cluster.put("bob", "bob@example.test")
    cluster.fake.refuse["GET", KIND] = [Refused(500, "InternalError"), Refused(429, "TooManyRequests")]
    watcher = Watcher(cluster)
    await until(lambda: watcher.names == ["bob"])
    await watcher.stop()


async def test_a_late_watcher_is_told_what_there_is(cluster: Cluster) -> None:
    """Many watchers of one store cost one list and one watch of the API, and each is told everything once."""
    for number in range(5):
        cluster.put(f"person-{number}", f"p{number}@example.test")
    store = cluster.store()
    told: list[list[str]] = []
    for _ in range(3):
        names = []
        async with asyncio.timeout(20), aclosing(store.watch()) as changes:
            async for change in changes:
                names.append(change.account.metadata.name)
                if len(names) == 5:
                    break
        told.append(sorted(names))
    assert [told[0]] * 3 == told
    assert 1 == len([path for _, path in cluster.fake.asked if "limit=" in path])


async def test_a_slow_watcher_gets_the_newest(cluster: Cluster) -> None:
    """Changes that come while a watcher is busy are put together; one that came and went is never told."""
    cluster.put("bob", "bob@example.test")
    store = cluster.store()
    async with asyncio.timeout(20), aclosing(store.watch()) as changes:
        assert "bob" == (await anext(changes)).account.metadata.name
        account = await store.get("bob")
        assert account
        for number in range(20):
            cluster.tell(account, epoch=number + 1)
        cluster.put("carol", "carol@example.test")
        cluster.finish("carol")
        cluster.put("dave", "dave@example.test")
        feed = cluster.stores[-1]._feed
        await until(lambda: "dave" in feed.held)  # and so everything before
        seen = [await anext(changes), await anext(changes)]
    assert [("bob", 20), ("dave", 0)] == [(c.account.metadata.name, c.account.status.epoch) for c in seen]


async def test_a_resource_that_we_do_not_understand_is_said(cluster: Cluster) -> None:
    """What a newer version wrote is no account that we could change; lists go on without it."""
    spec = {"owner": OWNER, "gatewayRef": {"name": "wa"}, "later": 1}
    cluster.fake.put(KIND, "bridges", {"metadata": {"name": NAME}, "spec": spec})
    cluster.put("bob", "bob@example.test")
    store = cluster.store()
    assert ["bob"] == [a.metadata.name for a in await store.list()]
    for call in (store.get(NAME), store.create(OWNER), store.delete(NAME)):
        with pytest.raises(AccountsUnavailable, match="another version"):
            await call


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_the_cluster_forbids_is_said(cluster: Cluster, method: str) -> None:
    """A namespace that ends, a quota, a right that is missing: the owner is told that it does not work now."""
    cluster.fake.refuse[method, KIND] = [Refused(403, "Forbidden", "exceeded quota: alice")]
    with pytest.raises(AccountsUnavailable) as caught:
        await cluster.store().create(OWNER)
    assert "The cluster does not let accounts be read or written here now." == caught.value.sentence


async def test_endless_conflicts_end(cluster: Cluster) -> None:
    """When others change an account again and again a door gives up with a sentence, and nothing is half done."""
    store = cluster.store()
    await store.create(OWNER)
    cluster.fake.refuse["PATCH", KIND] = [Refused(409, "Conflict") for _ in range(100)]
    with pytest.raises(AccountsUnavailable, match="try again"):
        await store.wake(NAME)
    assert "wake" not in held(cluster.fake)["spec"]


async def test_pages_make_a_whole(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long lists come in pages, for lists, counts and watchers."""
    monkeypatch.setattr("ponton_operator.cluster.kube_api.PAGE", 3)
    monkeypatch.setattr(kube_feed, "PAGE", 3)
    for number in range(10):
        cluster.put(f"person-{number}", f"p{number}@example.test")
    store = cluster.store()
    assert 10 == len(await store.list()) == await store.count()
    watcher = Watcher(cluster)
    await until(lambda: len(watcher.names) == 10)
    await watcher.stop()
    assert 10 == await cluster.stores[-1].count()


async def test_closing_breaks_off_a_watch(cluster: Cluster, watcher: Watcher) -> None:
    """A watch that waits for the server ends with its store, not when the server says something."""
    cluster.put("bob", "bob@example.test")
    await until(lambda: watcher.names == ["bob"])
    feed = cluster.stores[-1]._feed
    await until(lambda: feed._answer is not None)
    await feed.close()
    assert feed._thread
    assert not feed._thread.is_alive()
