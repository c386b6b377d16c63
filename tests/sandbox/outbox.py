"""What a device was sent and has not acknowledged: kept, and sent again after each login until it has.

Each `Device` of the `world` owns one; the router puts stanzas in and strikes them out.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.sandbox.node import Node

LIMIT = 20_000  # stanzas waiting for one device; a load test queues thousands while a client is away


@dataclass(slots=True)
class Waiting:
    """One unacknowledged stanza and how often it was written to a socket."""

    stanza: Node
    writes: int = 0


@dataclass(slots=True)
class Outbox:
    """Unacknowledged stanzas in order, found by tag and id.

    The client's acknowledgement repeats the stanza's id, but its `to` may be the sender, the chat or the
    group; so the id decides, and the addresses only choose between stanzas that share one.
    """

    waiting: dict[int, Waiting] = field(default_factory=dict)
    overflow: int = 0  # stanzas dropped because the device did not acknowledge for too long
    _next: int = 0
    _by_id: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.waiting)

    def __iter__(self) -> Iterator[Waiting]:
        return iter(list(self.waiting.values()))

    def put(self, stanza: Node) -> Waiting:
        """Keep a stanza until it is acknowledged; beyond the limit the oldest goes and is counted."""
        if len(self.waiting) >= LIMIT:
            self._drop(next(iter(self.waiting)))
            self.overflow += 1
        entry = self.waiting[self._next] = Waiting(stanza)
        self._by_id.setdefault((stanza.tag, stanza.get("id")), []).append(self._next)
        self._next += 1
        return entry

    def acknowledge(self, tag: str, identifier: str, kind: str = "", *addresses: str) -> Node | None:
        """Strike out the stanza that an acknowledgement speaks of; None if there is none (a repeat).

        Of several stanzas with this tag and id, the one with the same `type` and one of the addresses is meant,
        else the oldest.
        """
        numbers = self._by_id.get((tag, identifier))
        if not numbers:
            return None
        return self._drop(max(numbers, key=lambda n: (self._likeness(n, kind, addresses), -n)))

    def clear(self) -> None:
        """Forget everything: the device is gone."""
        self.waiting.clear()
        self._by_id.clear()

    def _likeness(self, number: int, kind: str, addresses: tuple[str, ...]) -> int:
        stanza = self.waiting[number].stanza
        named = {stanza.get("from"), stanza.get("participant")} & {a for a in addresses if a}
        return 2 * (stanza.get("type") == kind) + bool(named)

    def _drop(self, number: int) -> Node:
        stanza = self.waiting.pop(number).stanza
        key = (stanza.tag, stanza.get("id"))
        self._by_id[key].remove(number)
        if not self._by_id[key]:
            del self._by_id[key]
        return stanza
