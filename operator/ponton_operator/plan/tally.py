"""How many accounts each gateway has, and how they are: an index, so that 10,000 accounts cost no scan at each change.

Pure. Called by the gateways operator for every account that it hears of, and by `plan.gateway_status`.
"""

from collections import Counter
from dataclasses import dataclass, field

from ponton_bridge.model.states import Phase


@dataclass(frozen=True, slots=True)
class Counts:
    """Accounts of one gateway."""

    accounts: int = 0
    running: int = 0
    paired: int = 0
    parked: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """What counts of one account; `gateway` is the gateway's key."""

    gateway: str
    phase: str
    paired: bool


@dataclass(slots=True)
class Tally:
    """All accounts that were heard of, by any key that stays the same."""

    _entries: dict[str, Entry] = field(default_factory=dict)
    _sums: dict[str, Counter[str]] = field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        """All accounts that count."""
        return set(self._entries)

    def put(self, account: str, entry: Entry) -> set[str]:
        """Take an account as it is now; gives the gateways whose counts changed."""
        before = self._entries.get(account)
        if before == entry:
            return set()
        self._add(before, -1)
        self._entries[account] = entry
        self._add(entry, 1)
        return {entry.gateway} | ({before.gateway} if before else set())

    def drop(self, account: str) -> set[str]:
        """Forget an account; gives the gateways whose counts changed."""
        before = self._entries.pop(account, None)
        self._add(before, -1)
        return {before.gateway} if before else set()

    def counts(self, gateway: str) -> Counts:
        """Count the accounts of a gateway."""
        sums = self._sums.get(gateway, Counter())
        return Counts(
            sums["accounts"], sums[Phase.RUNNING], sums["paired"], sums[Phase.PARKED], sums[Phase.FAILED]
        )  # fmt: skip

    def _add(self, entry: Entry | None, by: int) -> None:
        if entry is None:
            return
        sums = self._sums.setdefault(entry.gateway, Counter())
        sums["accounts"] += by
        sums[entry.phase] += by
        sums["paired"] += by * entry.paired
        if not sums["accounts"]:
            del self._sums[entry.gateway]
