"""How many replicas a gateway's portal has: by the pages that are open, within what the host said.

Pure. The scaler decides in each of its sweeps and writes the outcome, `status.portal`, its own part of a gateway's
status; the gateways operator makes the Deployment after it. More come at once, fewer one by one after a quiet time, and
the marks for up and down lie apart, so that the number does not swing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Final

from ponton_operator.resources.base import moment
from ponton_operator.resources.gateway import Portal, PortalStatus

# 500 open pages at one replica still have every other page within 0.49 s (docs/figures/portal.json).
FULL: Final = 400  # open pages a replica, on average, above which there are more
ROOMY: Final = 250  # open pages a replica that there shall be after a move
QUIET: Final = 600.0  # seconds for which fewer would have done, before one goes


@dataclass(frozen=True, slots=True)
class Calm:
    """Since when fewer replicas would have done (seconds since 1970), None when they would not."""

    since: float | None = None


def within(portal: Portal, status: PortalStatus | None) -> int:
    """Give the replicas that there shall be: what the scaler said last, within what the host says now."""
    return min(max(status.replicas if status else 0, portal.min_replicas), portal.max_replicas)


def plan_replicas(
    portal: Portal, status: PortalStatus | None, pages: Mapping[str, int] | None, calm: Calm, now: float
) -> tuple[PortalStatus | None, Calm]:
    """Decide; gives what `status.portal` should be, None when it is right, and what to remember until the next look.

    `pages` are the open pages by replica, None when nobody could say: then all stays as it is. `now` in seconds since
    1970.
    """
    have = within(portal, status)
    if pages is None:
        return None, Calm()
    total = sum(pages.values())
    wanted = have
    if total > FULL * have:
        wanted = ceil(total / ROOMY)
        calm = Calm()
    elif total > ROOMY * (have - 1) or have == portal.min_replicas:
        calm = Calm()
    elif calm.since is None:
        calm = Calm(now)
    elif now - calm.since >= QUIET:
        wanted, calm = have - 1, Calm()
    wanted = within(portal, PortalStatus(replicas=wanted))
    before = status.replicas if status else portal.min_replicas
    return (None if wanted == before else PortalStatus(replicas=wanted, since=moment(now))), calm
