"""The scaler's decision about one account: its tier, whether it should be parked, whether its pod must be made anew.

Pure; called by the scaler for each account in each of its sweeps, and by the simulation. The outcome is the one part of
an account's status that the scaler writes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ponton_bridge.coordination.contract import Heartbeat
from ponton_operator.plan.parking import holds, parking_wish
from ponton_operator.plan.tiers import Size, Use, choose, follow, size_of
from ponton_operator.resources.account import BridgeAccount, ScalingStatus
from ponton_operator.resources.base import moment
from ponton_operator.resources.running import Parking

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
    before = account.status.scaling or ScalingStatus()
    after = before
    shard = account.status.shard
    runs = shard is not None and shard.ended is None
    if sizes:
        size = size_of(sizes, before.tier)
        if runs and beat is not None and shard is not None and beat.epoch == shard.epoch:
            use = follow(use, beat, size.limit)
        moved = before.since.timestamp() if before.since else 0.0
        oom = pod.oom if pod else 0.0
        wanted = choose(sizes, size, use, moved, oom, now) if runs else size
        if wanted is not size:
            after = after.model_copy(update={"tier": wanted.name, "since": moment(now)})
            use = Use(epoch=use.epoch, beat=use.beat, traffic=use.traffic, quiet_since=use.quiet_since)
    if before.park and not holds(account):
        after = after.model_copy(update={"park": "", "park_wake": 0})
    if not after.park and (wish := parking_wish(account, parking, now)):
        after = after.model_copy(update={"park": wish, "park_wake": account.spec.wake})
    stuck = runs and pod is not None and shard is not None and pod.refused and pod.epoch == shard.epoch
    if stuck and pod is not None and use.quiet(now):
        after = after.model_copy(update={"recreate": pod.epoch})
    elif shard is not None and before.recreate != shard.epoch:
        after = after.model_copy(update={"recreate": 0})
    return Decision(None if after == before else after, use)
