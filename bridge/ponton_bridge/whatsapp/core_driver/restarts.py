"""When to start a core again that has ended by itself. Pure: time is an argument.

The first time at once, since most crashes are one bad moment; then after 50 ms, doubled up to 30 s. Ten seconds of life
begin anew. What goes on crashing is given up, and told.
"""

from typing import Final

FIRST: Final = 0.05  # seconds
LONGEST: Final = 30.0  # seconds
HEALTHY: Final = 10.0  # seconds of life after which the past is forgotten
STORM: Final = 12  # early ends in a row, about two minutes: this is no bad moment


class Restarts:
    """The history of one account's cores.

    >>> restarts = Restarts()
    >>> [restarts.ended(1.0) for _ in range(4)], restarts.ended(HEALTHY)
    ([0.0, 0.05, 0.1, 0.2], 0.0)
    """

    def __init__(self) -> None:
        self._early = 0

    def ended(self, lived: float) -> float | None:
        """Give the seconds to wait after a core that lived so long; None when it is to be given up."""
        if lived >= HEALTHY:
            self._early = 0
            return 0.0
        self._early += 1
        if self._early > STORM:
            self._early = 0  # whoever starts it again begins anew
            return None
        return 0.0 if self._early == 1 else min(LONGEST, FIRST * 2.0 ** (self._early - 2))
