"""The folder of accounts as files: what a scan sees, and what it does not conclude."""

import os
import time
from pathlib import Path

import pytest

from ponton_operator.cluster.local_folder import FRESH, STATUS, Folder
from ponton_operator.resources.account import BridgeAccount, Desired
from ponton_operator.resources.yamlfile import dump
from tests.integration.local_world import account_yaml


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """An empty folder of gateway `wa`."""
    return Folder(tmp_path, "wa")


def later() -> float:
    """A time when every file that was written by now has settled."""
    return time.time() + 2 * FRESH


def test_sees_what_comes_changes_and_goes(folder: Folder) -> None:
    """A scan tells whether anything changed, and holds what the files say."""
    assert not folder.scan()
    file = folder.path / "alice.yaml"
    file.write_text(account_yaml("acc-1"))
    assert folder.scan(later())
    assert {"acc-1": file} == folder.files
    assert not folder.scan(later())
    file.write_text(account_yaml("acc-1", desired="Stopped"))
    assert folder.scan(later())
    assert Desired.STOPPED is folder.accounts["acc-1"].spec.desired
    file.unlink()
    assert folder.scan(later())
    assert {} == folder.accounts


def test_a_change_within_the_stamp_is_seen(folder: Folder) -> None:
    """Two writes that leave the same stamp are told apart, because a fresh file is read again."""
    file = folder.path / "a.yaml"
    file.write_text(account_yaml("acc-1", wake=1))
    stat = file.stat()
    assert folder.scan(stat.st_mtime)
    file.write_text(account_yaml("acc-1", wake=2))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert folder.scan(stat.st_mtime + 0.01)
    assert 2 == folder.accounts["acc-1"].spec.wake


def test_half_a_file_is_no_problem_yet(folder: Folder) -> None:
    """A file that is just being written is waited for, and counts as unknown meanwhile."""
    file = folder.path / "a.yaml"
    file.write_text(account_yaml("acc-1")[:40])
    folder.scan(file.stat().st_mtime)
    assert not folder.problems
    assert {"a.yaml"} == folder.unknown
    file.write_text(account_yaml("acc-1"))
    assert folder.scan(file.stat().st_mtime)
    assert ["acc-1"] == list(folder.accounts)


def test_a_bad_edit_keeps_the_last_good_one(folder: Folder) -> None:
    """After a good version a bad one is a problem, and the good one still counts."""
    file = folder.path / "a.yaml"
    file.write_text(account_yaml("acc-1"))
    folder.scan(later())
    file.write_text("spec: [")
    assert folder.scan(later())
    assert ["acc-1"] == list(folder.accounts)
    assert ["a.yaml"] == [problem.file for problem in folder.problems]
    assert not folder.is_gone("acc-1", "a.yaml")


def test_other_files_are_left_alone(folder: Folder) -> None:
    """Statuses, hidden files and other endings are no accounts."""
    for name in (f"acc-1{STATUS}", ".acc-1.yaml", "acc-1.yaml.bak", "README"):
        (folder.path / name).write_text(account_yaml("acc-1"))
    assert not folder.scan(later())


def test_one_name_one_file(folder: Folder) -> None:
    """Of two files with the same name the first counts, and the second is a problem that names it."""
    for name in ("b.yaml", "a.yaml"):
        (folder.path / name).write_text(account_yaml("acc-1"))
    folder.scan(later())
    assert "a.yaml" == folder.files["acc-1"].name
    assert ["metadata.name: a.yaml has the same name"] == [p.sentence for p in folder.problems]


def test_another_gateways_account_is_kept(folder: Folder) -> None:
    """An account that now names another gateway is not served, and not gone either."""
    file = folder.path / "a.yaml"
    file.write_text(account_yaml("acc-1").replace("name: wa", "name: other"))
    folder.scan(later())
    assert {} == folder.accounts
    assert not folder.is_gone("acc-1", "a.yaml")
    assert "serves only wa" in folder.problems[0].sentence


def test_nothing_is_concluded_from_an_unreadable_file(folder: Folder) -> None:
    """Whose file cannot be read is not known, so only an account whose own file is gone is gone."""
    (folder.path / "broken.yaml").write_text("[")
    folder.scan(later())
    assert folder.is_gone("acc-1", "a.yaml")
    assert not folder.is_gone("acc-1", "broken.yaml")
    assert not folder.is_gone("acc-1", "")


def test_owners_are_prepared(folder: Folder) -> None:
    """An owner is held as Prosody prepares it; one that cannot be prepared is a problem."""
    (folder.path / "a.yaml").write_text(account_yaml("acc-1", owner="Alice@Example.TEST"))
    (folder.path / "b.yaml").write_text(account_yaml("acc-2", owner="alice@-x-"))
    folder.scan(later())
    assert {"acc-1": "alice@example.test"} == {k: a.spec.owner for k, a in folder.accounts.items()}
    assert ["b.yaml"] == [problem.file for problem in folder.problems]


@pytest.mark.parametrize(
    ("file", "expected"),
    [("acc-1.yaml", "acc-1.yaml"), ("alice@example.org.yaml", "(not told)"), ("447700900123.yaml", "(not told)")],
)
def test_file_names_may_be_addresses(folder: Folder, file: str, expected: str) -> None:
    """A file name that may be an address is not given to logs."""
    (folder.path / file).write_text("[")
    folder.scan(later())
    assert [expected] == [problem.hidden for problem in folder.problems]


def test_statuses_are_whole_resources(folder: Folder) -> None:
    """A status is read back as the resource that was written; a broken one is none."""
    account = BridgeAccount.model_validate({
        "metadata": {"name": "acc-1", "generation": 4},
        "spec": {"owner": "alice@example.test", "gatewayRef": {"name": "wa"}},
        "status": {"epoch": 7, "phase": "Parked"},
    })  # fmt: skip
    folder.status_file("acc-1").write_text(dump(account))
    folder.status_file("acc-2").write_text("[")
    assert {"acc-1", "acc-2"} == folder.statuses()
    assert account == folder.read_status("acc-1")
    assert None is folder.read_status("acc-2")


def test_a_folder_that_is_away_is_an_error(tmp_path: Path) -> None:
    """A folder that cannot be read is not an empty one."""
    with pytest.raises(OSError, match=r"."):
        Folder(tmp_path / "away", "wa").scan()
