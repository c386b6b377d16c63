"""The plan of a deletion: unlink first, then stop, then forget everything, each step with a deadline.

What could not be done becomes a sentence in `status.deletion.problems` and blocks nothing for ever.
Every step may be done twice: a restarted operator begins again at the step that the status names.
Called by `plan.account`.
"""

from typing import Final

from ponton_bridge.model.states import Reason
from ponton_operator.plan.ends import backoff
from ponton_operator.plan.starting import Planned, start
from ponton_operator.plan.values import Again, Clean, Forget, Observed, Step, Stop
from ponton_operator.resources.account import AccountStatus, BridgeAccount, DeletionStatus
from ponton_operator.resources.base import moment
from ponton_operator.resources.conditions import Own

ORDER: Final = tuple(Step)
# Seconds a step may take, tries included. Unlinking may need a start and a connection to WhatsApp.
DEADLINE: Final = {Step.UNLINK: 90.0, Step.STOP: 60.0} | dict.fromkeys(
    (Step.RELEASE, Step.REDIS, Step.STORE, Step.SECRET), 60.0
)
# Steps that nobody can do without the gateway's servers.
NEEDS_GATEWAY: Final = frozenset({Step.UNLINK, Step.RELEASE, Step.REDIS})
# With these a shard would not get as far as unlinking, or would fight another one.
HOPELESS: Final = frozenset({Reason.BANNED, Reason.OUTDATED, Reason.REPLACED, Reason.FENCED, Reason.STALE_STORE})
PROBLEM: Final = {
    Step.UNLINK: "The device could not be unlinked, or the roster not be tidied: remove the device on the phone, "
    "under Linked devices, if it is still there.",
    Step.STOP: "The shard was not seen to end.",
    Step.RELEASE: "Prosody could not be told to forget the owner's queue.",
    Step.REDIS: "The account's keys and user could not be removed from Redis.",
    Step.STORE: "The account's store could not be removed.",
    Step.SECRET: "The account's secrets could not be removed.",
}


def plan_deletion(account: BridgeAccount, status: AccountStatus, observed: Observed, now: float) -> Planned:
    """Go one step on; several at once where there is nothing to do."""
    if observed.terminating:
        return status, [Forget()]
    if status.deletion is None:
        status = _at(status, Step.UNLINK, now)
    while True:
        deletion = status.deletion
        if deletion is None or deletion.step == Step.DONE:
            return status, [Forget(deletion.problems if deletion else ())]
        step, deadline = Step(deletion.step), deletion.since.timestamp() + DEADLINE[Step(deletion.step)]
        outcome = observed.outcome
        answered = outcome is not None and outcome.step is step and outcome.tries == deletion.tries
        if _nothing_to_do(step, status, observed) or (answered and outcome is not None and outcome.ok):
            status = _at(status, _after(step), now)
        elif now >= deadline or _hopeless(step, status, observed):
            status = _at(status, _after(step), now, problem=PROBLEM[step])
        elif answered:
            tries = deletion.tries + 1
            wait = moment(min(now + max(backoff(tries + 1), 1.0), deadline))
            status = status.model_copy(
                update={"deletion": deletion.model_copy(update={"tries": tries, "not_before": wait})}
            )
        else:
            return _attempt(account, status, deletion, observed, now)


def _attempt(
    account: BridgeAccount, status: AccountStatus, deletion: DeletionStatus, observed: Observed, now: float
) -> Planned:
    step, deadline = Step(deletion.step), deletion.since.timestamp() + DEADLINE[Step(deletion.step)]
    again = Again(deadline)
    if step is Step.STOP:
        return status, [*(Stop(p.epoch) for p in observed.alive if not p.told and not p.lost), again]
    if deletion.not_before and now < deletion.not_before.timestamp():
        return status, [Again(deletion.not_before.timestamp())]
    if step is Step.UNLINK and not _serving(status, observed):
        status, actions = start(account, status, observed, now, purpose="Unlink")
        return status, [*actions, again]
    return status, [Clean(step, deletion.tries, deadline), again]


def _serving(status: AccountStatus, observed: Observed) -> bool:
    """Whether the shard that was started last runs and was not told to end: it can be asked to unlink."""
    process = observed.process(status.shard.epoch) if status.shard else None
    return process is not None and not (process.ended or process.told or process.lost)


def _nothing_to_do(step: Step, status: AccountStatus, observed: Observed) -> bool:
    if step is Step.UNLINK:  # a shard that never had a stream linked nothing and put nobody into a roster
        return not status.paired and not status.store_epoch
    if step is Step.STOP:
        return observed.settled and not observed.alive
    return step is Step.RELEASE and bool(observed.twin)  # the owner's record belongs to the older account


def _hopeless(step: Step, status: AccountStatus, observed: Observed) -> bool:
    if step in NEEDS_GATEWAY and observed.obstacle == Own.GATEWAY_MISSING:
        return True
    return step is Step.UNLINK and status.parking is not None and status.parking.reason in HOPELESS


def _after(step: Step) -> Step:
    return ORDER[ORDER.index(step) + 1]


def _at(status: AccountStatus, step: Step, now: float, problem: str = "") -> AccountStatus:
    before = status.deletion.problems if status.deletion else ()
    problems = (*before, problem) if problem else before
    return status.model_copy(update={"deletion": DeletionStatus(step=step, since=moment(now), problems=problems)})
