"""When a namespace that an operator may not see is asked about again. Pure; called by `operators.reach`.

Rights may come a moment after the operator (a new namespace of a `helm upgrade`), and go before what is in a namespace
that is being removed. Neither is a reason to end, or to leave the other namespaces alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from ponton_operator.resources.account import FINALIZER

FIRST: Final = 2.0  # seconds until a namespace is asked about again; doubled each time
MOST: Final = 60.0  # seconds at most: so long a host waits after having given the rights
CALM: Final = 300.0  # seconds of being served, after which a refusal is the first one again


@dataclass(frozen=True, slots=True)
class Place:
    """One namespace; times in seconds of one clock. `tries`: how often it was refused in a row, `due`: asked again."""

    served: bool = False
    since: float = 0.0
    tries: int = 0
    due: float = 0.0


def refused(place: Place, now: float) -> Place:
    """Give the place after the API server has refused to show it.

    >>> refused(refused(Place(), 0.0), 2.0)
    Place(served=False, since=2.0, tries=2, due=6.0)
    """
    tries = 0 if place.served and now - place.since >= CALM else place.tries
    return Place(since=now, tries=tries + 1, due=now + min(FIRST * 2.0 ** min(tries, 10), MOST))


def let_in(place: Place, now: float) -> Place:
    """Give the place after all that is in it was seen."""
    return replace(place, served=True, since=now)


def away(place: Place, now: float) -> Place:
    """Give the place after there was no answer: nothing is known about rights, so it counts as no refusal."""
    return replace(place, due=now + FIRST)


def wait(places: Iterable[Place], now: float) -> float | None:
    """Give the seconds until the next place has to be asked about, None when all are served."""
    due = [place.due for place in places if not place.served]
    return max(0.0, min(due) - now) if due else None


def is_going(namespace: Mapping[str, Any] | None) -> bool:
    """Whether a namespace (as the API has it, None without one) is being removed."""
    return bool(((namespace or {}).get("metadata") or {}).get("deletionTimestamp"))


def is_held_up(namespace: Mapping[str, Any]) -> bool:
    """Whether Kubernetes says that our finalizers keep a namespace from going."""
    conditions = (namespace.get("status") or {}).get("conditions") or ()
    return any(
        one.get("type") == "NamespaceFinalizersRemaining"
        and one.get("status") == "True"
        and FINALIZER in str(one.get("message") or "")
        for one in conditions
    )
