"""What the calls of an account store mean for an account, wherever accounts are kept."""

import pytest

from ponton_operator.resources.account import AccountSpec, BridgeAccount, Desired, Preferences
from ponton_operator.resources.base import moment
from ponton_operator.selfservice.accounts import age, changed, woken

SPEC = AccountSpec.model_validate({"owner": "alice@example.test", "gatewayRef": {"name": "wa"}, "wake": 4})


class Chosen(Preferences):
    """Preferences as features will bring them."""

    quiet: bool = False


QUIET = Chosen(quiet=True)


def account(name: str, made: float | None) -> BridgeAccount:
    """Make an account of a time, seconds since 1970."""
    found = BridgeAccount.model_validate({"metadata": {"name": name}, "spec": SPEC})
    metadata = found.metadata.model_copy(update={"creation_timestamp": None if made is None else moment(made)})
    return found.model_copy(update={"metadata": metadata})


@pytest.mark.parametrize(
    ("desired", "preferences", "expected"),
    [
        (None, None, {}),
        (Desired.PARKED, None, {"desired": Desired.PARKED}),
        (None, QUIET, {"preferences": QUIET}),
        (Desired.STOPPED, QUIET, {"desired": Desired.STOPPED, "preferences": QUIET}),
    ],
)
def test_what_is_not_given_stays(
    desired: Desired | None, preferences: Preferences | None, expected: dict[str, object]
) -> None:
    """A patch changes what it was given and nothing else; the spec it began with is as before."""
    before = SPEC.model_copy(deep=True)
    assert before.model_copy(update=expected) == changed(SPEC, desired, preferences)
    assert before == SPEC


def test_preferences_may_go_back_to_what_they_were_at_first() -> None:
    """Given ones replace all that there were, though nothing was set in them."""
    assert Chosen() == changed(changed(SPEC, None, QUIET), None, Chosen()).preferences


@pytest.mark.parametrize(
    ("before", "after"),
    [(Desired.RUNNING, Desired.RUNNING), (Desired.PARKED, Desired.RUNNING), (Desired.STOPPED, Desired.STOPPED)],
)
def test_a_wake_is_counted_whatever_is_desired(before: Desired, after: Desired) -> None:
    """Only what is parked is made to run; each wake counts, and the rest of the spec stays."""
    spec = SPEC.model_copy(update={"desired": before, "preferences": QUIET})
    assert spec.model_copy(update={"wake": 5, "desired": after}) == woken(spec)
    assert 6 == woken(woken(spec)).wake


def test_the_oldest_comes_first() -> None:
    """Time decides, then the name; one without a time comes before all."""
    accounts = [account("b", 100.0), account("z", 50.0), account("a", 100.0), account("q", None)]
    assert ["q", "z", "a", "b"] == [found.metadata.name for found in sorted(accounts, key=age)]
