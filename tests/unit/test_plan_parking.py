"""Which accounts the scaler parks, and how the plan of an account carries it out and ends it."""

import pytest

from ponton_bridge.coordination.contract import StateChange
from ponton_bridge.model.states import Phase, Reason
from ponton_operator.plan.account import plan_account
from ponton_operator.plan.ends import LINKING
from ponton_operator.plan.parking import HOUR, MINUTE, kept_by_scaler, parking_wish
from ponton_operator.plan.values import Action, AskPermit, Observed, Process, Start, Stop, Urgency, WriteStatus
from ponton_operator.resources.account import BridgeAccount, Desired, RetryStatus, ScalingStatus
from ponton_operator.resources.base import moment
from ponton_operator.resources.conditions import Type
from ponton_operator.resources.running import Parking
from tests.unit.fleet_kit import EPOCH, NOW, edited, marked, parked, served, shard, turned, wished

PARKING = Parking(never_paired_minutes=60, unreachable_hours=168, crashing_hours=24)
NEVER = Parking(never_paired_minutes=0, unreachable_hours=0, crashing_hours=0)


def unpaired(started: float, reason: str = Reason.WAITING_FOR_OWNER) -> BridgeAccount:
    """Make an account whose owner has not come to scan since a time."""
    return served(paired=False, shard=shard(started=started), reason=reason)


def unreachable(since: float, started: float = NOW - 3000 * HOUR) -> BridgeAccount:
    """Make an account that has no connection since a time."""
    return served(
        reason=Reason.UNREACHABLE, shard=shard(started=started), conditions=turned(Type.WHATSAPP_CONNECTED, since)
    )


def crashing(since: float) -> BridgeAccount:
    """Make an account that crashes since a time."""
    retry = RetryStatus(failures=9, since=moment(since), revision="r1")
    return served(reason=Reason.CRASHING, retry=retry, shard=shard(ended=NOW - 1))


@pytest.mark.parametrize(
    ("account", "wish"),
    [
        (served(), ""),
        (unpaired(NOW - 59 * MINUTE), ""),
        (unpaired(NOW - 60 * MINUTE), "NeverPaired"),
        *[(unpaired(NOW - 60 * MINUTE, reason), "") for reason in LINKING],
        (unreachable(NOW - 168 * HOUR + 1), ""),
        (unreachable(NOW - 168 * HOUR), "UnreachableTooLong"),
        (unreachable(NOW - 168 * HOUR, started=NOW - HOUR), ""),
        (crashing(NOW - 24 * HOUR + 1), ""),
        (crashing(NOW - 24 * HOUR), "CrashingTooLong"),
        (served(reason=Reason.CRASHING), ""),
        (served(shard=None, paired=False), ""),
    ],
)
def test_who_has_no_use_for_a_shard_is_parked_in_time(account: BridgeAccount, wish: str) -> None:
    """Each for its own reason and after its own time; and nobody when the host has set the time to 0."""
    assert wish == parking_wish(account, PARKING, NOW)
    assert "" == parking_wish(account, NEVER, NOW)


@pytest.mark.parametrize(
    "account",
    [
        edited(unpaired(0), desired=Desired.PARKED),
        marked(unpaired(0), deletion_timestamp=moment(NOW)),
        marked(unpaired(0), annotations={"ponton.im/paused": "true"}),
        served(paired=False, shard=shard(started=0), parking=parked(Reason.BANNED, NOW)),
    ],
    ids=["parked by people", "deleted", "braked", "parked"],
)
def test_others_decide_about_the_rest(account: BridgeAccount) -> None:
    """What is parked, stopped, deleted or braked already is left alone."""
    assert "" == parking_wish(account, PARKING, NOW)


def seen(permit: bool = False, *, alive: bool = True, reason: str = "") -> Observed:  # noqa: FBT001, FBT002  # as Observed has it
    """Make what a driver sees."""
    state = StateChange("acc-1", EPOCH, "i", reason, NOW, xmpp=1) if reason else None
    return Observed(processes=(Process(EPOCH),) * alive, state=state, permit=permit, revision="r1")


