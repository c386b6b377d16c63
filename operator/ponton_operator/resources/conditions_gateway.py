"""The conditions of a BridgeGateway and what is found about it, as tables; docs/conditions.md is made of them.

Types and reasons are API: they are added, never renamed. Called by the plan of a gateway, the local summary, the scaler
and the docs generator.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Final

from ponton_operator.resources.base import Condition, Truth, moment


class GatewayType(StrEnum):
    """Types of conditions of a gateway."""

    READY = "Ready"
    ACCEPTED = "Accepted"
    REDIS_REACHABLE = "RedisReachable"
    PROSODY_REACHABLE = "ProsodyReachable"
    FRONT_DESK_RUNNING = "FrontDeskRunning"
    PORTAL_RUNNING = "PortalRunning"
    PROGRESSING = "Progressing"
    ISOLATED = "Isolated"
    REDIS_WITHOUT_USERS = "RedisWithoutUsers"
    NETWORK_OPEN = "NetworkOpen"
    ACCOUNTS_FULL = "AccountsFull"
    PAUSED = "Paused"
    ROLLOUT_STOPPED = "RolloutStopped"
    RECONNECT_STORM = "ReconnectStorm"
    BAN_WAVE = "BanWave"
    RIGHTS_MISSING = "RightsMissing"


# What each says when it is True. Those of GATEWAY_ABNORMAL are listed only while they are.
GATEWAY_MEANING: Final[dict[GatewayType, str]] = {
    GatewayType.READY: "The gateway serves: owners get answers, and their shards can run.",
    GatewayType.ACCEPTED: "The gateway, and all that it refers to, can be used as it is written.",
    GatewayType.REDIS_REACHABLE: "Redis answers, and takes users for the shards.",
    GatewayType.PROSODY_REACHABLE: "The HTTP view of Prosody's module answers, and takes the token.",
    GatewayType.FRONT_DESK_RUNNING: "The front desk answers for everyone who has no shard.",
    GatewayType.PORTAL_RUNNING: "The self-service pages are served.",
    GatewayType.PROGRESSING: "A changed template is on its way to the shards.",
    GatewayType.ISOLATED: "On one machine: each account's processes run as a user of their own.",
    GatewayType.REDIS_WITHOUT_USERS: "This Redis has no users (ACL), so that shards have to do without Redis.",
    GatewayType.NETWORK_OPEN: "Pods of the gateway may reach more than they need: see the reason.",
    GatewayType.ACCOUNTS_FULL: "There are as many accounts as spec.accounts.max allows.",
    GatewayType.PAUSED: 'The annotation ponton.im/paused: "true" keeps the operators\' hands off the gateway.',
    GatewayType.ROLLOUT_STOPPED: "The rollout has stopped by itself; the reason says what lets it go on.",
    GatewayType.RECONNECT_STORM: "Many shards have to log in at WhatsApp again at the same time.",
    GatewayType.BAN_WAVE: "WhatsApp has suspended several numbers of this gateway within a short time.",
    GatewayType.RIGHTS_MISSING: "An operator may not see what it has to in the gateway's namespace.",
}
GATEWAY_ABNORMAL: Final = frozenset({
    GatewayType.REDIS_WITHOUT_USERS,
    GatewayType.NETWORK_OPEN,
    GatewayType.ACCOUNTS_FULL,
    GatewayType.PAUSED,
    GatewayType.ROLLOUT_STOPPED,
    GatewayType.RECONNECT_STORM,
    GatewayType.BAN_WAVE,
    GatewayType.RIGHTS_MISSING,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One finding: the condition that it makes, and its sentence for the host. A reason is unique within its type."""

    type: GatewayType
    truth: Truth
    reason: str
    sentence: str


