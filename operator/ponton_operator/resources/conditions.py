"""The conditions of a BridgeAccount and the control plane's own reasons, as tables; docs/conditions.md is made of them.

Reasons of a link are in `ponton_bridge.model.states`; here are those that only the control plane can know. Types and
reasons are API: they are added, never renamed. Called by `plan.describe` and the docs generator.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ponton_bridge.model.states import TABLE, Phase, Reason


class Type(StrEnum):
    """Types of conditions of an account."""

    READY = "Ready"
    POD_SCHEDULED = "PodScheduled"
    XMPP_CONNECTED = "XMPPConnected"
    PAIRED = "Paired"
    WHATSAPP_CONNECTED = "WhatsAppConnected"
    PHONE_SEEN = "PhoneSeen"
    UP_TO_DATE = "UpToDate"
    BANNED = "Banned"
    FENCED = "Fenced"
    PAUSED = "Paused"
    DUPLICATE = "Duplicate"
    STALE_STORE = "StaleStore"
    WAITING_FOR_NODE = "WaitingForNode"


# What each says when it is True. Those of ABNORMAL are listed only while they are.
MEANING: Final[dict[Type, str]] = {
    Type.READY: "Messages pass: the stream to Prosody is open and WhatsApp is connected.",
    Type.POD_SCHEDULED: "A process (on a cluster: a pod) of the account runs.",
    Type.XMPP_CONNECTED: "The shard's stream to Prosody is open.",
    Type.PAIRED: "A phone has accepted the shard as a linked device.",
    Type.WHATSAPP_CONNECTED: "The shard is connected to WhatsApp.",
    Type.PHONE_SEEN: "The phone was seen lately. WhatsApp ends a link whose phone stays away for about 14 days.",
    Type.UP_TO_DATE: "The shard runs the version and configuration that a new one would run.",
    Type.BANNED: "WhatsApp has suspended the number for a time.",
    Type.FENCED: "A process with a newer epoch serves this owner; this one has stopped for good.",
    Type.PAUSED: 'The annotation ponton.im/paused: "true" keeps the operator\'s hands off the account.',
    Type.DUPLICATE: "An older resource links the same owner on the same gateway; this one gets no process.",
    Type.STALE_STORE: "The stored keys are older than the link itself, so they are not used.",
    Type.WAITING_FOR_NODE: "The node of the shard does not answer, and nobody knows yet that the shard has ended.",
}
ABNORMAL: Final = frozenset({
    Type.BANNED,
    Type.FENCED,
    Type.PAUSED,
    Type.DUPLICATE,
    Type.STALE_STORE,
    Type.WAITING_FOR_NODE,
})  # fmt: skip


class Own(StrEnum):
    """Reasons that only the control plane knows."""

    WAITING_FOR_TURN = "WaitingForTurn"
    DUPLICATE = "Duplicate"
    WAITING_FOR_NODE = "WaitingForNode"
    RECONCILE_DISABLED = "ReconcileDisabled"
    DELETING = "Deleting"
    RUNS = "ProcessRuns"
    NO_PROCESS = "NoProcess"
    STREAM_OPEN = "StreamOpen"
    STREAM_CLOSED = "StreamClosed"
    PAIRED = "Paired"
    NOT_PAIRED = "NotPaired"
    PHONE_SEEN = "PhoneSeen"
    NOT_KNOWN = "NotKnown"
    CURRENT = "Current"
    ROLLOUT_PENDING = "RolloutPending"
    # Why a shard cannot be started.
    GATEWAY_MISSING = "GatewayMissing"
    GATEWAY_NOT_READY = "GatewayNotReady"
    # Why the pod of a shard does not get on.
    UNSCHEDULABLE = "Unschedulable"
    VOLUME_PENDING = "VolumePending"
    IMAGE_UNAVAILABLE = "ImageUnavailable"
    CONTAINER_REFUSED = "ContainerRefused"
    QUOTA_FULL = "QuotaFull"
    POD_REFUSED = "PodRefused"
    EVICTED = "Evicted"
    CRASH_LOOP = "CrashLoop"
    OUT_OF_MEMORY = "OutOfMemory"
    NODE_LOST = "NodeLost"
    # Why the scaler keeps an account without a shard.
    NEVER_PAIRED = "NeverPaired"
    UNREACHABLE_TOO_LONG = "UnreachableTooLong"
    CRASHING_TOO_LONG = "CrashingTooLong"


@dataclass(frozen=True, slots=True)
class OwnRow:
    """One reason: a sentence, and the phase of the account if this is the account's reason."""

    sentence: str
    phase: Phase | None = None


