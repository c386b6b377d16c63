"""Before the operators go: which patch releases an account, and what the host is told."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponton_operator.plan.uninstall import Report, full_name, linked, release
from ponton_operator.resources.account import FINALIZER

NAMES = st.sampled_from([FINALIZER, "other/one", "foregroundDeletion", "a/b"])


def account(finalizers: list[str] | None, **status: Any) -> dict[str, Any]:  # noqa: ANN401  # as JSON has it
    """Give an account as the API has it."""
    metadata: dict[str, Any] = {"namespace": "wa", "name": "acc-1", "resourceVersion": "7"}
    return {"metadata": metadata | ({} if finalizers is None else {"finalizers": finalizers}), "status": status}


@given(st.lists(NAMES, max_size=4))
def test_only_our_finalizer_is_taken_off(finalizers: list[str]) -> None:
    """Others stay in their order; an account without ours is not written at all."""
    patch = release(account(finalizers))
    if FINALIZER not in finalizers:
        assert patch is None
    else:
        assert patch is not None
        assert [name for name in finalizers if name != FINALIZER] == patch["metadata"]["finalizers"]
        assert "7" == patch["metadata"]["resourceVersion"]


@pytest.mark.parametrize("bare", [{}, {"metadata": {}}, account(None)])
def test_an_account_without_finalizers_is_left_alone(bare: dict[str, Any]) -> None:
    """Nothing to do."""
    assert release(bare) is None


def test_a_device_counts_as_linked_when_the_status_says_so() -> None:
    """An account that never had a status is not linked."""
    assert linked(account([], paired=True))
    assert not linked(account([], paired=False))
    assert not linked({"metadata": {"name": "acc-1"}})
    assert "wa/acc-1" == full_name(account([]))


def test_the_report_names_what_stays_linked() -> None:
    """Accounts by namespace and name, which say nothing about their owners."""
    report = Report(released=2, ended=1, linked=["wa/acc-1"], problems=["Something was left."])
    assert [
        "Released: 2 accounts. They stay as resources, with their volumes.",
        "Ended: 1 pod of shards.",
        "1 device is still linked at WhatsApp, until the owner removes it on",
        "the phone, or Ponton is installed again and the account deleted:",
        "  wa/acc-1",
        "Something was left.",
    ] == list(report.sentences())


def test_the_report_says_what_was_deleted() -> None:
    """Only when accounts were to be unlinked."""
    assert "Deleted: 1 account, each with its device, keys and volume." == next(iter(Report(deleted=1).sentences()))
    assert not any("Deleted" in line or "linked" in line for line in Report().sentences())


def test_a_long_list_ends_with_the_number_of_the_rest() -> None:
    """So that the list of a large host fits into a log."""
    lines = list(Report(linked=[f"wa/acc-{n}" for n in range(250)]).sentences())
    assert "250 devices are still linked at WhatsApp, until the owner removes it on" == lines[2]
    assert "  and 50 more" == lines[-1]
    assert 205 == len(lines)
