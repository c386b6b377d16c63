"""Which accounts the scaler parks: those that keep a shard but have had no use for it for a long time.

What ends by itself (codes used up, logged out, banned) is parked by the accounts operator at once (`plan.ends`); this
is for shards that stay: nobody comes online to scan, WhatsApp is out of reach, every start crashes. `parking_wish` is
asked by the scaler, `parked_by_scaler` by the plan of the account, which carries it out. Waking is the same for all: a
door counts `spec.wake` up.
"""

from enum import StrEnum
from typing import Final

from ponton_bridge.model.states import Reason
from ponton_operator.resources.account import AccountStatus, BridgeAccount, Desired, ParkingStatus
from ponton_operator.resources.base import is_paused, moment
from ponton_operator.resources.conditions import Type
from ponton_operator.resources.running import Parking

MINUTE: Final = 60.0  # seconds
HOUR: Final = 3600.0


class Park(StrEnum):
    """Why the scaler wants an account parked; the values stand in `status.scaling.park`."""

    NEVER_PAIRED = "NeverPaired"
    UNREACHABLE = "Unreachable"
    CRASHING = "Crashing"


# What the owner is told: a link that was never made needs a code, one that is there only a start.
TOLD: Final[dict[str, Reason]] = {Park.NEVER_PAIRED: Reason.CODES_USED_UP}


def parking_wish(account: BridgeAccount, parking: Parking, now: float) -> str:
    """Say why this account should be parked, '' when it should not; `now` in seconds since 1970."""
    status, shard = account.status, account.status.shard
    if status.parking is not None or account.spec.desired is not Desired.RUNNING or shard is None:
        return ""
    if account.metadata.deletion_timestamp is not None or is_paused(account.metadata):
        return ""
    runs = shard.ended is None
    started = shard.started.timestamp()
    if not status.paired and runs and _over(parking.never_paired_minutes * MINUTE, started, now):
        return "" if status.reason == Reason.WAITING_FOR_SCAN else Park.NEVER_PAIRED
    lost = max(started, _turned(status, Type.WHATSAPP_CONNECTED))
    if status.reason == Reason.UNREACHABLE and runs and _over(parking.unreachable_hours * HOUR, lost, now):
        return Park.UNREACHABLE
    since = status.retry.since.timestamp() if status.retry.since else now
    if status.reason == Reason.CRASHING and _over(parking.crashing_hours * HOUR, since, now):
        return Park.CRASHING
    return ""


def holds(account: BridgeAccount) -> bool:
    """Whether the scaler's wish still counts: a wake, or people's own wish for another state, ends it."""
    scaling = account.status.scaling
    if scaling is None or not scaling.park or account.spec.desired is not Desired.RUNNING:
        return False
    return scaling.park_wake == account.spec.wake and not (scaling.park == Park.NEVER_PAIRED and account.status.paired)


def parked_by_scaler(account: BridgeAccount, status: AccountStatus, now: float) -> AccountStatus:
    """Park an account as the scaler wishes; from then on it is as parked as any other."""
    scaling = status.scaling
    if scaling is None or status.parking is not None or account.metadata.deletion_timestamp is not None:
        return status
    if not holds(account.model_copy(update={"status": status})):
        return status
    told = TOLD.get(scaling.park, Reason.PARKED)
    revision = status.shard.revision if status.shard else ""
    return status.model_copy(update={"parking": ParkingStatus(reason=told, since=moment(now), revision=revision)})


def _over(span: float, since: float, now: float) -> bool:
    """Whether a span (0 = never) has passed."""
    return 0 < span <= now - since


def _turned(status: AccountStatus, kind: Type) -> float:
    """Give when a condition turned last, 0 when it is not listed."""
    return next((c.last_transition_time.timestamp() for c in status.conditions if c.type == kind), 0.0)
