"""The status of the gateway: counts of accounts, what the host should know, conditions. Pure; for `local_runtime`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ponton_bridge.model.states import Phase
from ponton_operator.plan.alarms import alarm_findings, find_alarms, read_alarms, read_turns
from ponton_operator.plan.rollout import DONE, Turn, rollout_findings
from ponton_operator.resources.account import BridgeAccount
from ponton_operator.resources.conditions_gateway import Finding, GatewayType, gateway_condition
from ponton_operator.resources.gateway import GatewaySpec, GatewayStatus

_AT_REST: Final = Turn(DONE, "")
_PROBLEMS: Final = 50  # sentences; the first of many tell what is wrong

# What makes each condition on one machine: the finding when it is so, and when it is not.
FINDINGS: Final = {
    GatewayType.REDIS_REACHABLE: (Finding.REDIS_ANSWERS, Finding.REDIS_AWAY),
    GatewayType.FRONT_DESK_RUNNING: (Finding.FRONT_DESK_RUNS, Finding.FRONT_DESK_AWAY),
    GatewayType.PORTAL_RUNNING: (Finding.PORTAL_RUNS, Finding.PORTAL_AWAY),
    GatewayType.ISOLATED: (Finding.BY_USER, Finding.BY_PROCESS),
    GatewayType.ACCEPTED: (Finding.ACCEPTED, Finding.PROBLEMS),
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What the runtime sees besides accounts; `reduced` says why they are not kept apart by user id ('' they are).

    `turn` is how far the rollout is.
    """

    problems: Sequence[str]
    redis: bool
    desk: bool
    reduced: str
    portal: bool = False
    turn: Turn = _AT_REST


def summary(
    spec: GatewaySpec, before: GatewayStatus, accounts: Sequence[BridgeAccount], seen: Seen, now: float
) -> GatewayStatus:
    """Sum up; a condition that did not turn keeps its time."""
    phases = [account.status.phase for account in accounts]
    truths = {
        GatewayType.REDIS_REACHABLE: seen.redis,
        GatewayType.FRONT_DESK_RUNNING: seen.desk,
        GatewayType.PORTAL_RUNNING: seen.portal,
        GatewayType.ISOLATED: not seen.reduced,
        GatewayType.ACCEPTED: not seen.problems,
    }
    findings = [FINDINGS[kind][0 if truth else 1] for kind, truth in truths.items()]
    if spec.selfservice.portal is None:
        findings = [Finding.PORTAL_OFF if f is Finding.PORTAL_AWAY else f for f in findings]
    if not spec.selfservice.front_desk:
        findings = [Finding.FRONT_DESK_OFF if f is Finding.FRONT_DESK_AWAY else f for f in findings]
    findings += rollout_findings(seen.turn, spec.rollout)
    findings += alarm_findings(find_alarms(map(read_turns, accounts), read_alarms(before.conditions), now))
    why = {Finding.BY_PROCESS: f"Why: {seen.reduced}."}
    old = {c.type: c for c in before.conditions}
    status = GatewayStatus(
        accounts=len(accounts),
        running=phases.count(Phase.RUNNING),
        paired=sum(account.status.paired for account in accounts),
        parked=phases.count(Phase.PARKED),
        failed=phases.count(Phase.FAILED),
        problems=tuple(seen.problems[:_PROBLEMS]),
        conditions=tuple(gateway_condition(f, old.get(f.value.type), now, more=why.get(f, "")) for f in findings),
    )
    return seen.turn.status(status)
