"""Which shards hang: alive as processes, but no longer at work. Called by `local_runtime`, which ends them.

A shard's event loop touches the lock file of its store every PULSE seconds; whoever starts one takes the time of its
predecessor away (`still`), so that the first pulse is known as one. Redis would not do as evidence: a shard
goes on without it. Pure but for `stamp`; times are our own monotonic clock, so neither a set clock nor a machine that
slept condemns anybody.
"""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ponton_bridge.coordination.contract import LEASE_TTL

HUNG: Final = LEASE_TTL  # seconds without a pulse: the lease, which is renewed as often, would have run out as well
LOOK: Final = 1.0  # seconds between two looks
_LATE: Final = 2 * LOOK  # seconds that one look can count for, however late it comes

Key = tuple[str, int]  # account, epoch


@dataclass(slots=True)
class _Pulse:
    """`quiet`: seconds since the stamp changed, None while there is none: a starting shard has no pulse yet."""

    stamp: int
    quiet: float | None = None


class Pulses:
    """The pulses of all shards that run."""

    def __init__(self) -> None:
        self._known: dict[Key, _Pulse] = {}
        self._last: float | None = None

    def look(self, stamps: Mapping[Key, int], now: float) -> list[Key]:
        """Take the stamps of what runs now; gives who has had no pulse for HUNG seconds. Others are forgotten."""
        passed = 0.0 if self._last is None else min(now - self._last, _LATE)
        self._last = now
        self._known = {
            key: self._known.get(key) or _Pulse(stamp, 0.0 if stamp else None) for key, stamp in stamps.items()
        }
        hung = []
        for key, pulse in self._known.items():
            if pulse.stamp != stamps[key]:
                pulse.stamp, pulse.quiet = stamps[key], 0.0
            elif pulse.quiet is not None:
                pulse.quiet += passed
                if pulse.quiet >= HUNG:
                    hung.append(key)
        return hung


def stamp(lock: Path) -> int:
    """Give the time of a lock file as a number to compare, 0 when there was no pulse yet."""
    try:
        return os.lstat(lock).st_mtime_ns
    except OSError:
        return 0


def still(lock: Path) -> None:
    """Take the last pulse of a predecessor away, before a shard is started."""
    with contextlib.suppress(OSError):  # there is none, or nobody can start here either
        os.utime(lock, (0, 0), follow_symlinks=False)
