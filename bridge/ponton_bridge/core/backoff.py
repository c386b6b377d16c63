"""How long to wait before trying a connection again: exponential with full jitter, the roll given by the caller.

Full jitter keeps 10,000 shards from coming back in the same second after their server was restarted.
"""

FIRST = 0.25  # seconds; a clean restart of Prosody takes about 0.1 s
CEILING = 30.0  # seconds; longer than that and a person notices that the bridge sleeps


def delay(attempt: int, roll: float, *, first: float = FIRST, ceiling: float = CEILING) -> float:
    """Give the seconds to wait before attempt number `attempt` (0 = the first repeat); `roll` is in [0, 1).

    >>> delay(0, 0.5), delay(3, 0.5), delay(99, 0.5)
    (0.125, 1.0, 15.0)
    """
    return roll * min(ceiling, first * 2.0 ** min(attempt, 30))
