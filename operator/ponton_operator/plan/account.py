"""The plan of one account: from resource and observation to actions.

Pure and level-triggered: it may be asked at any time, as often as one likes, and says what is still missing. Called by
the drivers for each key of their queue. The invariants that its tests walk: never two processes of an account; the
epoch only grows; a successor starts only when the predecessor is known to have ended; no start comes sooner than the
backoff; with faults over, it converges.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ponton_bridge.model.states import Reason
from ponton_operator.plan.deletion import plan_deletion
from ponton_operator.plan.describe import describe, parked_reason, running_reason, starting_reason
from ponton_operator.plan.ends import CURED_BY_UPDATE, LINKING
from ponton_operator.plan.parking import kept_by_scaler
from ponton_operator.plan.starting import Planned, absorb, current_state, start
from ponton_operator.plan.values import (
    Action,
    AskPermit,
    Clean,
    Collect,
    Forget,
    Observed,
    Start,
    Stop,
    Urgency,
    WriteStatus,
)
from ponton_operator.resources.account import AccountStatus, BridgeAccount, Desired, RetryStatus
from ponton_operator.resources.base import is_paused
from ponton_operator.resources.conditions import Own

DECIDED: Final = ("epoch", "shard", "retry", "parking", "deletion")  # parts of the status


class Goal:
    """What the account should have: the plan function of each goal is in GOALS."""

    DELETE: Final = "delete"
    NOTHING: Final = "nothing"
    SERVE: Final = "serve"


@dataclass(frozen=True, slots=True)
class Aim:
    """A goal and the reason why; `reason` '' = it speaks for itself. `by_spec`: people want it so."""

    goal: str
    reason: str = ""
    by_spec: bool = False


def _parked(account: BridgeAccount, status: AccountStatus, observed: Observed) -> bool:
    """Whether the operator keeps it parked: nobody has asked for a new start, and no update may be the cure."""
    parking = status.parking
    if parking is None or account.spec.wake != status.wake:
        return False
    return not (parking.reason in CURED_BY_UPDATE and parking.revision != observed.revision)


def _idle(account: BridgeAccount, status: AccountStatus, observed: Observed) -> bool:
    """Whether the scaler keeps it without a shard; a code that is being scanned is let end first."""
    return kept_by_scaler(account, status) and not _scanning(status, observed)


# The first row that holds decides.
AIMS: Final[tuple[tuple[Callable[[BridgeAccount, AccountStatus, Observed], bool], Aim], ...]] = (
    (lambda a, _, __: a.metadata.deletion_timestamp is not None, Aim(Goal.DELETE, Own.DELETING)),
    (lambda _, __, o: bool(o.twin), Aim(Goal.NOTHING, Own.DUPLICATE)),
    (lambda a, _, __: a.spec.desired is Desired.STOPPED, Aim(Goal.NOTHING, Reason.STOPPED, by_spec=True)),
    (lambda a, _, __: a.spec.desired is Desired.PARKED, Aim(Goal.NOTHING, Reason.PARKED, by_spec=True)),
    (_parked, Aim(Goal.NOTHING)),
    (_idle, Aim(Goal.NOTHING)),
    (lambda _, __, ___: True, Aim(Goal.SERVE)),
)


def plan_account(account: BridgeAccount, observed: Observed, now: float) -> list[Action]:
    """Say what is to be done now, in order; `now` in seconds since 1970.

    A WriteStatus comes first: if it fails (somebody else wrote), nothing that follows is done and the account is
    planned again from what is then seen.
    """
    status = absorb(account, observed, now)
    aim = next(aim for holds, aim in AIMS if holds(account, status, observed))
    frozen = is_paused(account.metadata) or observed.paused
    actions: list[Action] = []
    if not frozen:
        status, actions = PLANS[aim.goal](account, status, observed, now)
        if not observed.terminating:  # else the namespace takes them, and perhaps we may not
            actions = [*(Collect(p.epoch) for p in observed.processes if p.ended), *actions]
        if aim.by_spec:  # being woken, and a fresh count of ends, is what Running after Parked or Stopped means
            status = status.model_copy(update={"parking": None, "retry": RetryStatus(), "wake": account.spec.wake})
    reason = aim.reason or (parked_reason(status) if aim.goal == Goal.NOTHING else "")
    if not reason:
        starting = any(isinstance(action, Start) for action in actions)
        reason = starting_reason(status) if starting else running_reason(status, observed)
    status = describe(status, observed, reason, now, frozen=frozen, generation=account.metadata.generation)
    if status == account.status or any(isinstance(action, Forget) for action in actions):
        return actions
    return [WriteStatus(status, urgent=_urgent(account.status, status, actions)), *actions]


def _nothing(_: BridgeAccount, status: AccountStatus, observed: Observed, __: float) -> Planned:
    return status, [Stop(p.epoch) for p in observed.alive if not p.told and not p.lost]


def _serve(account: BridgeAccount, status: AccountStatus, observed: Observed, now: float) -> Planned:
    epoch = status.shard.epoch if status.shard else 0
    strangers = [p for p in observed.alive if p.epoch != epoch]
    process = observed.process(epoch)
    if process is None or process.ended:
        return start(account, status, observed, now)
    if others := [Stop(p.epoch) for p in strangers if not p.told and not p.lost]:
        return status, [*others]
    if process.told or process.lost:
        return status, []
    if account.spec.wake != status.wake:
        return status, [Stop(epoch)]  # it has said its end and lingers; absorb() met every other wake
    return status, [] if _scanning(status, observed) else _renew(status, observed, epoch)


def _scanning(status: AccountStatus, observed: Observed) -> bool:
    """Whether somebody links a phone at this moment: then the shard is left alone."""
    state = current_state(status, observed)
    return state is not None and state.reason in LINKING


def _renew(status: AccountStatus, observed: Observed, epoch: int) -> list[Action]:
    """End a shard that cannot be resized where it runs, or, in its turn, one that runs an older revision.

    One that never got on (no such image, no place) is ended at once: nobody is served by it, and the new one may.
    """
    state, process = current_state(status, observed), observed.process(epoch)
    if status.scaling is not None and status.scaling.recreate == epoch:
        return [Stop(epoch)]
    if status.shard is None or status.shard.revision == observed.revision:
        return []
    if state is None and process is not None and process.trouble:
        return [Stop(epoch)]
    return [Stop(epoch)] if observed.permit else [AskPermit(Urgency.ROLLOUT)]


PLANS: Final[dict[str, Callable[[BridgeAccount, AccountStatus, Observed, float], Planned]]] = {
    Goal.DELETE: plan_deletion,
    Goal.NOTHING: _nothing,
    Goal.SERVE: _serve,
}


def _urgent(before: AccountStatus, after: AccountStatus, actions: list[Action]) -> bool:
    """Whether the write must not wait: what is decided changed, or something that follows rests on it.

    What was only learnt (paired, the wake that was met …) is learnt again should the operator end before it is written.
    """
    decided = any(getattr(before, part) != getattr(after, part) for part in DECIDED)
    return decided or any(isinstance(action, (Start, Clean, Collect)) for action in actions)
