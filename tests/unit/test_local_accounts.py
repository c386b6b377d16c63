"""The doors' account store on one machine, as files: what doors rely on, also from several processes."""

import asyncio
import fcntl
import os
from contextlib import aclosing
from pathlib import Path

import pytest

from ponton_operator.cluster import local_accounts
from ponton_operator.cluster.local_accounts import LocalAccounts
from ponton_operator.cluster.local_folder import FILE, STATUS
from ponton_operator.resources.account import AccountStatus, BridgeAccount, Desired, account_name
from ponton_operator.resources.yamlfile import dump, load
from ponton_operator.selfservice.accounts import AccountsUnavailable, Change, NoSuchAccount
from tests.integration.local_world import World, account_yaml

OWNER = "alice@example.test"
NAME = account_name("wa.example.test", OWNER)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Folders without a runtime."""
    return World(tmp_path)


@pytest.fixture
def store(world: World) -> LocalAccounts:
    """The store of gateway `wa`."""
    return world.store()


def tell(world: World, account: BridgeAccount, **status: object) -> None:
    """Write a status as the runtime does."""
    metadata = account.metadata.model_copy(update={"annotations": {FILE: f"{account.metadata.name}.yaml"}})
    told = account.model_copy(update={"metadata": metadata, "status": AccountStatus.model_validate(status)})
    (world.accounts / f"{account.metadata.name}{STATUS}").write_text(dump(told))


async def test_creating_is_a_file(store: LocalAccounts, world: World) -> None:
    """An account is a YAML file with an opaque name; created twice it is the one that there is."""
    account = await store.create(OWNER)
    assert (NAME, OWNER, "wa") == (account.metadata.name, account.spec.owner, account.spec.gateway_ref.name)
    assert account.metadata.uid
    assert account.metadata.creation_timestamp
    assert account == await store.create(OWNER)
    assert account == load(BridgeAccount, (world.accounts / f"{NAME}.yaml").read_bytes())
    assert 0o640 == (world.accounts / f"{NAME}.yaml").stat().st_mode & 0o777


async def test_many_doors_create_one(world: World) -> None:
    """Created by many stores at the same moment, there is one account, and all are given the same."""
    made = await asyncio.gather(*(world.store().create(OWNER) for _ in range(10)))
    assert 1 == len({account.metadata.uid for account in made})
    assert 1 == len(list(world.accounts.glob("*.yaml")))


async def test_a_resource_of_a_person_is_found(store: LocalAccounts, world: World) -> None:
    """An owner's account is found by the derived name although a person has named it otherwise, and not made again."""
    world.put("alice")
    found = await store.get(NAME)
    assert found
    assert "alice" == found.metadata.name
    assert "alice" == (await store.create(OWNER)).metadata.name
    await store.patch(NAME, desired=Desired.STOPPED)
    assert Desired.STOPPED is (await store.list())[0].spec.desired
    await store.delete(NAME)
    assert [] == await store.list()


async def test_patching_changes_what_is_given(store: LocalAccounts) -> None:
    """Desired changes, the rest stays; nothing is written when nothing changes; nobody is not patched."""
    before = await store.create(OWNER)
    after = await store.patch(NAME, desired=Desired.PARKED)
    assert before.spec.model_copy(update={"desired": Desired.PARKED}) == after.spec
    assert after == await store.patch(NAME, desired=Desired.PARKED) == await store.get(NAME)
    with pytest.raises(NoSuchAccount):
        await store.patch("acc-none", desired=Desired.RUNNING)


async def test_patches_from_everywhere_all_count(world: World) -> None:
    """Wakes by many stores at once are all counted: writers take turns."""
    await world.store().create(OWNER)
    await asyncio.gather(*(world.store().wake(NAME) for _ in range(10)))
    account = await world.store().get(NAME)
    assert account
    assert 10 == account.spec.wake


@pytest.mark.parametrize(
    ("before", "after"),
    [(Desired.RUNNING, Desired.RUNNING), (Desired.PARKED, Desired.RUNNING), (Desired.STOPPED, Desired.STOPPED)],
)
async def test_waking(store: LocalAccounts, before: Desired, after: Desired) -> None:
    """A wake is counted; what was parked shall run, what the host stopped stays stopped."""
    await store.create(OWNER)
    await store.patch(NAME, desired=before)
    woken = await store.wake(NAME)
    assert (1, after) == (woken.spec.wake, woken.spec.desired)


