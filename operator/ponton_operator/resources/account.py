"""BridgeAccount: an owner's link to WhatsApp, as people and doors want it (spec) and as it is (status).

Read and written by the stores in `cluster/`, planned by `plan/`, shown by the doors.
"""

import hashlib
from base64 import b32encode
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field

from ponton_operator.resources.base import API_VERSION, Condition, K8s, Metadata, Name

KIND: Final = "BridgeAccount"
FINALIZER: Final = "ponton.im/unlink"  # on a cluster: until the device is unlinked and all traces are gone
_HASH_CHARS: Final = 16  # of base32: 80 bits, so that 10,000 accounts meet by chance once in 10^16


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
    """What an owner chose for the conversations; there is nothing to choose yet, features bring their fields here."""


class GatewayRef(K8s):
    """The gateway that serves the account, in the same namespace."""

    name: Name


_IMMUTABLE = {"x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "the owner cannot be changed"}]}


class AccountSpec(K8s):
    """Written by people and doors only."""

    owner: Annotated[
        str,
        Field(min_length=3, max_length=2047, pattern=r"^[^@/]+@[^@/]+$", json_schema_extra=_IMMUTABLE),
    ]
    gateway_ref: GatewayRef
    desired: Desired = Desired.RUNNING
    preferences: Preferences = Preferences()
    # Counts a door's requests to start again what was parked; a number other than status.wake has not been met yet.
    wake: Annotated[int, Field(ge=0)] = 0


class ShardStatus(K8s):
    """The process of the account that was started last, known by its epoch; `ended` once its end was seen."""

    epoch: int
    revision: str = ""
    purpose: Literal["Serve", "Unlink"] = "Serve"
    started: datetime
    ended: datetime | None = None
    exit_code: int | None = None


class RetryStatus(K8s):
    """Ends that nobody asked for, in a row, and when the next start may come.

    `since` and `revision`: when the first of the row came, and what that shard ran.
    """

    failures: Annotated[int, Field(ge=0)] = 0
    not_before: datetime | None = None
    since: datetime | None = None
    revision: str = ""


class ParkingStatus(K8s):
    """Why the operator keeps the account without a process; `reason` after the bridge's table of states."""

    reason: str
    since: datetime
    until: datetime | None = None
    revision: str = ""


class DeletionStatus(K8s):
    """How far a deletion is; `problems` are sentences about what could not be done."""

    step: str
    since: datetime
    tries: int = 0
    not_before: datetime | None = None
    problems: tuple[str, ...] = ()


class ScalingStatus(K8s):
    """What the scaler decided; the one part of the status that it writes, and nobody else.

    `tier`: the name of the shard's size, '' = the first, chosen at `since`. `park`: why the account should have no
    shard, '' = it may have one; it counts only while `park_wake` is still spec.wake. `recreate`: the epoch whose pod
    has to be made anew, now that it is quiet, because the cluster cannot resize it; 0 = none.
    """

    tier: str = ""
    since: datetime | None = None
    park: str = ""
    park_wake: int = 0
    recreate: int = 0


class AccountStatus(K8s):
    """Written by the accounts operator only, but for `scaling`."""

    observed_generation: int = 0
    epoch: int = 0
    phase: str = "Pending"
    reason: str = ""
    paired: bool = False
    wake: int = 0  # the spec.wake that was met last
    # The last epoch whose shard surely had the store open: an older copy of the store is refused by its successor.
    store_epoch: int = 0
    # The store is of no use any more: every start empties it, until a shard has surely opened a new one.
    wipe: bool = False
    conditions: Annotated[
        tuple[Condition, ...],
        Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
    ] = ()
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