class Finding(Enum):
    """What may be found about a gateway. Of each normal condition one is always true, an abnormal one may have none."""

    SERVES = Row(GatewayType.READY, Truth.TRUE, "Serves", "The gateway serves.")
    STARTING = Row(GatewayType.READY, Truth.FALSE, "Starting", "The parts of the gateway are starting.")
    NOT_ACCEPTED = Row(
        GatewayType.READY, Truth.FALSE, "NotAccepted", "Something needs the host first; see the condition Accepted."
    )
    PARTS_AWAY = Row(
        GatewayType.READY, Truth.FALSE, "PartsAway", "A part that the gateway needs is away; see the other conditions."
    )
    DELETING = Row(GatewayType.READY, Truth.FALSE, "Deleting", "The gateway is being deleted.")

    ACCEPTED = Row(GatewayType.ACCEPTED, Truth.TRUE, "Accepted", "All resources are taken as they are written.")
    PROBLEMS = Row(GatewayType.ACCEPTED, Truth.FALSE, "Problems", "Something needs the host; see problems.")
    SECRET_MISSING = Row(
        GatewayType.ACCEPTED,
        Truth.FALSE,
        "SecretMissing",
        "A Secret to which the gateway refers, or the key in it, is not there, or is empty.",
    )
    DOMAIN_TAKEN = Row(
        GatewayType.ACCEPTED,
        Truth.FALSE,
        "DomainTaken",
        "An older gateway serves this domain; this one gets nothing. Delete one of the two.",
    )
    IMAGE_MISSING = Row(
        GatewayType.ACCEPTED,
        Truth.FALSE,
        "ImageMissing",
        "No image for the shards is known: name one in spec.shard.image.",
    )

    REDIS_ANSWERS = Row(
        GatewayType.REDIS_REACHABLE,
        Truth.TRUE,
        "Reachable",
        "Redis answers, and every shard has a user of its own there.",
    )
    REDIS_AWAY = Row(
        GatewayType.REDIS_REACHABLE,
        Truth.FALSE,
        "Unreachable",
        "Redis does not answer, or does not let us make users: shards go on, doors cannot reach them.",
    )
    REDIS_NOT_ASKED = Row(GatewayType.REDIS_REACHABLE, Truth.UNKNOWN, "NotKnown", "Redis was not asked yet.")

    PROSODY_ANSWERS = Row(
        GatewayType.PROSODY_REACHABLE, Truth.TRUE, "Reachable", "Prosody's module answers, and takes what it is told."
    )
    PROSODY_AWAY = Row(
        GatewayType.PROSODY_REACHABLE,
        Truth.FALSE,
        "Unreachable",
        "Prosody's module does not answer under spec.prosody.url; it is asked again and again.",
    )
    PROSODY_REFUSES = Row(
        GatewayType.PROSODY_REACHABLE,
        Truth.FALSE,
        "Refused",
        "Prosody's module refuses us: compare the token, and the domain, with its configuration.",
    )
    PROSODY_NOT_ASKED = Row(GatewayType.PROSODY_REACHABLE, Truth.UNKNOWN, "NotKnown", "Prosody was not asked yet.")

    FRONT_DESK_RUNS = Row(GatewayType.FRONT_DESK_RUNNING, Truth.TRUE, "Running", "The front desk runs.")
    FRONT_DESK_AWAY = Row(
        GatewayType.FRONT_DESK_RUNNING,
        Truth.FALSE,
        "NotRunning",
        "The front desk does not run: owners without a shard get no answer.",
    )
    FRONT_DESK_OFF = Row(
        GatewayType.FRONT_DESK_RUNNING, Truth.FALSE, "SwitchedOff", "The host has switched the front desk off."
    )

    PORTAL_RUNS = Row(GatewayType.PORTAL_RUNNING, Truth.TRUE, "Running", "The portal runs.")
    PORTAL_AWAY = Row(
        GatewayType.PORTAL_RUNNING, Truth.FALSE, "NotRunning", "The portal does not run; the front desk still answers."
    )
    PORTAL_OFF = Row(
        GatewayType.PORTAL_RUNNING, Truth.FALSE, "SwitchedOff", "The host has switched the portal off, or has none."
    )

    ROLLED_OUT = Row(GatewayType.PROGRESSING, Truth.FALSE, "Done", "All shards run what a new one would run.")
    ROLLING_OUT = Row(
        GatewayType.PROGRESSING, Truth.TRUE, "RollingOut", "Shards are restarted with the new template, wave by wave."
    )
    WATCHING_WAVE = Row(
        GatewayType.PROGRESSING, Truth.TRUE, "WatchingWave", "A wave is over; the next comes when no trouble shows."
    )
    ROLLOUT_PAUSED = Row(
        GatewayType.PROGRESSING, Truth.FALSE, "RolloutPaused", "The host holds the rollout back (spec.rollout.paused)."
    )
    ROLLOUT_HALTED = Row(
        GatewayType.PROGRESSING, Truth.FALSE, "RolloutStopped", "The rollout has stopped by itself; see RolloutStopped."
    )

    BY_USER = Row(GatewayType.ISOLATED, Truth.TRUE, "ByUser", "Every account's processes run as a user of their own.")
    BY_PROCESS = Row(
        GatewayType.ISOLATED, Truth.FALSE, "ByProcess", "Accounts are separate processes of one user, no more."
    )

    REDIS_HAS_NO_ACL = Row(
        GatewayType.REDIS_WITHOUT_USERS,
        Truth.TRUE,
        "NoAcl",
        "Redis knows no ACL command: shards get no user there and do without, and doors cannot reach them.",
    )
    REDIS_FORGETS_USERS = Row(
        GatewayType.REDIS_WITHOUT_USERS,
        Truth.TRUE,
        "Forgets",
        "Redis has lost the users of the shards and keeps them in no file (aclfile); they are made again.",
    )
    POLICIES_OFF = Row(
        GatewayType.NETWORK_OPEN,
        Truth.TRUE,
        "PoliciesOff",
        "spec.network.policies is false: what pods may reach is limited by the host's own policies, or not at all.",
    )
    POLICIES_WIDE = Row(
        GatewayType.NETWORK_OPEN,
        Truth.TRUE,
        "AddressesNotKnown",
        "A server is known by its name only, so its port is open at any address; say where it is in spec.network.",
    )
    AT_MAXIMUM = Row(
        GatewayType.ACCOUNTS_FULL,
        Truth.TRUE,
        "AtMaximum",
        "No further account is taken: spec.accounts.max is reached.",
    )
    PAUSED_BY_HOST = Row(
        GatewayType.PAUSED, Truth.TRUE, "PausedByHost", "The host keeps the operators' hands off by an annotation."
    )
    PAIRINGS_LOST = Row(
        GatewayType.ROLLOUT_STOPPED,
        Truth.TRUE,
        "PairingsLost",
        "More of the restarted accounts have lost their link, or crash, than spec.rollout.maxPairingsLost allows "
        "(status.pairingsLost): it goes on with another template, or when that many are allowed.",
    )
    SHARDS_NOT_READY = Row(
        GatewayType.ROLLOUT_STOPPED,
        Truth.TRUE,
        "ShardsNotReady",
        "Restarted shards are not linked again in time; it goes on when they are, or with another template.",
    )
    LOGINS_HELD_BACK = Row(
        GatewayType.RECONNECT_STORM,
        Truth.TRUE,
        "LoginsHeldBack",
        "Rollouts wait, and logins go through at spec.scaling.loginsPerSecond, so that it gets no worse.",
    )
    STARTS_HELD_BACK = Row(
        GatewayType.BAN_WAVE,
        Truth.TRUE,
        "StartsHeldBack",
        "New links and rollouts wait until the wave is over; what is linked goes on, and may start again.",
    )
    ACCOUNTS_LEFT_OUT = Row(
        GatewayType.RIGHTS_MISSING,
        Truth.TRUE,
        "AccountsLeftOut",
        "The accounts operator may not see accounts or pods in this namespace: what runs goes on, but nothing is "
        "started, ended or deleted. Give it its Role here; it asks every minute.",
    )


