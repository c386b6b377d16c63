"""What the host sees of all accounts: choosing, paging, summing up, and what the buttons do."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponton_bridge.model.states import Phase, Reason
from ponton_operator.resources.account import (
    AccountSpec,
    AccountStatus,
    BridgeAccount,
    Desired,
    GatewayRef,
    RetryStatus,
    ShardStatus,
)
from ponton_operator.resources.base import Condition, Metadata, Truth
from ponton_operator.selfservice.hosting import (
    LOGINS,
    ROWS,
    Choice,
    Deed,
    LastError,
    do,
    last_error,
    overview,
    row,
    table,
)
from tests.unit.desk_world import ALICE, NOW, MemoryAccounts


def account(number: int, phase: str = "Running", reason: str = "Connected", *, banned: bool = False) -> BridgeAccount:
    """Make the account of a number; higher numbers are younger."""
    turned = Condition(type="Banned", status=Truth.TRUE, reason="Banned", last_transition_time=NOW)
    return BridgeAccount(
        metadata=Metadata(name=f"acc-{number}", creation_timestamp=NOW + timedelta(seconds=number)),
        spec=AccountSpec(owner=f"owner{number}@example.org", gateway_ref=GatewayRef(name="gw")),
        status=AccountStatus(phase=phase, reason=reason, paired=True, conditions=(turned,) if banned else ()),
    )


PHASES = (Phase.RUNNING, Phase.PARKED, Phase.FAILED)


@settings(deadline=None)  # a busy machine is no fault
@given(st.lists(st.sampled_from(PHASES), max_size=200), st.sampled_from(["", *PHASES]), st.integers(-3, 99))
def test_pages_together_hold_each_chosen_account_once(phases: list[Phase], chosen: str, page: int) -> None:
    """Whatever is chosen: all pages hold all of it, oldest first, none twice; a page out of range is the nearest."""
    accounts = [account(number, phase) for number, phase in enumerate(phases)]
    rows = [row(account) for account in accounts]
    first = table(rows[::-1], Choice(chosen))
    shown = [
        found.metadata.name
        for number in range(1, first.pages + 1)
        for found in table(rows, Choice(chosen, page=number)).rows
    ]
    assert [a.metadata.name for a in accounts if chosen in {"", a.status.phase}] == shown
    assert len(shown) == first.found
    assert max(1, min(page, first.pages)) == table(rows, Choice(chosen, page=page)).page
    assert all(len(table(rows, Choice(page=n)).rows) <= ROWS for n in range(1, 6))


def test_chooses_by_reason_and_counts_what_can_be_chosen() -> None:
    """The lists of phases and reasons count everybody, not only who is chosen."""
    accounts = [account(1), account(2, "Parked", "LoggedOut"), account(3, "Parked", "Banned")]
    found = table([row(each) for each in accounts], Choice(reason="Banned"))
    assert ["acc-3"] == [each.metadata.name for each in found.rows]
    assert {"Parked": 2, "Running": 1} == found.phases
    assert {"Banned": 1, "Connected": 1, "LoggedOut": 1} == found.reasons


def test_what_cannot_be_chosen_finds_nothing() -> None:
    """A word that is no phase gives an empty page, no error."""
    found = table([row(account(1))], Choice("Nonsense"))
    assert (0, 1, 1) == (found.found, found.page, found.pages)


def test_sums_up() -> None:
    """Linked, failing and parked, as the figures above the table."""
    accounts = [account(1), account(2, "Degraded", "ConnectionLost"), account(3, "Failed"), account(4, "Parked")]
    seen = overview([row(each) for each in accounts], NOW.timestamp())
    assert (4, 4, 2, 1) == (seen.accounts, seen.linked, seen.failing, seen.parked)
    assert not seen.alarms.bans


def test_a_wave_of_bans_is_seen() -> None:
    """Several numbers suspended within an hour raise the alarm that holds back rollouts."""
    seen = overview([row(account(n, banned=True)) for n in range(3)], NOW.timestamp() + 60)
    assert seen.alarms.bans
    assert not overview([row(account(n, banned=True)) for n in range(3)], NOW.timestamp() + 7200).alarms.bans


def turned(account: BridgeAccount, truth: Truth, ago: float) -> BridgeAccount:
    """Give the account as it is when its link with WhatsApp turned so many seconds before NOW."""
    when = NOW - timedelta(seconds=ago)
    condition = Condition(type="WhatsAppConnected", status=truth, reason="Connected", last_transition_time=when)
    return account.model_copy(update={"status": account.status.model_copy(update={"conditions": (condition,)})})


def test_counts_logins_a_minute() -> None:
    """Links that came up within the last minutes; those that went down, or came up before, are none."""
    accounts = [turned(account(n), Truth.TRUE, 10.0 * n) for n in range(10)]
    accounts += [turned(account(11), Truth.FALSE, 10.0), turned(account(12), Truth.TRUE, LOGINS)]
    assert 10 * 60 / LOGINS == overview([row(each) for each in accounts], NOW.timestamp()).logins
    assert 0 == overview([], NOW.timestamp()).logins


@pytest.mark.parametrize(
    ("code", "failures", "expected"),
    [
        (None, 0, None),
        (0, 0, None),
        (70, 3, LastError(70, 3)),
        (-9, 0, LastError(-9, 0)),
        (None, 2, LastError(None, 2)),
    ],
)
def test_says_how_a_shard_failed_last(code: int | None, failures: int, expected: LastError | None) -> None:
    """A clean end is no error; an end that was not seen still counts as a failure."""
    shard = ShardStatus(epoch=1, started=NOW, exit_code=code)
    status = AccountStatus(shard=shard, retry=RetryStatus(failures=failures))
    assert expected == last_error(account(1).model_copy(update={"status": status}))


def test_an_account_that_never_ran_has_no_error() -> None:
    """Without a shard there is nothing to say."""
    assert None is last_error(account(1))


@pytest.mark.parametrize(
    ("deed", "desired", "woken"),
    [
        (Deed.START, Desired.RUNNING, True),
        (Deed.STOP, Desired.STOPPED, False),
        (Deed.PARK, Desired.PARKED, False),
    ],
)
async def test_buttons_say_what_is_wanted(deed: Deed, desired: Desired, woken: bool) -> None:  # noqa: FBT001  # a row
    """Start also wakes what is parked; the rest only says what is wanted."""
    store = MemoryAccounts()
    name = (await store.create(ALICE)).metadata.name
    store.park(ALICE, Reason.LOGGED_OUT)
    await do(store, name, deed)
    assert (desired, [name] if woken else []) == (store.accounts[name].spec.desired, store.woken)


async def test_deleting_is_asked_of_the_store() -> None:
    """It goes on in the background, as for an owner."""
    store = MemoryAccounts()
    name = (await store.create(ALICE)).metadata.name
    await do(store, name, Deed.DELETE)
    assert store.accounts[name].metadata.deletion_timestamp is not None
