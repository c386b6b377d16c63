"""Counts and conditions of a gateway on a cluster, from what was found. Pure; called by `plan.gateway`.

Several programs write conditions of a gateway, each its own types.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ponton_operator.plan.tally import Counts
from ponton_operator.resources.conditions_gateway import Finding, GatewayType, put_findings
from ponton_operator.resources.gateway import BridgeGateway, GatewayStatus

MAX_PROBLEMS: Final = 50  # sentences; the first of many tell what is wrong
OWN: Final = frozenset({
    GatewayType.READY,
    GatewayType.ACCEPTED,
    GatewayType.REDIS_REACHABLE,
    GatewayType.PROSODY_REACHABLE,
    GatewayType.FRONT_DESK_RUNNING,
    GatewayType.PORTAL_RUNNING,
    GatewayType.REDIS_WITHOUT_USERS,
    GatewayType.NETWORK_OPEN,
    GatewayType.ACCOUNTS_FULL,
    GatewayType.PAUSED,
})  # fmt: skip


class Part(StrEnum):
    """How a server of the gateway was found when it was asked last."""

    UNKNOWN = "unknown"
    ANSWERS = "answers"
    AWAY = "away"
    REFUSES = "refuses"  # Prosody: the token or the domain is wrong; Redis: it makes no users


REDIS: Final = {
    Part.UNKNOWN: Finding.REDIS_NOT_ASKED,
    Part.ANSWERS: Finding.REDIS_ANSWERS,
    Part.AWAY: Finding.REDIS_AWAY,
    Part.REFUSES: Finding.REDIS_AWAY,
}
PROSODY: Final = {
    Part.UNKNOWN: Finding.PROSODY_NOT_ASKED,
    Part.ANSWERS: Finding.PROSODY_ANSWERS,
    Part.AWAY: Finding.PROSODY_AWAY,
    Part.REFUSES: Finding.PROSODY_REFUSES,
}

PORTAL: Final = {True: Finding.PORTAL_RUNS, False: Finding.PORTAL_AWAY}


@dataclass(frozen=True, slots=True)
class Found:
    """What a status is made of; `desk` = the front desk serves, `desk_made` = it was there when we looked.

    `portal` = the portal serves.
    """

    problems: tuple[str, ...]
    missing: bool
    twin: bool
    shard_image: bool
    redis: Part
    redis_forgets: bool
    prosody: Part
    desk: bool
    desk_made: bool
    portal: bool
    wide: tuple[str, ...]
    counts: Counts
    paused: bool


Said = tuple[Finding, str]  # a finding, and a sentence to be added to its own


def describe(gateway: BridgeGateway, found: Found, now: float) -> GatewayStatus:
    """Give the status as it should be; what others write into it stays."""
    said = dict(_said(gateway, found))
    generation, before = gateway.metadata.generation, gateway.status.conditions
    return gateway.status.model_copy(
        update={
            "observed_generation": generation,
            "accounts": found.counts.accounts,
            "running": found.counts.running,
            "paired": found.counts.paired,
            "parked": found.counts.parked,
            "failed": found.counts.failed,
            "problems": found.problems[:MAX_PROBLEMS],
            "conditions": put_findings(before, said, OWN, now, generation, said),
        }
    )


def _said(gateway: BridgeGateway, found: Found) -> Iterator[Said]:
    accepted = _accepted(found)
    on = gateway.spec.selfservice.front_desk
    desk = Finding.FRONT_DESK_OFF if not on else Finding.FRONT_DESK_RUNS if found.desk else Finding.FRONT_DESK_AWAY
    yield _ready(gateway, found, accepted, desk), ""
    yield accepted, found.problems[0] if found.problems and accepted is Finding.SECRET_MISSING else ""
    yield REDIS[found.redis], ""
    yield PROSODY[found.prosody], ""
    yield desk, ""
    pages = Finding.PORTAL_OFF if gateway.spec.selfservice.portal is None else PORTAL[found.portal]
    yield pages, ""
    if found.redis is Part.REFUSES:
        yield Finding.REDIS_HAS_NO_ACL, ""
    elif found.redis_forgets:
        yield Finding.REDIS_FORGETS_USERS, ""
    if not gateway.spec.network.policies:
        yield Finding.POLICIES_OFF, ""
    elif found.wide:
        yield Finding.POLICIES_WIDE, f"Not said: {', '.join(f'spec.network.{name}' for name in found.wide)}."
    if gateway.spec.accounts.max and found.counts.accounts >= gateway.spec.accounts.max:
        yield Finding.AT_MAXIMUM, ""
    if found.paused:
        yield Finding.PAUSED_BY_HOST, ""


def _accepted(found: Found) -> Finding:
    if found.twin:
        return Finding.DOMAIN_TAKEN
    if found.missing:
        return Finding.SECRET_MISSING
    if not found.shard_image:
        return Finding.IMAGE_MISSING
    return Finding.PROBLEMS if found.problems else Finding.ACCEPTED


def _ready(gateway: BridgeGateway, found: Found, accepted: Finding, desk: Finding) -> Finding:
    """Sum up. A Redis without users counts as there: the host was told what that means by its own condition."""
    if gateway.metadata.deletion_timestamp is not None:
        return Finding.DELETING
    if accepted is not Finding.ACCEPTED:
        return Finding.NOT_ACCEPTED
    waiting = Part.UNKNOWN in {found.redis, found.prosody} or (desk is Finding.FRONT_DESK_AWAY and not found.desk_made)
    if waiting:
        return Finding.STARTING
    away = found.redis is Part.AWAY or found.prosody is not Part.ANSWERS or desk is Finding.FRONT_DESK_AWAY
    return Finding.PARTS_AWAY if away else Finding.SERVES
