"""BridgeAccount: an owner's link to WhatsApp, as people and doors want it (spec) and as it is (status).

Read and written by the stores in `cluster/`, planned by `plan/`, shown by the doors.
"""

import hashlib
from base64 import b32encode
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field

from ponton_operator.resources.base import API_VERSION, Condition, Flag, K8s, Metadata, Name, Whole
from ponton_operator.resources.rules import Rule, shape

KIND: Final = "BridgeAccount"
FINALIZER: Final = "ponton.im/unlink"  # on a cluster: until the device is unlinked and all traces are gone
_HASH_CHARS: Final = 16  # of base32: 80 bits, so that 10,000 accounts meet by chance once in 10^16
MAX_OWNER: Final = 2047  # characters of a bare JID, RFC 6122 section 2.1
_MAX_COUNTER: Final = 2**53 - 1  # what every reader of JSON takes as it is written


def account_name(domain: str, owner: str) -> str:
    """Give the opaque resource name of an owner's account; `owner` is a prepared bare JID.

    >>> account_name("whatsapp.example.org", "alice@example.org")
    'acc-25ydacuye4en3swg'
    """
    digest = hashlib.sha256(f"ponton account\n{domain}\n{owner}".encode()).digest()
    return "acc-" + b32encode(digest).decode()[:_HASH_CHARS].lower()


class Desired(StrEnum):
    """What people want of an account. Parked: the owner may wake it. Stopped: only the host may."""

    RUNNING = "Running"
    PARKED = "Parked"
    STOPPED = "Stopped"


class Preferences(K8s):
    """What an owner lets contacts see. The doors change it and tell the shard; one that starts reads it here."""

    read_receipts: Flag = True
    """Contacts see what the owner has read."""
    typing: Flag = True
    """Contacts see that the owner is writing."""
    presence: Flag = True
    """Contacts see that the owner is online."""
    revision: Annotated[Whole, Field(ge=0, le=_MAX_COUNTER)] = 0
    """Counts the doors' changes, so that a shard knows which is the newest; nobody else needs to touch it."""


class GatewayRef(K8s):
    """The gateway that serves the account, in the same namespace."""

    name: Name
    """The gateway's name."""


# What a bare JID may hold at all (RFC 6122 appendix A.5 for the name, no control characters, nothing undecodable). That
# it is prepared as Prosody prepares it is more than a pattern can say: `ponton_bridge.model.jid` does it.
_PART: Final = "[^\"&'/:<>@\\x00-\\x20\\x7f\ufffd]+"
OWNER: Final = shape(f"^{_PART}@{_PART}$", "write the owner as name@server: the bare address of an XMPP account")


class AccountSpec(K8s):
    """Written by people and doors only."""

    owner: Annotated[
        str,
        Field(max_length=MAX_OWNER),
        OWNER,
        Rule("self == oldSelf", "the owner cannot be changed: delete the account and make one for the new owner"),
    ]
    """The bare JID of the XMPP user who links a WhatsApp account."""
    gateway_ref: Annotated[
        GatewayRef,
        Rule("self == oldSelf", "the gateway cannot be changed: delete the account and make one at the new gateway"),
    ]
    desired: Desired = Desired.RUNNING
    """What people want. Parked: the owner may wake it. Stopped: only the host may."""
    preferences: Preferences = Preferences()
    wake: Annotated[Whole, Field(ge=0, le=_MAX_COUNTER)] = 0
    """Counts the doors' requests to start again what was parked; another number than status.wake is not met yet."""


class ShardStatus(K8s):
    """The process of the account that was started last, known by its epoch."""

    epoch: Whole
    """The fencing token with which it runs."""
    revision: str = ""
    """The version and configuration that it runs."""
    purpose: Literal["Serve", "Unlink"] = "Serve"
    """Unlink: it was started to unlink the device only."""
    started: datetime
    """When it was started."""
    ended: datetime | None = None
    """When its end was seen."""
    exit_code: Whole | None = None
    """How it ended; negative for a signal."""


class RetryStatus(K8s):
    """Ends that nobody asked for, in a row, and when the next start may come.

    `since` and `revision`: when the first of the row came, and what that shard ran.
    """

    failures: Annotated[Whole, Field(ge=0)] = 0
    """Their number."""
    not_before: datetime | None = None
    """No start comes sooner."""
    since: datetime | None = None
    """When the first of the row came."""
    revision: str = ""
    """What the first of the row ran."""


class ParkingStatus(K8s):
    """Why the operator keeps the account without a process."""

    reason: str
    """After the table of states in docs/conditions.md."""
    since: datetime
    """Since when."""
    until: datetime | None = None
    """Until when, if it ends by itself."""
    revision: str = ""
    """The version and configuration that had ended; some reasons are cured by another."""


class DeletionStatus(K8s):
    """How far a deletion is."""

    step: str
    """The step that is being done; docs/conditions.md lists them."""
    since: datetime
    """Since when."""
    tries: Whole = 0
    """Attempts at this step."""
    not_before: datetime | None = None
    """No attempt comes sooner."""
    problems: tuple[str, ...] = ()
    """Sentences about what could not be done."""


class ScalingStatus(K8s):
    """What the scaler decided; the one part of the status that it writes, and nobody else."""

    tier: str = ""
    """The size of the shard, a name of spec.scaling.tiers of the gateway; empty: the first."""
    since: datetime | None = None
    """When the tier was chosen."""
    park: str = ""
    """Why the account should have no shard, empty: it may have one. It counts while parkWake is spec.wake."""
    park_wake: Whole = 0
    """The spec.wake for which it was decided."""
    recreate: Whole = 0
    """The epoch whose pod is made anew, now that it is quiet, since the cluster cannot resize it; 0: none."""


class AccountStatus(K8s):
    """Written by the accounts operator only, but for scaling."""

    observed_generation: Whole = 0
    """The generation of the resource that this status is about."""
    epoch: Whole = 0
    """The last fencing token that was issued; it only grows."""
    phase: str = "Pending"
    """Where the account is, in one word."""
    reason: str = ""
    """Why, in one word; docs/conditions.md explains each."""
    paired: Flag = False
    """Whether the device is linked."""
    wake: Whole = 0
    """The spec.wake that was met last."""
    store_epoch: Whole = 0
    """The last epoch whose shard surely had the store open: its successor refuses an older copy of the store."""
    wipe: Flag = False
    """The store is of no use any more: every start empties it, until a shard has surely opened a new one."""
    conditions: Annotated[
        tuple[Condition, ...],
        Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
    ] = ()
    """What holds of the account; docs/conditions.md lists types and reasons."""
    shard: ShardStatus | None = None
    retry: RetryStatus = RetryStatus()
    parking: ParkingStatus | None = None
    deletion: DeletionStatus | None = None
    scaling: ScalingStatus | None = None


class BridgeAccount(K8s):
    """One account."""

    api_version: Literal["ponton.im/v1alpha1"] = API_VERSION
    kind: Literal["BridgeAccount"] = KIND
    metadata: Metadata
    spec: AccountSpec
    status: AccountStatus = AccountStatus()
