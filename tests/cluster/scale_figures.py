"""What the audit log says of thousands of accounts: writes of each start, the pace, how soon a change was answered.

Pure; called by `scale` with the calls of one operator and with what the test itself did.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from tests.cluster.box.audit import Call, writing

WINDOW = 60.0  # seconds over which the pace is looked at: a burst of a quarter of a second's worth is let through


@dataclass(frozen=True, slots=True)
class Change:
    """Something happened to an account ("namespace/name") at a time (seconds since 1970)."""

    account: str
    at: float


def account_of(call: Call) -> str:
    """Give the account that a call is about: pods and Secrets have its epoch behind its name.

    >>> account_of(Call("", "create", "pods", "a", "acc-7-123", 201, "", ""))
    'a/acc-7'
    """
    name = call.name.rpartition("-")[0] if call.resource in {"pods", "secrets"} else call.name
    return f"{call.namespace}/{name}"


def seconds(time: str) -> float:
    """Give a time of the audit log in seconds since 1970."""
    return datetime.fromisoformat(time).timestamp()


def of_each(calls: Iterable[Call]) -> Counter[str]:
    """Count the writes for each account."""
    return Counter(account_of(call) for call in writing(calls) if call.resource != "bridgegateways/status")


def fastest(calls: Iterable[Call], window: float = WINDOW) -> float:
    """Give the most writes a second that came to the API server, over any window of time."""
    times = sorted(seconds(call.asked) for call in writing(calls))
    most = max((number - bisect_left(times, at - window) + 1 for number, at in enumerate(times)), default=0)
    return most / window


def reactions(calls: Iterable[Call], changes: Sequence[Change]) -> list[float]:
    """Give the seconds from each change to the first write about its account that was done after it."""
    times: dict[str, list[float]] = defaultdict(list)
    for call in writing(calls):
        if call.ok:
            times[account_of(call)].append(seconds(call.time))
    found = []
    for change in changes:
        ours = sorted(times[change.account])
        after = bisect_left(ours, change.at)
        found.append(ours[after] - change.at if after < len(ours) else float("inf"))
    return found
