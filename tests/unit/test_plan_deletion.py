"""The plan of a deletion, step by step."""

from dataclasses import replace

import pytest

from ponton_bridge.coordination.contract import StateChange
from ponton_operator.plan.account import plan_account
from ponton_operator.plan.deletion import DEADLINE, PROBLEM
from ponton_operator.plan.values import (
    Action,
    Again,
    AskPermit,
    Clean,
    Forget,
    Observed,
    Outcome,
    Process,
    Start,
    Step,
    Stop,
    Urgency,
    WriteStatus,
)
from ponton_operator.resources.account import AccountStatus, BridgeAccount, ParkingStatus, ShardStatus
from ponton_operator.resources.base import moment
from ponton_operator.resources.conditions import Own

NOW = 1_800_000_000.0
EPOCH = int(NOW * 1000)
SEEN = Observed(permit=True, revision="r1")
ALIVE = replace(SEEN, processes=(Process(EPOCH),))
CLEANING = (Step.RELEASE, Step.REDIS, Step.STORE, Step.SECRET)


def make(status: AccountStatus) -> BridgeAccount:
    """Make an account that is to be deleted."""
    made = BridgeAccount.model_validate({
        "metadata": {"name": "acc-1", "deletionTimestamp": moment(NOW)},
        "spec": {"owner": "alice@example.test", "gatewayRef": {"name": "wa"}},
    })  # fmt: skip
    return made.model_copy(update={"status": status})


def linked(*, paired: bool = True) -> AccountStatus:
    """Make the status of an account whose shard was started."""
    return AccountStatus(epoch=EPOCH, paired=paired, shard=ShardStatus(epoch=EPOCH, revision="r1", started=moment(NOW)))


def plan(status: AccountStatus, seen: Observed, now: float) -> tuple[AccountStatus, list[Action]]:
    """Plan, and give the status after it with what else is to be done."""
    actions = plan_account(make(status), seen, now)
    after = next((a.status for a in actions if isinstance(a, WriteStatus)), status)
    return after, [a for a in actions if not isinstance(a, (WriteStatus, Again))]


def step_of(status: AccountStatus) -> str:
    """Give the step that the status names."""
    assert status.deletion
    return status.deletion.step


def test_goes_through_all_steps_in_order() -> None:
    """Unlink, stop, release, Redis, store, secret, forget: each once, when the one before is done."""
    status, actions = plan(linked(), ALIVE, NOW + 1)
    assert [Clean(Step.UNLINK, 0, NOW + 1 + DEADLINE[Step.UNLINK])] == actions
    unlinked = replace(ALIVE, outcome=Outcome(Step.UNLINK, 0, ok=True))
    status, actions = plan(status, unlinked, NOW + 2)
    assert [Stop(EPOCH)] == actions
    seen = replace(SEEN, processes=(Process(EPOCH, ended=True, exit_code=0, told=True),))
    done = []
    for turn in range(3, 8):
        status, actions = plan(status, seen, NOW + turn)
        cleaned = [a for a in actions if isinstance(a, (Clean, Forget))]
        done += cleaned
        if isinstance(cleaned[0], Clean):
            seen = replace(SEEN, outcome=Outcome(cleaned[0].step, cleaned[0].tries, ok=True))
    assert [*CLEANING, Forget()] == [a.step if isinstance(a, Clean) else a for a in done]
    assert "Deleting" == status.phase


def test_unlinking_needs_a_shard() -> None:
    """Without a shard one is started to unlink, ahead of others, and then asked."""
    status = linked().model_copy(update={"parking": ParkingStatus(reason="CodesUsedUp", since=moment(NOW))})
    status, actions = plan(status, replace(SEEN, permit=False), NOW + 1)
    assert [AskPermit(Urgency.PERSON)] == actions
    status, actions = plan(status, SEEN, NOW + 2)
    epoch = int((NOW + 2) * 1000)
    assert [Start(epoch)] == actions
    assert "Unlink" == (status.shard.purpose if status.shard else "")
    _, actions = plan(status, replace(SEEN, processes=(Process(epoch),)), NOW + 3)
    assert [Step.UNLINK] == [a.step for a in actions if isinstance(a, Clean)]


def test_a_shard_that_ends_is_waited_for() -> None:
    """A shard that was told to end is not asked; its successor for the unlinking waits for its end."""
    _, actions = plan(linked(), replace(SEEN, processes=(Process(EPOCH, told=True),)), NOW + 1)
    assert [] == actions


def test_nothing_to_unlink() -> None:
    """An account that was never paired is not started for unlinking."""
    _, actions = plan(linked(paired=False), SEEN, NOW + 1)
    assert [Step.RELEASE] == [a.step for a in actions if isinstance(a, Clean)]


def test_a_roster_is_tidied_without_a_link() -> None:
    """An account whose link has ended had contacts: a shard is started to take them out of the owner's roster."""
    ended = linked(paired=False).model_copy(
        update={"store_epoch": EPOCH, "parking": ParkingStatus(reason="LoggedOut", since=moment(NOW))}
    )
    _, actions = plan(ended, SEEN, NOW + 1)
    assert [Start(int((NOW + 1) * 1000))] == actions