# What the host has to know of at once; the rest is on its way, or was meant so.
NOTABLE: Final = frozenset({
    Finding.PROBLEMS,
    Finding.SECRET_MISSING,
    Finding.DOMAIN_TAKEN,
    Finding.IMAGE_MISSING,
    Finding.REDIS_AWAY,
    Finding.REDIS_HAS_NO_ACL,
    Finding.REDIS_FORGETS_USERS,
    Finding.PROSODY_AWAY,
    Finding.PROSODY_REFUSES,
    Finding.PAIRINGS_LOST,
    Finding.SHARDS_NOT_READY,
    Finding.LOGINS_HELD_BACK,
    Finding.STARTS_HELD_BACK,
    Finding.ACCOUNTS_LEFT_OUT,
})  # fmt: skip
_NOTABLE: Final = frozenset((finding.value.type, finding.value.reason) for finding in NOTABLE)


def notable(conditions: Iterable[Condition]) -> dict[str, str]:
    """Give what the host has to know of: type and reason in one word, with the sentence.

    >>> notable([gateway_condition(Finding.REDIS_AWAY, None, 0.0)]).keys()
    dict_keys(['RedisReachableUnreachable'])
    """
    return {f"{c.type}{c.reason}": c.message for c in conditions if (c.type, c.reason) in _NOTABLE}


def gateway_condition(
    finding: Finding, before: Condition | None, now: float, *, more: str = "", generation: int = 0
) -> Condition:
    """Make the condition that a finding says; one that did not turn keeps its time.

    `before` is the condition of the same type as it was, `now` seconds since 1970, `more` a sentence to be added.
    """
    row = finding.value
    since = before.last_transition_time if before and before.status == row.truth else moment(now)
    return Condition(
        type=row.type,
        status=row.truth,
        reason=row.reason,
        message=f"{row.sentence} {more}".rstrip(),
        last_transition_time=since,
        observed_generation=generation,
    )


def put_findings(
    before: Sequence[Condition],
    findings: Iterable[Finding],
    own: Collection[GatewayType],
    now: float,
    generation: int,
    more: Mapping[Finding, str] = MappingProxyType({}),
) -> tuple[Condition, ...]:
    """Put one writer's findings among the conditions of all: those of others, and the order, stay as they are.

    `own` are the types that this writer has; those of which nothing is found any more go. `more` adds to sentences.
    """
    old = {condition.type: condition for condition in before}
    fresh = {
        f.value.type: gateway_condition(
            f, old.get(f.value.type), now, more=more.get(f, ""), generation=generation
        )
        for f in findings
    }  # fmt: skip
    kept = [
        fresh[GatewayType(c.type)] if c.type in fresh else c for c in before if c.type in fresh or c.type not in own
    ]
    return (*kept, *(condition for kind, condition in fresh.items() if kind not in old))
