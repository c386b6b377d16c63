"""The scaler's decision about one account: its tier, whether it should be parked, whether its pod must be made anew.

Pure; called by the scaler for each account in each of its sweeps, and by the simulation. The outcome is the one part of
an account's status that the scaler writes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ponton_bridge.coordination.contract import Heartbeat
from ponton_operator.plan.parking import kept_by_scaler, parking_wish
from ponton_operator.plan.tiers import Size, Use, choose, follow, size_of
from ponton_operator.resources.account import BridgeAccount, ScalingStatus
from ponton_operator.resources.base import moment
from ponton_operator.resources.running import Parking

_UNSAID: Final = ScalingStatus()
SWEEP: Final = 10.0  # seconds between looks at all heartbeats


@dataclass(frozen=True, slots=True)
class PodSeen:
    """What is seen of the shard's pod: its epoch, whether the cluster refuses to resize it where it runs.

    `oom` is when its container was killed last because it had reached its memory limit (seconds since 1970, 0 never).
    """

    epoch: int
    refused: bool = False
    oom: float = 0.0


@dataclass(frozen=True, slots=True)
class Decision:
    """What the account's `status.scaling` should be (None: as it is), and what to remember of its use."""

    status: ScalingStatus | None
    use: Use


def plan_scaling(
    account: BridgeAccount,
    sizes: Sequence[Size],
    parking: Parking,
    beat: Heartbeat | None,
    use: Use,
    pod: PodSeen | None,
    now: float,
) -> Decision:
    """Decide about one account; `beat` is its newest heartbeat, None without one. `now` in seconds since 1970."""
    before = account.status.scaling or _UNSAID
    shard = account.status.shard
    epoch = shard.epoch if shard and shard.ended is None else 0  # 0: none runs
    news: dict[str, object] = {}
    if sizes and epoch:
        size = size_of(sizes, before.tier)
        if beat is not None and beat.epoch == epoch:
            use = follow(use, beat, size.limit)
        moved = before.since.timestamp() if before.since else 0.0
        wanted = choose(sizes, size, use, moved, pod.oom if pod else 0.0, now)
        if wanted is not size:
            news |= {"tier": wanted.name, "since": moment(now)}
            use = Use(epoch=use.epoch, beat=use.beat, traffic=use.traffic, quiet_since=use.quiet_since)
    over = bool(before.park) and not kept_by_scaler(account, account.status)
    if wish := "" if before.park and not over else parking_wish(account, parking, now):
        news |= {"park": wish, "park_wake": account.spec.wake}
    elif over:
        news |= {"park": "", "park_wake": 0}
    if pod is not None and pod.refused and pod.epoch == epoch and use.quiet(now):
        news |= {"recreate": epoch}
    elif before.recreate not in {0, epoch}:
        news |= {"recreate": 0}
    if not news:
        return Decision(None, use)
    after = before.model_copy(update=news)
    return Decision(None if after == before else after, use)