def test_a_link_that_ended_meanwhile_needs_no_unlinking() -> None:
    """When the shard tells that the device is gone, the unlinking is done."""
    status, _ = plan(linked(), ALIVE, NOW + 1)
    state = StateChange("acc-1", EPOCH, "i", "Unlinked", NOW, paired=0)
    status, actions = plan(status, replace(ALIVE, state=state), NOW + 2)
    assert [Stop(EPOCH)] == actions
    assert () == (status.deletion.problems if status.deletion else None)


@pytest.mark.parametrize("reason", ["Banned", "ClientOutdated", "Replaced", "Fenced", "StaleStore"])
def test_a_hopeless_unlinking_is_said_and_skipped(reason: str) -> None:
    """Where a shard could not unlink, none is started for it, and the owner is told what to do on the phone."""
    parked = linked().model_copy(update={"parking": ParkingStatus(reason=reason, since=moment(NOW))})
    status, actions = plan(parked, SEEN, NOW + 1)
    assert not [a for a in actions if isinstance(a, (Start, AskPermit))]
    assert (PROBLEM[Step.UNLINK],) == (status.deletion.problems if status.deletion else ())


def test_a_failed_step_is_tried_again_slower() -> None:
    """A failure counts a new try, which waits; the same failure seen again changes nothing."""
    status, _ = plan(linked(), ALIVE, NOW + 1)
    failed = replace(ALIVE, outcome=Outcome(Step.UNLINK, 0, ok=False, sentence="not now"))
    waits = []
    for tries in range(4):
        failed = replace(failed, outcome=Outcome(Step.UNLINK, tries, ok=False))
        status, actions = plan(status, failed, NOW + 2)
        assert [] == actions
        assert status.deletion
        waits.append(status.deletion.not_before.timestamp() - NOW - 2 if status.deletion.not_before else 0.0)
    assert [1.0, 2.0, 4.0, 8.0] == waits
    _, actions = plan(status, failed, NOW + 11)
    assert [4] == [a.tries for a in actions if isinstance(a, Clean)]


@pytest.mark.parametrize("step", [s for s in Step if s is not Step.DONE])
def test_no_step_blocks_for_ever(step: Step) -> None:
    """After its deadline a step is left, with a sentence about what could not be done."""
    status, _ = plan(linked(), ALIVE, NOW + 1)
    assert status.deletion
    status = status.model_copy(update={"deletion": status.deletion.model_copy(update={"step": step})})
    before, _ = plan(status, ALIVE, NOW + DEADLINE[step] - 1)
    after, actions = plan(before, ALIVE, NOW + DEADLINE[step] + 2)
    assert step == step_of(before)
    if step is Step.SECRET:
        assert [Forget((PROBLEM[step],))] == actions
    else:
        assert step != step_of(after)
        assert PROBLEM[step] in (after.deletion.problems if after.deletion else ())


def test_problems_are_told_at_the_end() -> None:
    """What could not be done on the way is part of the last word."""
    status, _ = plan(linked(), ALIVE, NOW + 1)
    assert status.deletion
    left = status.deletion.model_copy(update={"step": Step.SECRET, "problems": ("one",)})
    _, actions = plan(
        status.model_copy(update={"deletion": left}), replace(SEEN, outcome=Outcome(Step.SECRET, 0, ok=True)), NOW + 2
    )
    assert [Forget(("one",))] == actions


def test_a_younger_twin_leaves_the_owner_alone() -> None:
    """Deleting the resource that did not count leaves the owner's record at Prosody to the one that does."""
    _, actions = plan(linked(paired=False), replace(SEEN, twin="acc-0"), NOW + 1)
    assert [Step.REDIS] == [a.step for a in actions if isinstance(a, Clean)]


def test_in_a_namespace_that_goes_nothing_is_asked_of_anybody() -> None:
    """Servers, secrets and pods go as well: the finalizer is dropped at once, without a write."""
    assert [Forget()] == plan_account(make(linked()), replace(ALIVE, terminating=True), NOW)
    ended = replace(ALIVE, processes=(Process(EPOCH, ended=True),), terminating=True)
    assert [Forget()] == plan_account(make(linked()), ended, NOW)  # to collect it we may have no right any more


def test_without_a_gateway_nobody_waits_for_its_servers() -> None:
    """What needs them is told as not done, and the rest is done."""
    status, actions = plan(linked(), replace(SEEN, obstacle=Own.GATEWAY_MISSING), NOW)
    assert Step.STORE == step_of(status)
    assert status.deletion
    assert (PROBLEM[Step.UNLINK], PROBLEM[Step.RELEASE], PROBLEM[Step.REDIS]) == status.deletion.problems
    assert [Clean(Step.STORE, 0, NOW + DEADLINE[Step.STORE])] == actions
