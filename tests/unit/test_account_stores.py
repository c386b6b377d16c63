"""What every account store of a door does, whether accounts are files or resources of a cluster."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from ponton_operator.resources.account import Desired, account_name
from ponton_operator.resources.base import moment
from ponton_operator.selfservice.accounts import AccountStore, AccountsUnavailable, Change, NoSuchAccount
from tests.harness.kube_fake import kube_fake
from tests.integration.local_world import World
from tests.unit.account_places import DOMAIN, OWNER, Cluster, Files, Place

NAME = account_name(DOMAIN, OWNER)


@pytest.fixture(params=["files", "cluster"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """Each of the places."""
    if request.param == "files":
        yield Files(World(tmp_path))
        return
    with kube_fake() as fake:
        cluster = Cluster(fake)
        yield cluster
        await cluster.close()


@pytest.fixture
def store(place: Place) -> AccountStore:
    """One door's store."""
    return place.store()


async def test_created_twice_it_is_the_one_that_there_is(store: AccountStore) -> None:
    """An account has an opaque name, an identity and a time; a second door's creation gives the same."""
    account = await store.create(OWNER)
    assert (NAME, OWNER, "wa") == (account.metadata.name, account.spec.owner, account.spec.gateway_ref.name)
    assert account.metadata.uid
    assert account.metadata.creation_timestamp
    assert account == await store.create(OWNER) == await store.get(NAME)
    assert [account] == await store.list()
    assert 1 == await store.count()


async def test_many_doors_create_one(place: Place) -> None:
    """Created by many stores at the same moment, there is one account, and all are given the same."""
    made = await asyncio.gather(*(place.store().create(OWNER) for _ in range(10)))
    assert 1 == len({account.metadata.uid for account in made})
    assert 1 == await place.store().count()


async def test_a_resource_of_a_person_is_found(store: AccountStore, place: Place) -> None:
    """An owner's account is found by the derived name although a person has named it otherwise, and not made again."""
    place.put("alice", OWNER)
    found = await store.get(NAME)
    assert found
    assert "alice" == found.metadata.name
    assert "alice" == (await store.create(OWNER)).metadata.name
    await store.patch(NAME, desired=Desired.STOPPED)
    assert Desired.STOPPED is (await store.list())[0].spec.desired
    await store.delete(NAME)
    assert [] == [a for a in await store.list() if a.metadata.deletion_timestamp is None]


async def test_patching_changes_what_is_given(store: AccountStore) -> None:
    """Desired changes, the rest stays; nothing is written when nothing changes; nobody is not patched."""
    before = await store.create(OWNER)
    after = await store.patch(NAME, desired=Desired.PARKED)
    assert before.spec.model_copy(update={"desired": Desired.PARKED}) == after.spec
    assert after == await store.patch(NAME, desired=Desired.PARKED) == await store.get(NAME)
    with pytest.raises(NoSuchAccount):
        await store.patch("acc-none", desired=Desired.RUNNING)


async def test_patches_from_everywhere_all_count(place: Place) -> None:
    """Wakes by many stores at once are all counted."""
    await place.store().create(OWNER)
    await asyncio.gather(*(place.store().wake(NAME) for _ in range(10)))
    account = await place.store().get(NAME)
    assert account
    assert 10 == account.spec.wake


@pytest.mark.parametrize(
    ("before", "after"),
    [(Desired.RUNNING, Desired.RUNNING), (Desired.PARKED, Desired.RUNNING), (Desired.STOPPED, Desired.STOPPED)],
)
async def test_waking(store: AccountStore, before: Desired, after: Desired) -> None:
    """A wake is counted; what was parked shall run, what the host stopped stays stopped."""
    await store.create(OWNER)
    await store.patch(NAME, desired=before)
    woken = await store.wake(NAME)
    assert (1, after) == (woken.spec.wake, woken.spec.desired)


async def test_the_status_comes_with_it(store: AccountStore, place: Place) -> None:
    """What is given carries the status that the operator wrote, and the spec that is wanted now."""
    account = await store.create(OWNER)
    place.tell(account, epoch=7, phase="Running", reason="Connected")
    await store.patch(NAME, desired=Desired.PARKED)
    found = await store.get(NAME)
    assert found
    assert (7, "Connected", Desired.PARKED) == (found.status.epoch, found.status.reason, found.spec.desired)


async def test_deleting_is_seen_at_once(store: AccountStore, place: Place) -> None:
    """After a delete the account is given as being deleted until the operator is done; none is made meanwhile."""
    account = await store.create(OWNER)
    place.tell(account, epoch=7)
    await store.delete(NAME)
    await store.delete(NAME)
    found = await store.get(NAME)
    assert found
    assert found.metadata.deletion_timestamp
    assert 1 == await store.count()
    assert (await store.create(OWNER)).metadata.deletion_timestamp
    for change in (store.wake(NAME), store.patch(NAME, desired=Desired.PARKED)):
        with pytest.raises(NoSuchAccount):
            await change
    place.finish(NAME)
    assert None is await store.get(NAME)
    await store.delete(NAME)
    assert None is (await store.create(OWNER)).metadata.deletion_timestamp


async def test_watching_gives_each_change(store: AccountStore, place: Place) -> None:
    """A watcher is given what there is, then what changes in spec and status, then what is gone."""
    account = await store.create(OWNER)
    seen: list[Change] = []
    async with asyncio.timeout(20), aclosing(place.store().watch()) as changes:
        async for change in changes:
            seen.append(change)
            if len(seen) == 1:
                place.tell(account, phase="Running", reason="Connected")
            elif len(seen) == 2:
                await store.patch(NAME, desired=Desired.PARKED)
            elif len(seen) == 3:
                place.finish(NAME)
            if change.gone:
                break
    assert ["", "Connected", "Connected"] == [c.account.status.reason for c in seen[:3]]
    assert Desired.PARKED is seen[2].account.spec.desired
    assert OWNER == seen[-1].account.spec.owner


@pytest.mark.parametrize("named", [NAME, "alice"])
async def test_watching_one_gives_that_one(place: Place, named: str) -> None:
    """With a name only that account's changes come, by whatever name a person gave it."""
    place.put(named, OWNER)
    place.put("bob", "bob@example.test")
    seen: list[Change] = []
    async with asyncio.timeout(20), aclosing(place.store().watch(NAME)) as changes:
        async for change in changes:
            seen.append(change)
            if len(seen) == 1:
                place.put("carol", "carol@example.test")
                await place.store().patch(NAME, desired=Desired.STOPPED)
            elif len(seen) == 2:
                break
    assert [(named, Desired.RUNNING), (named, Desired.STOPPED)] == [
        (c.account.metadata.name, c.account.spec.desired) for c in seen
    ]


async def test_oldest_first(store: AccountStore, place: Place) -> None:
    """A list is in the order of creation, and names decide between equals."""
    place.put("zz", "z@example.test")
    for owner in ("b@example.test", "a@example.test"):
        await store.create(owner)
    listed = await store.list()
    ages = [(account.metadata.creation_timestamp or moment(0), account.metadata.name) for account in listed]
    assert sorted(ages) == ages
    assert 3 == len(listed) == await store.count()


async def test_a_place_that_is_away_is_said(store: AccountStore, place: Place) -> None:
    """When nothing can be read, a door is told so, and nothing counts as deleted."""
    place.fail()
    for call in (store.list(), store.get(NAME), store.create(OWNER), store.delete(NAME), store.wake(NAME)):
        with pytest.raises(AccountsUnavailable):
            await call
