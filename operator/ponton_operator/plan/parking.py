"""Which accounts the scaler parks: those that keep a shard but have had no use for it for a long time.

What ends by itself (codes used up, logged out, banned) is parked by the accounts operator at once (`plan.ends`); this
is for shards that stay: nobody comes online to scan, WhatsApp is out of reach, every start crashes. `parking_wish` is
asked by the scaler; `kept_by_scaler` by the plan of the account, which carries it out, and by the doors. Waking is the
same for all: a door counts `spec.wake` up.
"""

from typing import Final

from ponton_bridge.model.states import Reason
from ponton_operator.plan.ends import LINKING
from ponton_operator.resources.account import AccountStatus, BridgeAccount, Desired
from ponton_operator.resources.base import is_paused
from ponton_operator.resources.conditions import Own, Type
from ponton_operator.resources.running import Parking

MINUTE: Final = 60.0  # seconds
HOUR: Final = 3600.0
# What owners are told: a link that was never made needs a code, one that is there only a start.
TOLD: Final[dict[str, Reason]] = {
    Own.NEVER_PAIRED: Reason.CODES_USED_UP,
    Own.UNREACHABLE_TOO_LONG: Reason.PARKED,
    Own.CRASHING_TOO_LONG: Reason.PARKED,
}


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
        return "" if status.reason in LINKING else Own.NEVER_PAIRED
    if status.reason == Reason.UNREACHABLE and runs:
        lost = max(started, _turned(status, Type.WHATSAPP_CONNECTED))
        return Own.UNREACHABLE_TOO_LONG if _over(parking.unreachable_hours * HOUR, lost, now) else ""
    if status.reason != Reason.CRASHING:
        return ""
    since = status.retry.since.timestamp() if status.retry.since else now
    return Own.CRASHING_TOO_LONG if _over(parking.crashing_hours * HOUR, since, now) else ""


def kept_by_scaler(account: BridgeAccount, status: AccountStatus) -> bool:
    """Whether the scaler's wish counts: a wake, a link, or people's own wish for another state, ends it."""
    scaling = status.scaling
    if scaling is None or not scaling.park or account.spec.desired is not Desired.RUNNING:
        return False
    return scaling.park_wake == account.spec.wake and not (scaling.park == Own.NEVER_PAIRED and status.paired)


def _over(span: float, since: float, now: float) -> bool:
    """Whether a span (0 = never) has passed."""
    return 0 < span <= now - since


def _turned(status: AccountStatus, kind: Type) -> float:
    """Give when a condition turned last, 0 when it is not listed."""
    return next((c.last_transition_time.timestamp() for c in status.conditions if c.type == kind), 0.0)
