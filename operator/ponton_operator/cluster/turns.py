"""The turn of a gateway's rollout, kept for a moment: over 10,000 accounts a look costs some hundredths of a second.

Asked by the reconcilers each time that they let accounts go on, and when the gateway's status is written.
"""

from collections.abc import Callable, Sequence
from typing import Final

from ponton_operator.plan.rollout import Turn, plan_rollout
from ponton_operator.resources.account import BridgeAccount
from ponton_operator.resources.gateway import GatewayStatus
from ponton_operator.resources.running import Rollout

FRESH: Final = 1.0  # seconds that a look is good for; a pairing that is lost stops the rollout no later


class Turns:
    """Looks when it must; what it found last counts before what is written, which may be older."""

    def __init__(self) -> None:
        self._turn: Turn | None = None
        self._asked: tuple[Rollout, str, bool] | None = None
        self._at = 0.0

    def look(
        self,
        accounts: Callable[[], Sequence[BridgeAccount]],
        rollout: Rollout,
        revision: str,
        status: GatewayStatus,
        now: float,
        *,
        troubled: bool = False,
    ) -> Turn:
        """Give whose turn it is at a time (seconds since 1970), no older than FRESH; see `plan_rollout`."""
        asked = (rollout, revision, troubled)
        turn = self._turn
        if turn is None or asked != self._asked or not 0 <= now - self._at < FRESH:
            before = turn.status(status) if turn else status
            turn = plan_rollout(accounts(), rollout, revision, before, now, troubled=troubled)
            self._turn, self._asked, self._at = turn, asked, now
        return turn
