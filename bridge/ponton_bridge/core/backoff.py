"""How long to wait before the next try; used by the machines here and by the Redis client."""

from collections.abc import Callable
from typing import Final

FIRST: Final = 2.0  # seconds
LONGEST: Final = 300.0  # seconds; the kubelet's longest wait between two starts of a container


def delay(tries: int, random: Callable[[], float], first: float = FIRST, longest: float = LONGEST) -> float:
    """Give the seconds to wait after `tries` (1 or more) tries that failed: doubled each time, half of it by chance.

    `random` gives 0.0 up to 1.0. Chance keeps many shards that lost the same peer from coming back in one moment.

    >>> [delay(tries, lambda: 1.0) for tries in (1, 2, 3, 99)]
    [2.0, 4.0, 8.0, 300.0]
    """
    whole = min(longest, first * 2.0 ** min(tries - 1, 30))
    return whole * (0.5 + random() / 2)