async def test_the_status_comes_with_it(store: LocalAccounts, world: World) -> None:
    """What is given carries the status that the runtime wrote, and the spec that is wanted now."""
    account = await store.create(OWNER)
    tell(world, account, epoch=7, phase="Running", reason="Connected")
    await store.patch(NAME, desired=Desired.PARKED)
    found = await store.get(NAME)
    assert found
    assert (7, "Connected", Desired.PARKED) == (found.status.epoch, found.status.reason, found.spec.desired)


async def test_deleting_is_seen_at_once(store: LocalAccounts, world: World) -> None:
    """After a delete the account is given as being deleted until its status is gone; it is not made anew meanwhile."""
    account = await store.create(OWNER)
    tell(world, account, epoch=7)
    await store.delete(NAME)
    await store.delete(NAME)
    found = await store.get(NAME)
    assert found
    assert found.metadata.deletion_timestamp
    assert (await store.create(OWNER)).metadata.deletion_timestamp
    assert not (world.accounts / f"{NAME}.yaml").exists()
    with pytest.raises(NoSuchAccount):
        await store.wake(NAME)
    (world.accounts / f"{NAME}{STATUS}").unlink()
    assert None is await store.get(NAME)
    assert None is (await store.create(OWNER)).metadata.deletion_timestamp


async def test_a_broken_file_is_not_a_deleted_account(store: LocalAccounts, world: World) -> None:
    """An account whose file cannot be read now is given as it was told last."""
    account = await store.create(OWNER)
    tell(world, account, epoch=7)
    (world.accounts / f"{NAME}.yaml").write_text("[")
    found = await world.store().get(NAME)
    assert found
    assert None is found.metadata.deletion_timestamp


async def test_watching_gives_each_change(store: LocalAccounts, world: World) -> None:
    """A watcher is given what there is, then what changes in spec and status, then what is gone."""
    account = await store.create(OWNER)
    seen: list[Change] = []
    async with asyncio.timeout(20), aclosing(world.store().watch()) as changes:
        async for change in changes:
            seen.append(change)
            if len(seen) == 1:
                tell(world, account, phase="Running", reason="Connected")
            elif len(seen) == 2:
                await store.patch(NAME, desired=Desired.PARKED)
            elif len(seen) == 3:
                (world.accounts / f"{NAME}.yaml").unlink()
                (world.accounts / f"{NAME}{STATUS}").unlink()
            if change.gone:
                break
    assert ["", "Connected", "Connected"] == [c.account.status.reason for c in seen[:3]]
    assert Desired.PARKED is seen[2].account.spec.desired
    assert OWNER == seen[-1].account.spec.owner


async def test_oldest_first(store: LocalAccounts, world: World) -> None:
    """A list is in the order of creation, and names decide between equals."""
    first = await store.create("b@example.test")
    second = await store.create("a@example.test")
    world.put("zz", account_yaml("zz", owner="z@example.test"))
    assert ["zz", first.metadata.name, second.metadata.name] == [a.metadata.name for a in await store.list()]


async def test_a_folder_that_is_away_is_said(store: LocalAccounts, world: World) -> None:
    """When the folder cannot be read, a door is told so, and nothing counts as deleted."""
    world.accounts.rename(world.root / "elsewhere")
    for call in (store.list(), store.get(NAME), store.create(OWNER), store.delete(NAME)):
        with pytest.raises(AccountsUnavailable):
            await call


async def test_a_writer_that_hangs_is_not_waited_for(
    store: LocalAccounts, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that somebody keeps costs some seconds, and an error with a sentence."""
    monkeypatch.setattr(local_accounts, "LOCK_SECONDS", 0.05)
    held = os.open(world.accounts / ".lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)
    with pytest.raises(AccountsUnavailable, match="another program"):
        await store.create(OWNER)
    os.close(held)
    await store.create(OWNER)
