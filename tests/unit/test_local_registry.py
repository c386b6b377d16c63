"""The registry: what an API server would do with the resources of a folder."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.local_folder import FILE, FRESH, Folder
from ponton_operator.cluster.local_registry import GONE_AFTER, Registry
from ponton_operator.resources.yamlfile import dump
from tests.integration.local_world import account_yaml


class Books:
    """A registry on a folder, with a clock that the test moves; files count as settled."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now = 2_000_000_000.0
        self.log = io.StringIO()
        self.registry = self.fresh()

    def fresh(self) -> Registry:
        """Make the registry of a new run."""
        return Registry(Folder(self.root, "wa"), Log(out=self.log), lambda: self.now)

    def put(self, name: str, text: str | None = None, **spec: object) -> None:
        """Write a file."""
        (self.root / f"{name}.yaml").write_text(account_yaml(name, **spec) if text is None else text)

    def take(self) -> set[str]:
        """Look and take."""
        self.registry.folder.scan(self.now)
        return self.registry.take()

    def write(self, name: str) -> None:
        """Write the status, as the runtime does after each plan."""
        self.registry.folder.status_file(name).write_text(dump(self.registry.held[name].account))


@pytest.fixture
def books(tmp_path: Path) -> Books:
    """An empty folder."""
    return Books(tmp_path)


def test_a_new_account_gets_what_an_api_server_gives(books: Books) -> None:
    """A uid, a creation time, generation 1, and the name of its file."""
    books.put("acc-1")
    assert {"acc-1"} == books.take()
    metadata = books.registry.held["acc-1"].account.metadata
    assert metadata.uid
    assert metadata.creation_timestamp
    assert (books.now, 1) == (metadata.creation_timestamp.timestamp(), metadata.generation)
    assert {FILE: "acc-1.yaml"} == metadata.annotations
    assert set() == books.take()


def test_the_generation_counts_changes_of_the_spec(books: Books) -> None:
    """Each change of the spec is one generation; a change of labels or annotations is none, but is planned."""
    books.put("acc-1")
    books.take()
    books.put("acc-1", wake=3)
    assert {"acc-1"} == books.take()
    assert 2 == books.registry.held["acc-1"].account.metadata.generation
    text = account_yaml("acc-1", wake=3).replace("name: acc-1\n", "name: acc-1\n  labels: {a: b}\n")
    books.put("acc-1", text)
    assert {"acc-1"} == books.take()
    metadata = books.registry.held["acc-1"].account.metadata
    assert (2, {"a": "b"}) == (metadata.generation, metadata.labels)


def test_a_new_run_goes_on_where_the_last_was(books: Books) -> None:
    """Uid, creation time, generation and status are those of the status file; a spec edited meanwhile is taken."""
    books.put("acc-1")
    books.take()
    books.write("acc-1")
    before = books.registry.held["acc-1"].account
    books.put("acc-1", wake=1)
    books.now += 100
    books.registry = books.fresh()
    assert {"acc-1"} == books.take()
    after = books.registry.held["acc-1"].account
    assert (before.metadata.uid, before.metadata.creation_timestamp, 2, 1) == (
        after.metadata.uid,
        after.metadata.creation_timestamp,
        after.metadata.generation,
        after.spec.wake,
    )


def test_the_owner_stays(books: Books) -> None:
    """Another owner in the file is a problem, and nothing else of that edit is taken."""
    books.put("acc-1")
    books.take()
    books.put("acc-1", owner="mallory@example.test", wake=5)
    assert set() == books.take()
    spec = books.registry.held["acc-1"].account.spec
    assert ("alice@example.test", 0) == (spec.owner, spec.wake)
    assert "owner cannot be changed" in books.registry.problems()[0]
    books.put("acc-1", wake=5)
    assert {"acc-1"} == books.take()
    assert [] == books.registry.problems()