OWN: Final[dict[Own, OwnRow]] = {
    Own.WAITING_FOR_TURN: OwnRow("The account waits for its turn: only so many start in a second.", Phase.PENDING),
    Own.DUPLICATE: OwnRow("Another, older account links this owner; delete one of the two.", Phase.STOPPED),
    Own.WAITING_FOR_NODE: OwnRow(
        "The node of the shard is lost; a new one starts when the host says that the old one has ended.",
        Phase.DEGRADED,
    ),
    Own.RECONCILE_DISABLED: OwnRow("The host keeps the operator's hands off this account by an annotation."),
    Own.DELETING: OwnRow("The account is being deleted.", Phase.DELETING),
    Own.RUNS: OwnRow("The process runs."),
    Own.NO_PROCESS: OwnRow("There is no process."),
    Own.STREAM_OPEN: OwnRow("The stream to Prosody is open."),
    Own.STREAM_CLOSED: OwnRow("The stream to Prosody is not open."),
    Own.PAIRED: OwnRow("The device is linked."),
    Own.NOT_PAIRED: OwnRow("The device is not linked."),
    Own.PHONE_SEEN: OwnRow("The phone was seen lately."),
    Own.NOT_KNOWN: OwnRow("Nothing is known about this while the shard is not linked or has said nothing yet."),
    Own.CURRENT: OwnRow("The shard runs what a new one would run."),
    Own.ROLLOUT_PENDING: OwnRow("The shard runs an older version or configuration; it is restarted in its turn."),
    Own.GATEWAY_MISSING: OwnRow("There is no BridgeGateway of the name that the account refers to.", Phase.PENDING),
    Own.GATEWAY_NOT_READY: OwnRow(
        "A secret that the gateway names cannot be read; the gateway's conditions say which.", Phase.PENDING
    ),
    Own.UNSCHEDULABLE: OwnRow("No node has room for the pod, or none is as the pod wants it.", Phase.PENDING),
    Own.VOLUME_PENDING: OwnRow("The pod waits for the volume of its store; look at the claim.", Phase.PENDING),
    Own.IMAGE_UNAVAILABLE: OwnRow("The image of the shard cannot be pulled.", Phase.FAILED),
    Own.CONTAINER_REFUSED: OwnRow("The node could not make the container; the pod's events say why.", Phase.FAILED),
    Own.QUOTA_FULL: OwnRow("A quota of the namespace is used up; the pod is made when there is room.", Phase.PENDING),
    Own.POD_REFUSED: OwnRow(
        "The cluster does not take such a pod: look at the gateway's template and the namespace's policies.",
        Phase.FAILED,
    ),
    Own.EVICTED: OwnRow("The node put the pod out to save itself; another one is started."),
    Own.CRASH_LOOP: OwnRow("The container ends again and again; it is started anew with growing pauses."),
    Own.OUT_OF_MEMORY: OwnRow("The container used more memory than its tier allows, and was killed.", Phase.DEGRADED),
    Own.NODE_LOST: OwnRow("The pod's node does not answer, and nobody knows yet that the shard has ended."),
    Own.NEVER_PAIRED: OwnRow("Nobody linked a phone in time; ask for a new code to go on.", Phase.PARKED),
    Own.UNREACHABLE_TOO_LONG: OwnRow(
        "WhatsApp could not be reached for very long; wake it to try again.", Phase.PARKED
    ),
    Own.CRASHING_TOO_LONG: OwnRow("The shard crashed for very long; wake it to try again.", Phase.PARKED),
}
# Every reason that an account may have.
KNOWN: Final = frozenset(map(str, OWN)) | frozenset(map(str, TABLE))


def phase_of(reason: str) -> Phase:
    """Give the phase of an account with this reason; an unknown one counts as failed."""
    if reason in OWN:
        return OWN[Own(reason)].phase or Phase.FAILED
    return TABLE[Reason(reason)].phase if reason in TABLE else Phase.FAILED


def sentence_of(reason: str) -> str:
    """Give the sentence for a reason, '' for an unknown one."""
    if reason in OWN:
        return OWN[Own(reason)].sentence
    return TABLE[Reason(reason)].sentence if reason in TABLE else ""
