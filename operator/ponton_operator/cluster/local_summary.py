"""The status of the gateway: counts of accounts, what the host should know, conditions. Pure; for `local_runtime`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ponton_bridge.model.states import Phase
from ponton_operator.resources.account import BridgeAccount
from ponton_operator.resources.base import Condition, Truth, moment
from ponton_operator.resources.gateway import GatewaySpec, GatewayStatus

_PROBLEMS: Final = 50  # sentences; the first of many tell what is wrong

# Reason and sentence of each condition when it is True and when it is False.
WORDS: Final = {
    "RedisReachable": (
        ("Reachable", "Redis answers, and every shard has a user of its own there."),
        ("Unreachable", "Redis does not answer, or does not let us make users: shards go on, doors cannot reach them."),
    ),
    "FrontDeskRunning": (
        ("Running", "The front desk runs."),
        ("NotRunning", "The front desk does not run: owners without a shard get no answer."),
    ),
    "Isolated": (
        ("ByUser", "Every account's processes run as a user of their own."),
        ("ByProcess", "Accounts are separate processes of one user, no more."),
    ),
    "Accepted": (
        ("Accepted", "All resources are taken as they are written."),
        ("Problems", "Something needs the host; see problems."),
    ),
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What the runtime sees besides accounts; `reduced` says why they are not kept apart by user id ('' they are)."""

    problems: Sequence[str]
    redis: bool
    desk: bool
    reduced: str


def summary(
    spec: GatewaySpec, before: GatewayStatus, accounts: Sequence[BridgeAccount], seen: Seen, now: float
) -> GatewayStatus:
    """Sum up; a condition that did not turn keeps its time."""
    phases = [account.status.phase for account in accounts]
    truths = {
        "RedisReachable": seen.redis,
        "FrontDeskRunning": seen.desk or not spec.selfservice.front_desk,
        "Isolated": not seen.reduced,
        "Accepted": not seen.problems,
    }
    old = {c.type: c for c in before.conditions}
    return GatewayStatus(
        accounts=len(accounts),
        running=phases.count(Phase.RUNNING),
        paired=sum(account.status.paired for account in accounts),
        parked=phases.count(Phase.PARKED),
        failed=phases.count(Phase.FAILED),
        problems=tuple(seen.problems[:_PROBLEMS]),
        conditions=tuple(_condition(kind, old.get(kind), seen.reduced, now, truth=v) for kind, v in truths.items()),
    )


def _condition(kind: str, before: Condition | None, reduced: str, now: float, *, truth: bool) -> Condition:
    reason, message = WORDS[kind][0 if truth else 1]
    if kind == "Isolated" and reduced:
        message = f"{message} Why: {reduced}."
    status = Truth.TRUE if truth else Truth.FALSE
    since = before.last_transition_time if before and before.status == status else moment(now)
    return Condition(type=kind, status=status, reason=reason, message=message, last_transition_time=since)
