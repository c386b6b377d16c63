"""The folder of accounts against a simple model, under random edits by people and doors, of whole and broken files."""

import asyncio
import os
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ponton_operator.cluster.local_accounts import LocalAccounts
from ponton_operator.cluster.local_folder import FILE, FRESH, STATUS, Folder
from ponton_operator.resources.account import AccountSpec, BridgeAccount, Desired, account_name
from ponton_operator.resources.gateway import BridgeGateway
from ponton_operator.resources.yamlfile import dump
from tests.integration.local_world import account_yaml
from tests.unit.test_resources import GATEWAY

T = TypeVar("T")
OWNERS = ["a@example.org", "b@example.org", "c@example.org"]
DOMAIN = "wa.example.org"
NAMES = [account_name(DOMAIN, owner) for owner in OWNERS]


class StoreMachine(RuleBasedStateMachine):
    """Doors use one store, a second looks on; `model` is what should be there, `deleting` what has only a status."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="ponton-")
        self.path = Path(self.folder.name)
        gateway = BridgeGateway.model_validate(GATEWAY)
        self.store, self.other = LocalAccounts(self.path, gateway), LocalAccounts(self.path, gateway)
        self.model: dict[str, AccountSpec] = {}
        self.told: set[str] = set()
        self.loop = asyncio.new_event_loop()

    def do(self, work: Coroutine[object, None, T]) -> T:
        """Let a door do something."""
        return self.loop.run_until_complete(work)

    @property
    def deleting(self) -> set[str]:
        """Names with a status and no file."""
        return self.told - self.model.keys()

    @rule(number=st.integers(0, 2))
    def create(self, number: int) -> None:
        """A door creates an account."""
        name = NAMES[number]
        made = self.do(self.store.create(OWNERS[number]))
        assert name == made.metadata.name
        assert (name in self.deleting) == (made.metadata.deletion_timestamp is not None)
        if name not in self.deleting:
            self.model.setdefault(name, made.spec)

    @precondition(lambda self: bool(self.model))
    @rule(data=st.data(), desired=st.sampled_from(Desired))
    def patch(self, data: st.DataObject, desired: Desired) -> None:
        """A door wants it otherwise."""
        name = data.draw(st.sampled_from(sorted(self.model)))
        self.model[name] = self.do(self.store.patch(name, desired=desired)).spec
        assert desired is self.model[name].desired

    @precondition(lambda self: bool(self.model))
    @rule(data=st.data())
    def wake(self, data: st.DataObject) -> None:
        """A door wakes it."""
        name = data.draw(st.sampled_from(sorted(self.model)))
        before = self.model[name]
        self.model[name] = self.do(self.store.wake(name)).spec
        assert before.wake + 1 == self.model[name].wake

    @rule(number=st.integers(0, 2))
    def delete(self, number: int) -> None:
        """A door deletes it, or nothing."""
        self.do(self.store.delete(NAMES[number]))
        self.model.pop(NAMES[number], None)

    @precondition(lambda self: bool(self.model))
    @rule(data=st.data(), wake=st.integers(0, 5))
    def edit(self, data: st.DataObject, wake: int) -> None:
        """A person writes the file anew."""
        name = data.draw(st.sampled_from(sorted(self.model)))
        owner = self.model[name].owner
        self.write(name, account_yaml(name, owner=owner, wake=wake))
        self.model[name] = self.do(self.other.get(name)).spec  # type: ignore[union-attr]  # it is there
        assert wake == self.model[name].wake

    @precondition(lambda self: bool(self.model.keys() & self.told))
    @rule(data=st.data(), text=st.sampled_from(["", "[", "spec: {}", "kind: Nothing"]))
    def break_and_mend(self, data: st.DataObject, text: str) -> None:
        """A person breaks a file, both stores look, and it is mended."""
        name = data.draw(st.sampled_from(sorted(self.model.keys() & self.told)))
        good = (self.path / f"{name}.yaml").read_text()
        self.write(name, text)
        for store in (self.store, self.other):
            found = self.do(store.get(name))
            assert found
            assert None is found.metadata.deletion_timestamp
        self.write(name, good)

    @rule(number=st.integers(0, 2))
    def runtime_tells(self, number: int) -> None:
        """The runtime writes a status."""
        name = NAMES[number]
        if spec := self.model.get(name):
            account = BridgeAccount.model_validate({
                "metadata": {"name": name, "annotations": {FILE: f"{name}.yaml"}},
                "spec": spec.model_dump(by_alias=True),
                "status": {"epoch": len(self.told) + 1},
            })  # fmt: skip
            (self.path / f"{name}{STATUS}").write_text(dump(account))
            self.told.add(name)

    @precondition(lambda self: bool(self.deleting))
    @rule(data=st.data())
    def runtime_forgets(self, data: st.DataObject) -> None:
        """The runtime ends a deletion."""
        name = data.draw(st.sampled_from(sorted(self.deleting)))
        (self.path / f"{name}{STATUS}").unlink()
        self.told.discard(name)

    def write(self, name: str, text: str) -> None:
        """Write a file in place, as editors may, with a stamp that has settled."""
        file = self.path / f"{name}.yaml"
        file.write_text(text)
        then = time.time_ns() - int(2e9 * FRESH) - len(text)
        os.utime(file, ns=(then, then))

    @invariant()
    def both_see_the_same(self) -> None:
        """Every store, and a fresh look, see what should be there."""
        for store in (self.store, self.other):
            found = {a.metadata.name: a for a in self.do(store.list())}
            assert self.model.keys() | self.deleting == found.keys()
            assert self.model == {name: found[name].spec for name in self.model}
            marked = {name for name, account in found.items() if account.metadata.deletion_timestamp}
            assert self.deleting == marked
        fresh = Folder(self.path, "wa")
        fresh.scan()
        assert self.model == {name: account.spec for name, account in fresh.accounts.items()}

    def teardown(self) -> None:
        """Close the loop and remove the folder."""
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self.folder.cleanup()


StoreMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestStore = StoreMachine.TestCase
