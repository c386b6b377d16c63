"""The plan of an account, situation by situation."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from ponton_bridge.coordination.contract import StateChange
from ponton_bridge.model.states import Phase, Reason
from ponton_operator.plan.account import plan_account
from ponton_operator.plan.ends import HEALTHY_AFTER
from ponton_operator.plan.values import (
    Action,
    Again,
    AskPermit,
    Collect,
    Observed,
    Process,
    Start,
    Stop,
    Urgency,
    WriteStatus,
)
from ponton_operator.resources.account import AccountStatus, BridgeAccount, RetryStatus, ScalingStatus
from ponton_operator.resources.base import PAUSED, PAUSED_BEFORE, Truth, moment
from ponton_operator.resources.conditions import Own

NOW = 1_800_000_000.0
FIRST = int(NOW * 1000)
READY = Observed(permit=True, revision="r1")


def make(status: AccountStatus | None = None, **spec: object) -> BridgeAccount:
    """Make an account, with the status that a plan wrote before."""
    made = BridgeAccount.model_validate(
        {
            "metadata": {"name": "acc-1", "generation": 3, "creationTimestamp": "2026-11-23T00:00:00Z"},
            "spec": {"owner": "alice@example.test", "gatewayRef": {"name": "wa"}, **spec},
        }
    )
    return made.model_copy(update={"status": status}) if status else made


def written(actions: list[Action]) -> AccountStatus:
    """Give the status that is to be written; it is the first action."""
    assert isinstance(actions[0], WriteStatus)
    return actions[0].status


def rest(actions: list[Action]) -> list[Action]:
    """Give what follows the write."""
    return [a for a in actions if not isinstance(a, WriteStatus)]


def running(**spec: object) -> BridgeAccount:
    """Make an account whose shard was started."""
    return make(written(plan_account(make(None, **spec), READY, NOW)), **spec)


def told(reason: str, epoch: int = FIRST, **fields: int) -> StateChange:
    """Make a state that the shard published."""
    return StateChange("acc-1", epoch, "i", reason, NOW, **fields)


def condition(status: AccountStatus, kind: str) -> tuple[Truth, str] | None:
    """Give status and reason of a condition."""
    return next(((c.status, c.reason) for c in status.conditions if c.type == kind), None)


def ended(code: int | None, *, was_told: bool = False, epoch: int = FIRST) -> Observed:
    """See the shard ended."""
    return replace(READY, processes=(Process(epoch, ended=True, exit_code=code, told=was_told),))


def test_asks_first_then_starts_with_the_written_epoch() -> None:
    """A new account waits for its turn, then its epoch is written before the shard of that epoch starts."""
    asked = plan_account(make(), replace(READY, permit=False), NOW)
    assert (Phase.PENDING, "WaitingForTurn") == (written(asked).phase, written(asked).reason)
    assert [AskPermit(Urgency.PERSON)] == rest(asked)
    started = plan_account(make(), READY, NOW)
    assert [Start(FIRST)] == rest(started)
    assert (FIRST, "Starting", 3) == (
        written(started).epoch,
        written(started).reason,
        written(started).observed_generation,
    )


def test_the_epoch_grows_though_the_clock_went_back() -> None:
    """The next epoch is above the last one even if the clock is behind it."""
    account = make(AccountStatus(epoch=FIRST + 10**9))
    assert [Start(FIRST + 10**9 + 1)] == rest(plan_account(account, READY, NOW))


def test_never_starts_on_an_unsettled_view() -> None:
    """While the view may lack the own last start, nothing is started and no end is recorded."""
    assert [] == plan_account(running(), replace(READY, settled=False), NOW)


def test_a_running_shard_is_left_alone() -> None:
    """A healthy shard costs one write when it is ready, then none."""
    seen = replace(READY, permit=False, processes=(Process(FIRST),), state=told("Connected", xmpp=1, paired=1))
    actions = plan_account(running(), seen, NOW + 1)
    status = written(actions)
    assert [] == rest(actions)
    assert (Phase.RUNNING, "Connected", True, FIRST) == (status.phase, status.reason, status.paired, status.store_epoch)
    for kind in ("Ready", "PodScheduled", "XMPPConnected", "Paired", "WhatsAppConnected", "PhoneSeen", "UpToDate"):
        assert Truth.TRUE == (condition(status, kind) or (None,))[0], kind
    assert [] == plan_account(make(status), seen, NOW + 60)


def test_only_told_changes_may_wait() -> None:
    """A write that only tells may be put together with later ones; one that decides may not."""
    seen = replace(READY, processes=(Process(FIRST),), state=told("Connecting"))
    tells = plan_account(running(), seen, NOW)[0]
    decides = plan_account(running(), ended(1), NOW)[0]
    assert isinstance(tells, WriteStatus)
    assert isinstance(decides, WriteStatus)
    assert (False, True) == (tells.urgent, decides.urgent)


def test_a_link_costs_one_urgent_write() -> None:
    """From its creation until it is linked an account needs one write that must not wait: that of its epoch."""
    account, urgent = make(), 0
    life = [
        READY,
        replace(READY, processes=(Process(FIRST),)),
        *(
            replace(READY, processes=(Process(FIRST),), state=told(reason, xmpp=1, paired=paired))
            for reason, paired in (("Starting", 0), ("WaitingForScan", 0), ("Connecting", 1), ("Connected", 1))
        ),
    ]
    for turn, seen in enumerate(life):
        for action in plan_account(account, seen, NOW + turn):
            if isinstance(action, WriteStatus):
                account = make(action.status)
                urgent += action.urgent
    assert (1, "Connected", True, FIRST) == (
        urgent,
        account.status.reason,
        account.status.paired,
        account.status.store_epoch,
    )


def test_a_condition_keeps_its_time_until_it_turns() -> None:
    """The transition time changes with the status of the condition only, not with its reason."""
    seen = replace(READY, processes=(Process(FIRST),), state=told("Connecting", xmpp=1))
    first = written(plan_account(running(), seen, NOW + 10))
    later = written(plan_account(make(first), replace(seen, state=told("ConnectionLost", xmpp=1)), NOW + 20))
    stream = {s.conditions[2].last_transition_time.timestamp() for s in (first, later)}
    assert {NOW + 10} == stream
    assert (Truth.FALSE, "ConnectionLost") == condition(later, "Ready")


def test_what_an_older_shard_told_is_stale() -> None:
    """A state with another epoch than that of the last start says nothing about it."""
    seen = replace(READY, processes=(Process(FIRST),), state=told("Banned", epoch=FIRST - 1))
    status = written(plan_account(running(), seen, NOW))
    assert ("Starting", None) == (status.reason, condition(status, "Banned"))


def test_crashes_come_back_at_once_then_slower() -> None:
    """The first crash is followed by a start at once, then waits double; from the third the reason is Crashing."""
    account, epoch, waits, reasons = running(), FIRST, [], []
    for turn in range(1, 6):
        now = NOW + turn
        actions = plan_account(account, ended(1, epoch=epoch), now)
        status = written(actions)
        waits.append((status.retry.not_before.timestamp() - now) if status.retry.not_before else 0.0)
        reasons.append(status.reason)
        if waits[-1]:
            actions = plan_account(make(status), READY, now + waits[-1])
            status = written(actions)
        account, epoch = make(status), status.epoch
        assert [Start(epoch)] == [a for a in actions if isinstance(a, Start)]
    assert [0.0, 1.0, 2.0, 4.0, 8.0] == waits
    assert ["Starting", "Starting", "Crashing", "Crashing", "Crashing"] == reasons


def test_health_resets_the_count() -> None:
    """A crash after a long healthy life counts as the first one."""
    account = make(running().status.model_copy(update={"retry": RetryStatus(failures=7)}))
    status = written(plan_account(account, ended(1), NOW + HEALTHY_AFTER))
    assert 1 == status.retry.failures


def test_waits_out_the_backoff() -> None:
    """Before its time nothing starts, and the plan says when to look again."""
    once = written(plan_account(running(), ended(75), NOW + 1))
    twice = written(plan_account(make(once), ended(75, epoch=once.epoch), NOW + 1.5))
    assert [Again(NOW + 2.5)] == plan_account(make(twice), READY, NOW + 2)


def test_a_bad_configuration_waits_for_the_host() -> None:
    """Exit code 78 waits for the longest time, but a changed revision is tried at once."""
    status = written(plan_account(running(), ended(78), NOW + 1))
    assert (Phase.FAILED, "Failed") == (status.phase, status.reason)
    assert [Again(NOW + 301)] == rest(plan_account(make(status), READY, NOW + 60))
    assert isinstance(rest(plan_account(make(status), replace(READY, revision="r2"), NOW + 60))[0], Start)


@pytest.mark.parametrize("reason", [Reason.CODES_USED_UP, Reason.LOGGED_OUT, Reason.REPLACED, Reason.FENCED])
def test_parks_and_is_woken(reason: Reason) -> None:
    """A shard that ended for good is not started again until somebody asks; then once."""
    seen = replace(ended(0), state=told(reason, paired=0))
    actions = plan_account(running(), seen, NOW + 5)
    parked = written(actions)
    assert [Collect(FIRST)] == rest(actions)
    assert (reason, reason) == (parked.reason, parked.parking.reason if parked.parking else None)
    assert [] == plan_account(make(parked), replace(READY, state=seen.state), NOW + 10**6)
    woken = plan_account(make(parked, wake=1), READY, NOW + 20)
    assert [Start(int((NOW + 20) * 1000))] == rest(woken)
    assert (1, None) == (written(woken).wake, written(woken).parking)


def test_a_wake_while_it_runs_is_met() -> None:
    """A wake that comes while the shard runs does not start it again after it parks."""
    seen = replace(READY, processes=(Process(FIRST),), state=told("WaitingForScan"))
    met = written(plan_account(make(running().status, wake=4), seen, NOW + 1))
    assert 4 == met.wake
    used_up = replace(ended(0), state=told("CodesUsedUp"))
    assert "CodesUsedUp" == written(plan_account(make(met, wake=4), used_up, NOW + 2)).reason


def test_a_wake_while_it_ends_is_not_lost() -> None:
    """A wake that comes when the shard has said its end, but lingers, ends it and starts it anew."""
    ending = replace(READY, processes=(Process(FIRST),), state=told("CodesUsedUp"))
    account = make(running().status, wake=1)
    actions = plan_account(account, ending, NOW + 1)
    assert [Stop(FIRST)] == rest(actions)
    gone = replace(ended(0, was_told=True), state=ending.state)
    actions = plan_account(make(written(actions), wake=1), gone, NOW + 2)
    assert any(isinstance(a, Start) for a in actions)


def test_stale_keys_are_wiped_when_woken() -> None:
    """A stale store is never run: the wake empties it, and the account counts as not paired."""
    stale = replace(ended(0), state=told("StaleStore", paired=1))
    account = make(running().status.model_copy(update={"store_epoch": FIRST - 1}))
    parked = written(plan_account(account, stale, NOW + 1))
    assert FIRST - 1 == parked.store_epoch
    assert (Truth.TRUE, "StaleStore") == condition(parked, "StaleStore")
    woken = plan_account(make(parked, wake=1), READY, NOW + 2)
    assert [Start(int((NOW + 2) * 1000), wipe=True)] == rest(woken)
    assert (False, 0) == (written(woken).paired, written(woken).store_epoch)


def test_an_update_cures_an_outdated_client() -> None:
    """A client that WhatsApp refused as outdated starts by itself when a new revision would run."""
    parked = written(plan_account(running(), replace(ended(0), state=told("ClientOutdated")), NOW + 1))
    assert [] == plan_account(make(parked), READY, NOW + 60)
    assert isinstance(rest(plan_account(make(parked), replace(READY, revision="r2"), NOW + 60))[0], Start)


@pytest.mark.parametrize(("desired", "phase"), [("Stopped", Phase.STOPPED), ("Parked", Phase.PARKED)])
def test_stops_when_people_want_it(desired: str, phase: Phase) -> None:
    """Stopped and Parked end the process once, and keep the account without one."""
    alive = replace(READY, processes=(Process(FIRST),), state=told("Connected", xmpp=1))
    actions = plan_account(make(running().status, desired=desired), alive, NOW + 1)
    assert [Stop(FIRST)] == rest(actions)
    stopping = replace(alive, processes=(Process(FIRST, told=True),))
    status = written(actions)
    assert [] == rest(plan_account(make(status, desired=desired), stopping, NOW + 2))
    gone = written(plan_account(make(status, desired=desired), ended(-15, was_told=True), NOW + 3))
    assert (phase, desired, 0) == (gone.phase, gone.reason, gone.retry.failures)
    assert [] == plan_account(make(gone, desired=desired), READY, NOW + 4)
    assert isinstance(rest(plan_account(make(gone), READY, NOW + 5))[0], Start)


def test_stopping_and_starting_again_is_a_way_out() -> None:
    """Whatever parked it or made it wait, an account that was Stopped and is Running again starts at once."""
    parked = written(plan_account(running(), replace(ended(0), state=told("Replaced")), NOW + 1))
    waiting = parked.model_copy(update={"retry": RetryStatus(failures=9, not_before=moment(NOW + 300))})
    stopped = written(plan_account(make(waiting, desired="Stopped", wake=2), READY, NOW + 2))
    assert (None, RetryStatus(), 2) == (stopped.parking, stopped.retry, stopped.wake)
    assert isinstance(rest(plan_account(make(stopped, wake=2), READY, NOW + 3))[0], Start)


@pytest.mark.parametrize("desired", ["Running", "Stopped"])
def test_a_lost_node_is_told_nothing(desired: str) -> None:
    """As long as its node does not answer, a process is not told to end either: that waits until somebody hears it."""
    lost = replace(READY, processes=(Process(FIRST, lost=True), Process(FIRST - 1, lost=True)))
    assert [] == rest(plan_account(make(running().status, desired=desired), lost, NOW + 1))
    assert [] == rest(plan_account(make(None, desired=desired), lost, NOW + 1))


def test_the_older_resource_counts() -> None:
    """An account with an older twin gets no process and says so."""
    alive = replace(READY, processes=(Process(FIRST),), twin="acc-0")
    actions = plan_account(running(), alive, NOW + 1)
    assert [Stop(FIRST)] == rest(actions)
    assert ("Duplicate", (Truth.TRUE, "Duplicate")) == (
        written(actions).reason,
        condition(written(actions), "Duplicate"),
    )


def test_a_lost_node_is_waited_for() -> None:
    """While nobody knows whether the shard runs, there is no successor, but a condition."""
    lost = replace(READY, processes=(Process(FIRST, lost=True),))
    actions = plan_account(running(), lost, NOW + 1)
    assert [] == rest(actions)
    assert (Truth.TRUE, "WaitingForNode") == condition(written(actions), "WaitingForNode")
    assert isinstance(rest(plan_account(running(), READY, NOW + 2))[0], Start)


def test_a_strange_process_is_ended_the_own_stays() -> None:
    """A process of another epoch is told to end; the current one is left alone."""
    both = replace(READY, processes=(Process(FIRST - 5), Process(FIRST)))
    assert [Stop(FIRST - 5)] == rest(plan_account(running(), both, NOW))
    alone = replace(READY, processes=(Process(FIRST - 5),))
    assert [Stop(FIRST - 5)] == rest(plan_account(make(), alone, NOW))


def test_a_changed_template_restarts_in_its_turn() -> None:
    """A shard of an older revision asks for its turn, ends, and is not counted as a crash."""
    alive = replace(READY, permit=False, revision="r2", processes=(Process(FIRST),), state=told("Connected", xmpp=1))
    asked = plan_account(running(), alive, NOW + 1)
    assert [AskPermit(Urgency.ROLLOUT)] == rest(asked)
    assert (Truth.FALSE, "RolloutPending") == condition(written(asked), "UpToDate")
    assert [Stop(FIRST)] == rest(plan_account(running(), replace(alive, permit=True), NOW + 1))
    gone = replace(ended(0, was_told=True), revision="r2", permit=False)
    after = plan_account(running(), gone, NOW + 2)
    assert [Collect(FIRST), AskPermit(Urgency.RESTART)] == rest(after)
    assert 0 == written(after).retry.failures


def test_a_scan_is_not_disturbed_by_a_rollout() -> None:
    """While the owner scans, the shard is not restarted for a new template."""
    alive = replace(READY, revision="r2", processes=(Process(FIRST),), state=told("WaitingForScan", xmpp=1))
    assert [] == rest(plan_account(running(), alive, NOW + 1))


@pytest.mark.parametrize("annotation", [{PAUSED: "true"}, {PAUSED_BEFORE: "disabled"}])
def test_the_brake_stops_everything_but_telling(annotation: dict[str, str]) -> None:
    """With the annotation, in its older form too, nothing is done, and a condition says so."""

    def braked(account: BridgeAccount) -> BridgeAccount:
        metadata = account.metadata.model_copy(update={"annotations": annotation})
        return account.model_copy(update={"metadata": metadata})

    for seen in (READY, ended(1)):
        actions = plan_account(braked(running()), seen, NOW + 1)
        assert [] == rest(actions)
        assert (Truth.TRUE, "ReconcileDisabled") == condition(written(actions), "Paused")


@pytest.mark.parametrize("annotation", [{}, {PAUSED: "false"}, {PAUSED: ""}, {PAUSED_BEFORE: "enabled"}])
def test_no_other_value_is_a_brake(annotation: dict[str, str]) -> None:
    """Only what was said is a brake."""
    account = running()
    account = account.model_copy(update={"metadata": account.metadata.model_copy(update={"annotations": annotation})})
    assert condition(written(plan_account(account, READY, NOW + 1)), "Paused") is None


def test_a_reason_off_the_table_is_no_reason() -> None:
    """What came over the wire and is in no table shows as failed, and harms nothing."""
    seen = replace(READY, processes=(Process(FIRST),), state=told("<b>Fine</b>", xmpp=1))
    status = written(plan_account(running(), seen, NOW + 1))
    assert (Phase.FAILED, "Failed") == (status.phase, status.reason)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.model_copy(update={"spec": a.spec.model_copy(update={"wake": 2})}),
        lambda a: a.model_copy(update={"metadata": a.metadata.model_copy(update={"generation": 9})}),
    ],
    ids=["woken", "edited"],
)
def test_is_asked_as_often_as_one_likes(change: Callable[[BridgeAccount], BridgeAccount]) -> None:
    """Planned again from what it wrote itself, it has nothing to add."""
    seen = replace(READY, permit=False, processes=(Process(FIRST),), state=told("Connected", xmpp=1, paired=1))
    account = change(running())
    status = written(plan_account(account, seen, NOW + 1))
    assert [] == plan_account(account.model_copy(update={"status": status}), seen, NOW + 2)


def test_what_the_scaler_parks_has_no_shard_until_somebody_asks() -> None:
    """The account's shard ends, its reason is the scaler's; a wake makes the scaler's word void."""
    account = running(wake=2)
    parked = account.status.model_copy(update={"scaling": ScalingStatus(park="NeverPaired", park_wake=2)})
    seen = replace(READY, processes=(Process(FIRST),))
    actions = plan_account(make(parked, wake=2), seen, NOW + 1)
    assert (Phase.PARKED, "NeverPaired") == (written(actions).phase, written(actions).reason)
    assert [Stop(FIRST)] == rest(actions)
    gone = written(plan_account(make(parked, wake=2), ended(0, was_told=True), NOW + 2))
    assert [] == plan_account(make(gone, wake=2), READY, NOW + 3)
    assert [Start(FIRST + 4000)] == rest(plan_account(make(gone, wake=3), READY, NOW + 4))


