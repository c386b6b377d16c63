"""The doors' account store on one machine, as files: what doors rely on, also from several processes."""

import asyncio
import fcntl
import os
from pathlib import Path

import pytest

from ponton_operator.cluster import local_accounts
from ponton_operator.cluster.local_accounts import LocalAccounts
from ponton_operator.cluster.local_folder import FILE, STATUS
from ponton_operator.resources.account import AccountStatus, BridgeAccount, account_name
from ponton_operator.resources.yamlfile import dump, load
from ponton_operator.selfservice.accounts import AccountsUnavailable, NoSuchAccount
from tests.integration.local_world import World

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