def test_a_missing_file_is_a_deletion_after_a_while(books: Books) -> None:
    """Not at once, but after its grace the account is marked; with its file back before that it is not."""
    books.put("acc-1")
    books.take()
    books.write("acc-1")
    (books.root / "acc-1.yaml").unlink()
    assert (set(), True) == (books.take(), books.registry.unsettled)
    books.put("acc-1")
    assert ({"acc-1"}, False) == (books.take(), books.registry.unsettled)
    (books.root / "acc-1.yaml").unlink()
    books.take()
    books.now += GONE_AFTER
    assert {"acc-1"} == books.take()
    gone = books.registry.held["acc-1"].account.metadata.deletion_timestamp
    assert gone
    assert books.now == gone.timestamp()
    assert not books.registry.unsettled


def delete(books: Books) -> None:
    """Bring an account to where it is being deleted."""
    books.put("acc-1")
    books.take()
    books.write("acc-1")
    (books.root / "acc-1.yaml").unlink()
    books.take()
    books.now += GONE_AFTER
    books.take()
    books.write("acc-1")


def test_a_deletion_goes_on_in_the_next_run(books: Books) -> None:
    """A status without its file is taken up again, with the time of its deletion."""
    delete(books)
    marked = books.registry.held["acc-1"].account
    books.registry = books.fresh()
    books.registry.folder.scan(books.now)
    books.registry.recover()
    assert {"acc-1"} == books.take()
    assert marked == books.registry.held["acc-1"].account


def test_a_deletion_interrupted_before_it_was_written_goes_on(books: Books) -> None:
    """A status without its file and without a mark is marked after the grace, not run."""
    books.put("acc-1")
    books.take()
    books.write("acc-1")
    (books.root / "acc-1.yaml").unlink()
    books.registry = books.fresh()
    books.registry.folder.scan(books.now)
    books.registry.recover()
    assert set() == books.take()
    books.now += GONE_AFTER
    assert {"acc-1"} == books.take()


def test_a_file_that_comes_back_too_late_is_a_new_account(books: Books) -> None:
    """While the deletion goes on the file waits; after it there is a new account with a uid of its own."""
    delete(books)
    uid = books.registry.held["acc-1"].account.metadata.uid
    books.put("acc-1", wake=9)
    assert set() == books.take()
    assert 0 == books.registry.held["acc-1"].account.spec.wake
    books.registry.folder.status_file("acc-1").unlink()
    books.registry.drop("acc-1")
    assert books.registry.unsettled
    assert {"acc-1"} == books.take()
    assert uid != books.registry.held["acc-1"].account.metadata.uid


def test_files_that_vanish_together_delete_nothing(books: Books) -> None:
    """Without its status an account whose file is gone is dropped: nobody asked for a deletion."""
    books.put("acc-1")
    books.take()
    (books.root / "acc-1.yaml").unlink()
    books.take()
    books.now += GONE_AFTER
    assert {"acc-1"} == books.take()
    assert {} == books.registry.held
    assert "account_vanished" in books.log.getvalue()


def test_twins_are_planned_again(books: Books) -> None:
    """When the older of two goes, the younger is planned."""
    books.put("a")
    books.take()
    books.now += 1
    books.put("b")
    assert {"a", "b"} == books.take()
    assert ("", "a") == (books.registry.owners.twin("a"), books.registry.owners.twin("b"))
    assert {"b"} == books.registry.drop("a")
    assert "" == books.registry.owners.twin("b")


@pytest.mark.parametrize(
    "change", [lambda p: p.rename(p.with_name("away")), lambda p: p.rmdir()], ids=["moved", "removed"]
)
def test_a_folder_that_is_away_changes_nothing(books: Books, change: Callable[[Path], object]) -> None:
    """When the folder cannot be read, everything stays, and the host is told as long as it lasts."""
    change(books.root)
    with pytest.raises(OSError, match=r"."):
        books.registry.look()
    assert "cannot be read" in books.registry.problems()[0]
    books.root.mkdir()
    books.registry.look()
    assert [] == books.registry.problems()


def test_problems_are_logged_when_they_change(books: Books) -> None:
    """A refused file is one event, not one for each look; mending it is one, too."""
    books.put("acc-1", "[")
    books.now += 10 * FRESH
    for _ in range(3):
        books.take()
    books.put("acc-1")
    books.take()
    assert (1, 1) == (books.log.getvalue().count("file_refused"), books.log.getvalue().count("files_accepted"))
