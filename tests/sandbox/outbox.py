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

    def acknowledge(self, tag: str, identifier: str, *addresses: str) -> Node | None:
        """Strike out the stanza that an acknowledgement speaks of; None if there is none (a repeat)."""
        numbers = self._by_id.get((tag, identifier), [])
        chosen = next((n for n in numbers if self._speaks_of(n, addresses)), numbers[0] if numbers else None)
        return None if chosen is None else self._drop(chosen)

    def clear(self) -> None:
        """Forget everything: the device is gone."""
        self.waiting.clear()
        self._by_id.clear()

    def _speaks_of(self, number: int, addresses: tuple[str, ...]) -> bool:
        stanza = self.waiting[number].stanza
        return bool({stanza.get("from"), stanza.get("participant")} & {a for a in addresses if a})

    def _drop(self, number: int) -> Node:
        stanza = self.waiting.pop(number).stanza
        key = (stanza.tag, stanza.get("id"))
        self._by_id[key].remove(number)
        if not self._by_id[key]:
            del self._by_id[key]
        return stanza
