"""When a shard may start, and with which epoch; and what an end of one means for the next start.

Called by `plan.account` and `plan.deletion`.
"""

from datetime import datetime
from typing import Literal

from ponton_bridge.coordination.contract import StateChange
from ponton_bridge.model.states import Reason
from ponton_operator.plan.ends import (
    BACKOFF_MAX,
    EX_CONFIG,
    HEALTHY_AFTER,
    PARKS,
    UNPAIRED,
    End,
    backoff,
    read_end,
)
from ponton_operator.plan.values import Action, Again, AskPermit, Observed, Start, Stop, Urgency
from ponton_operator.resources.account import (
    AccountStatus,
    BridgeAccount,
    ParkingStatus,
    RetryStatus,
    ShardStatus,
)
from ponton_operator.resources.base import moment

Planned = tuple[AccountStatus, list[Action]]


def next_epoch(last: int, now: float) -> int:
    """Give the next fencing token: it grows even when the clock goes back or the last one was lost.

    >>> next_epoch(1_700_000_000_000, 5.0)
    1700000000001
    """
    return max(last + 1, int(now * 1000))


def current_state(status: AccountStatus, observed: Observed) -> StateChange | None:
    """Give what the shard that was started last has told; what an older one told is stale."""
    state = observed.state
    return state if state and status.shard and state.epoch == status.shard.epoch else None


def absorb(account: BridgeAccount, observed: Observed, now: float) -> AccountStatus:
    """Take what is seen into the status: whether it is paired, how the shard ended, that a wake was met."""
    status, shard = account.status, account.status.shard
    if shard is None:
        return status
    state = current_state(status, observed)
    if state:
        paired = (status.paired or bool(state.paired)) and state.reason not in UNPAIRED
        news: dict[str, object] = {"paired": paired}
        if state.xmpp:  # the stream opens after the store
            news |= {"store_epoch": shard.epoch, "wipe": False}
        status = status.model_copy(update=news)
    if shard.ended:
        return status
    process = observed.process(shard.epoch)
    if process and not process.ended:
        met = state is None or state.reason not in PARKS
        return status.model_copy(update={"wake": account.spec.wake}) if met else status
    if process is None and not observed.settled:
        return status
    code, told = (process.exit_code, process.told) if process else (None, False)
    return _ended(status, shard, state, code, told=told, now=now)


def _ended(
    status: AccountStatus, shard: ShardStatus, state: StateChange | None, code: int | None, *, told: bool, now: float
) -> AccountStatus:
    """Record an end: parked, or when the next start may come."""
    end = read_end(code, state.reason if state else "", told=told)
    done = shard.model_copy(update={"ended": moment(now), "exit_code": code})
    if end is End.PARK and state:
        until = moment(state.until) if state.until > 0 else None
        parking = ParkingStatus(reason=state.reason, since=moment(now), until=until, revision=shard.revision)
        return status.model_copy(update={"shard": done, "parking": parking, "retry": RetryStatus()})
    if end is End.TOLD:
        return status.model_copy(update={"shard": done, "retry": RetryStatus()})
    lived = now - shard.started.timestamp()
    failures = 1 if lived >= HEALTHY_AFTER else status.retry.failures + 1
    wait = BACKOFF_MAX if end is End.CONFIG else backoff(failures)
    first = failures == 1 or not status.retry.revision
    retry = RetryStatus(
        failures=failures,
        not_before=moment(now + wait) if wait else None,
        since=moment(now) if first else status.retry.since,
        revision=shard.revision if first else status.retry.revision,
    )
    return status.model_copy(update={"shard": done, "retry": retry})


def start(
    account: BridgeAccount,
    status: AccountStatus,
    observed: Observed,
    now: float,
    purpose: Literal["Serve", "Unlink"] = "Serve",
) -> Planned:
    """Start a shard if nothing speaks against it: no other process, a settled view, the backoff, the fleet's limit."""
    if observed.alive or not observed.settled:
        return status, [Stop(p.epoch) for p in observed.alive if not p.told and not p.lost]
    if observed.obstacle:
        return status, []
    if (wait := _not_before(status, observed)) and now < wait.timestamp():
        return status, [Again(wait.timestamp())]
    if not observed.permit:
        person = status.shard is None or account.spec.wake != status.wake or purpose == "Unlink"
        return status, [AskPermit(Urgency.PERSON if person else Urgency.RESTART)]
    epoch = next_epoch(status.epoch, now)
    stale = status.parking is not None and status.parking.reason == Reason.STALE_STORE
    wipe = stale or status.wipe
    shard = ShardStatus(epoch=epoch, revision=observed.revision, purpose=purpose, started=moment(now))
    news = {"epoch": epoch, "shard": shard, "parking": None, "wake": account.spec.wake}
    fresh = {"paired": False, "store_epoch": 0, "wipe": True} if wipe else {}
    return status.model_copy(update=news | fresh), [Start(epoch, wipe=wipe)]


def _not_before(status: AccountStatus, observed: Observed) -> datetime | None:
    """Give the time before which nothing starts; a bad configuration is tried at once when it has changed."""
    shard = status.shard
    if shard and shard.exit_code == EX_CONFIG and shard.revision != observed.revision:
        return None
    return status.retry.not_before