def kept(account: BridgeAccount) -> bool:
    """Whether the scaler's wish counts."""
    return kept_by_scaler(account, account.status)


def applied(account: BridgeAccount, actions: list[Action]) -> BridgeAccount:
    """Give the account as it is after the plan's write."""
    status = next(action.status for action in actions if isinstance(action, WriteStatus))
    return account.model_copy(update={"status": status})


def test_the_plan_parks_and_a_wake_ends_it() -> None:
    """The shard is ended and the account is parked with the scaler's reason; a wake starts it for good."""
    account = wished(unpaired(NOW - HOUR), ScalingStatus(park="NeverPaired"))
    actions = plan_account(account, seen(reason=Reason.WAITING_FOR_OWNER), NOW)
    assert Stop(EPOCH) in actions
    account = applied(account, actions)
    assert (Phase.PARKED, "NeverPaired") == (account.status.phase, account.status.reason)
    account = applied(account, plan_account(account, seen(alive=False), NOW + 1))
    assert [] == plan_account(account, seen(alive=False), NOW + 2)
    woken = edited(account, wake=1)
    assert not kept(woken)
    assert AskPermit(Urgency.PERSON) in plan_account(woken, seen(alive=False), NOW + 3)
    actions = plan_account(woken, seen(permit=True, alive=False), NOW + 3)
    assert any(isinstance(action, Start) for action in actions)
    started = applied(woken, actions)
    epoch = started.status.epoch
    after = plan_account(started, Observed(processes=(Process(epoch),), revision="r1"), NOW + 4)
    assert [] == [action for action in after if isinstance(action, Stop)]


@pytest.mark.parametrize(
    "account",
    [
        edited(wished(unpaired(0), ScalingStatus(park="NeverPaired")), wake=1),
        wished(served(), ScalingStatus(park="NeverPaired")),
        edited(wished(unpaired(0), ScalingStatus(park="NeverPaired")), desired=Desired.STOPPED),
        wished(unpaired(0), ScalingStatus()),
        wished(unpaired(0), None),
    ],
    ids=["woken", "linked meanwhile", "stopped", "no wish", "no word"],
)
def test_a_wish_that_is_over_parks_nobody(account: BridgeAccount) -> None:
    """Woken, linked or wanted otherwise since, an account is not kept by an old wish."""
    assert not kept(account)


@pytest.mark.parametrize("reason", sorted(LINKING))
def test_nobody_is_parked_while_a_phone_is_linked(reason: Reason) -> None:
    """A scan or a passkey is not disturbed: the wish waits; and with the brake on nothing happens at all."""
    account = wished(unpaired(NOW - HOUR), ScalingStatus(park="NeverPaired"))
    actions = plan_account(account, seen(reason=reason), NOW)
    assert [] == [action for action in actions if isinstance(action, Stop)]
    braked = marked(account, annotations={"ponton.im/paused": "true"})
    actions = plan_account(braked, seen(reason=Reason.STARTING), NOW)
    assert [] == [action for action in actions if isinstance(action, Stop)]


def test_a_pod_that_cannot_be_resized_is_made_anew() -> None:
    """The shard of that epoch ends, and starts in its turn; one of another epoch is left alone, a scan too."""
    account = wished(served(), ScalingStatus(tier="large", recreate=EPOCH))
    assert Stop(EPOCH) in plan_account(account, seen(reason=Reason.CONNECTED), NOW)
    scan = plan_account(account, seen(reason=Reason.WAITING_FOR_SCAN), NOW)
    older = plan_account(wished(served(), ScalingStatus(recreate=EPOCH - 1)), seen(reason=Reason.CONNECTED), NOW)
    assert [] == [action for action in (*scan, *older) if isinstance(action, Stop)]
