"""What a phone saw, in order, for tests and for people: numbered records with a long poll.

`phone` appends, the control API reads. Bounded: a record that was not read in time is gone, and the gap shows in
the numbers.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from tests.sandbox.phones.bell import Bell

Json = dict[str, object]

LIMIT = 20_000  # records kept per phone


@dataclass(frozen=True, slots=True)
class Record:
    """One thing a phone saw. `detail` is made only when somebody reads it: most records are never read."""

    n: int
    at: float
    kind: str
    fields: Json
    detail: Callable[[], Json] | None = None

    def as_json(self, *, details: bool = True) -> Json:
        """The record as the control API gives it out."""
        extra = self.detail() if self.detail and details else {}
        return {"n": self.n, "at": self.at, "kind": self.kind, **self.fields, **extra}


@dataclass(slots=True, eq=False)
class Inbox:
    """The records of one phone, numbered from 1."""

    records: deque[Record] = field(default_factory=lambda: deque(maxlen=LIMIT))
    last: int = 0
    _bell: Bell = field(default_factory=Bell)

    def add(self, at: float, kind: str, detail: Callable[[], Json] | None = None, **fields: object) -> None:
        """Append a record and wake whoever waits."""
        self.last += 1
        self.records.append(Record(self.last, at, kind, fields, detail))
        self._bell.ring()

    def since(self, n: int, limit: int = LIMIT) -> list[Record]:
        """The records after number `n`, oldest first."""
        return list(islice(self._after(n), limit))

    async def wait(self, n: int, seconds: float, limit: int = LIMIT) -> list[Record]:
        """The records after number `n`; waits up to `seconds` for the first one."""
        if self.last <= n and seconds > 0:
            await self._bell.wait(seconds)
        return self.since(n, limit)

    def _after(self, n: int) -> Iterator[Record]:
        fresh = min(self.last - n, len(self.records))
        return islice(self.records, len(self.records) - max(fresh, 0), None)