def test_a_reason_of_the_scaler_that_nobody_knows_is_plainly_parked() -> None:
    """Another version of the scaler may write what we do not know."""
    status = AccountStatus(scaling=ScalingStatus(park="Whatever"))
    assert "Parked" == written(plan_account(make(status), READY, NOW)).reason


def test_nothing_starts_against_an_obstacle() -> None:
    """Without its gateway an account waits, and says for what; it starts when the obstacle is gone."""
    blocked = replace(READY, obstacle=Own.GATEWAY_MISSING)
    actions = plan_account(make(), blocked, NOW)
    assert [] == rest(actions)
    assert (Phase.PENDING, "GatewayMissing") == (written(actions).phase, written(actions).reason)
    assert [Start(FIRST)] == rest(plan_account(make(written(actions)), READY, NOW))


def test_an_obstacle_disturbs_no_shard_that_runs() -> None:
    """A gateway that cannot be used now is no reason to end what serves."""
    seen = replace(
        READY, processes=(Process(FIRST),), state=told("Connected", xmpp=1, paired=1), obstacle="GatewayMissing"
    )
    actions = plan_account(running(), seen, NOW)
    assert [] == rest(actions)
    assert "Connected" == written(actions).reason


@pytest.mark.parametrize(
    ("trouble", "reason", "phase"),
    [
        (Own.UNSCHEDULABLE, "Unschedulable", Phase.PENDING),
        (Own.IMAGE_UNAVAILABLE, "ImageUnavailable", Phase.FAILED),
        (Own.QUOTA_FULL, "QuotaFull", Phase.PENDING),
        (Own.CRASH_LOOP, "Crashing", Phase.FAILED),
        (Own.OUT_OF_MEMORY, "OutOfMemory", Phase.DEGRADED),
    ],
)
def test_why_a_pod_does_not_get_on_is_told(trouble: Own, reason: str, phase: Phase) -> None:
    """On the account as a whole and on PodScheduled; nothing is done, the cluster goes on trying."""
    actions = plan_account(running(), replace(READY, processes=(Process(FIRST, trouble=trouble),)), NOW)
    assert [] == rest(actions)
    assert (reason, phase) == (written(actions).reason, written(actions).phase)
    assert (Truth.FALSE, trouble) == condition(written(actions), "PodScheduled")


