"""Which tier (size) a shard should have, from the memory that its heartbeats tell.

Up soon, since a shard that reaches its limit is killed; down late, since memory that was needed once is needed again;
never more often than every ten minutes. Between the marks for up and down lies room, so no shard goes to and fro.
Called by `plan.scaling`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ponton_bridge.coordination.contract import Heartbeat
from ponton_operator.plan.quantity import as_number
from ponton_operator.resources.running import Tier

UP: Final = 0.85  # of the tier's memory limit; above it the shard needs a larger one
UP_BEATS: Final = 2  # heartbeats in a row above it, so that a moment's peak moves nobody
FIT: Final = 0.70  # of the limit of a tier to move to: room up to UP
DOWN: Final = 0.50  # of the limit; below it the tier is too large
DOWN_AFTER: Final = 4 * 3600.0  # seconds below it
REST: Final = 600.0  # seconds between two moves of one shard
QUIET_AFTER: Final = 600.0  # seconds without a message and with nothing in the queues: the shard may be restarted
KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Size:
    """A tier and its memory limit in bytes."""

    name: str
    limit: int


def sizes(tiers: Sequence[Tier]) -> tuple[Size, ...]:
    """Give the tiers as listed, the first is where shards begin; read once for many decisions."""
    return tuple(Size(tier.name, int(as_number(tier.memory_limit))) for tier in tiers)


@dataclass(frozen=True, slots=True)
class Use:
    """What the heartbeats of one shard have shown so far; lives in memory only, times in seconds since 1970.

    `growth` is in bytes a second, between the last two beats. `high` counts beats above UP in a row; `low_since` is
    when memory fell below DOWN (0: it is not), `peak` its most bytes since. `traffic` is the count of messages at
    `quiet_since`.
    """

    epoch: int = 0
    beat: float = 0.0
    memory: int = 0
    growth: float = 0.0
    high: int = 0
    low_since: float = 0.0
    peak: int = 0
    traffic: int = -1
    quiet_since: float = 0.0

    def quiet(self, now: float) -> bool:
        """Whether no message has passed for long enough."""
        return 0 < self.quiet_since <= now - QUIET_AFTER


def follow(use: Use, beat: Heartbeat, limit: int) -> Use:
    """Take a heartbeat in; one that was seen already, or comes from an older shard, changes nothing."""
    if beat.epoch < use.epoch or (beat.epoch == use.epoch and beat.time <= use.beat):
        return use
    if beat.epoch != use.epoch:
        use = Use()
    memory, traffic = beat.rss * KIB, beat.sent + beat.received
    low = memory < limit * DOWN
    busy = traffic != use.traffic or beat.queue_in or beat.queue_out
    return Use(
        epoch=beat.epoch,
        beat=beat.time,
        memory=memory,
        growth=(memory - use.memory) / (beat.time - use.beat) if use.beat else 0.0,
        high=use.high + 1 if memory > limit * UP else 0,
        low_since=(use.low_since or beat.time) if low else 0.0,
        peak=max(use.peak, memory) if use.low_since and low else memory,
        traffic=traffic,
        quiet_since=beat.time if busy else use.quiet_since,
    )


def size_of(tiers: Sequence[Size], name: str) -> Size:
    """Give the tier of this name; one that is not there (any more) counts as the first."""
    return next((size for size in tiers if size.name == name), tiers[0])


def choose(tiers: Sequence[Size], now_in: Size, use: Use, moved: float, oom: float, now: float) -> Size:
    """Give the tier that a shard should have; `moved` is when it moved last, `oom` when it was killed last for memory.

    A kill counts as reaching the limit, if it came after the last move. Memory that is still growing gets a tier in
    which it can grow on until the next move, since a shard that outgrows that one would be killed.
    """
    if now - moved < REST:
        return now_in
    memory = max(use.memory, now_in.limit) if oom > moved else use.memory
    if use.high >= UP_BEATS or oom > moved:
        larger = sorted((size for size in tiers if size.limit > now_in.limit), key=lambda size: size.limit)
        then = memory + max(0.0, use.growth) * REST
        fits = (size for size in larger if memory <= size.limit * FIT and then <= size.limit)
        return next(fits, larger[-1] if larger else now_in)
    if use.low_since and now - max(use.low_since, moved) >= DOWN_AFTER:
        smaller = [size for size in tiers if size.limit < now_in.limit and use.peak <= size.limit * FIT]
        return max(smaller, key=lambda size: size.limit, default=now_in)
    return now_in