def test_a_stuck_shard_is_replaced_at_once_when_the_template_changes() -> None:
    """A corrected image must not wait for the rollout's turn: nobody is served by the old one."""
    seen = replace(READY, permit=False, revision="r2", processes=(Process(FIRST, trouble=Own.IMAGE_UNAVAILABLE),))
    assert [Stop(FIRST)] == rest(plan_account(running(), seen, NOW))
    serves = replace(seen, state=told("Connected", xmpp=1))
    assert [AskPermit(Urgency.ROLLOUT)] == rest(plan_account(running(), serves, NOW))


def test_an_evicted_shard_is_followed_by_another() -> None:
    """Its end is recorded and collected, and says why; the next one starts."""
    seen = replace(READY, processes=(Process(FIRST, ended=True, trouble=Own.EVICTED),))
    actions = plan_account(running(), replace(seen, permit=False), NOW + 200)
    assert [Collect(FIRST), AskPermit(Urgency.RESTART)] == rest(actions)
    assert (Truth.FALSE, "Evicted") == condition(written(actions), "PodScheduled")
    assert [Collect(FIRST), Start(FIRST + 200_000)] == rest(plan_account(running(), seen, NOW + 200))


def test_a_wipe_is_not_forgotten() -> None:
    """A refused store is emptied by every start, until a shard has surely opened a new one."""
    refused = replace(ended(0), state=told("StaleStore", xmpp=1))
    parked = written(plan_account(running(), refused, NOW))
    woken = plan_account(make(parked, wake=1), READY, NOW + 1)
    assert [Start(FIRST + 1000, wipe=True)] == rest(woken)
    vanished = written(plan_account(make(written(woken), wake=1), replace(READY, permit=False), NOW + 2))
    again = plan_account(make(vanished, wake=1), READY, NOW + 3)
    assert [Start(FIRST + 3000, wipe=True)] == rest(again)
    opened = replace(READY, processes=(Process(FIRST + 3000),), state=told("Starting", FIRST + 3000, xmpp=1))
    assert not written(plan_account(make(written(again), wake=1), opened, NOW + 4)).wipe
