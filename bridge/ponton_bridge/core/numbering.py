"""Numbers of a shard stream: what came in and is safe, what went out and is covered.

The bookkeeping of component-shards/1 (sections 1.2 and 1.6) without any I/O. One `Inbound` and one `Outbound` live as
long as the process; each new stream calls `begin` with what `<session/>` said. Called by the shard stream only.
"""

from collections import deque
from dataclasses import dataclass


class ProtocolBreach(Exception):
    """The server counts what was never written; the stream has to be opened anew."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """The name of one stanza that came in; `repeat` = this process has had it already and only the ack was lost."""

    gen: str
    number: int
    repeat: bool = False


class Inbound:
    """Counts what the server sends; tells how far everything is safe here, without a gap.

    >>> inbound = Inbound("g", 41)  # the journal's cursor
    >>> inbound.begin("g", 42)
    >>> first, second = inbound.arrived(), inbound.arrived()
    >>> inbound.done(second); inbound.due() is None
    True
    >>> inbound.done(first); inbound.due()
    43
    """

    def __init__(self, gen: str = "", number: int = 0) -> None:
        self._gen = gen
        self._safe = number  # everything up to here is safe
        self._top = number  # the highest number that ever came to this process (or to the journal before it)
        self._ahead: set[int] = set()  # safe, but with a gap before them; no larger than the server's window
        self._next = number + 1
        self._told = number

    @property
    def cursor(self) -> str | None:
        """What goes into the stream header: `<gen>:<n>`; None before any generation is known."""
        return f"{self._gen}:{self._safe}" if self._gen else None

    def begin(self, gen: str, following: int) -> None:
        """Open a stream on which the next stanza has the number `following`; another `gen` starts the count anew.

        What lies before it and never came has expired at the server: nobody waits for it any more.
        """
        if gen != self._gen:
            self._gen, self._top = gen, following - 1
            self._safe = following - 1
            self._ahead.clear()
        self._next, self._told = following, following - 1
        self._advance(following - 1)

    def arrived(self) -> Ticket:
        """Number a stanza (or a gap) that came in."""
        number = self._next
        self._next += 1
        repeat = number <= self._top
        self._top = max(self._top, number)
        return Ticket(self._gen, number, repeat)

    def done(self, ticket: Ticket) -> None:
        """Note that it is durable, or needs nothing more; a ticket of a former generation is nobody's business."""
        if ticket.gen == self._gen and ticket.number > self._safe:
            self._ahead.add(ticket.number)
            self._advance(self._safe)

    def _advance(self, floor: int) -> None:
        self._safe = max(self._safe, floor)
        while self._safe + 1 in self._ahead:
            self._safe += 1
        self._ahead = {n for n in self._ahead if n > self._safe}

    def due(self) -> int | None:
        """Give the number to acknowledge now, and take it as told; None when there is nothing new.

        Never more than this stream has brought: an ack beyond that is a stream error (section 1.4).
        """
        number = min(self._safe, self._next - 1)
        if number <= self._told:
            return None
        self._told = number
        return number

    def repeated(self) -> int:
        """Give the number that answers a request for an ack, new or not."""
        self._told = max(self._told, min(self._safe, self._next - 1))
        return self._told


class Outbound:
    """Counts what was written and remembers which journal sequence number lies at which count.

    >>> outbound = Outbound()
    >>> outbound.begin(0); outbound.wrote(7); outbound.wrote(); outbound.wrote(8)
    0
    >>> outbound.counted(2), outbound.counted(3)
    (7, 8)
    """

    def __init__(self) -> None:
        self._count = 0
        self._waiting: deque[tuple[int, int]] = deque()

    @property
    def uncovered(self) -> int:
        """How many durable stanzas of this stream the server has not counted yet."""
        return len(self._waiting)

    def begin(self, counted: int) -> int:
        """Open a stream after which the server's count goes on at `counted`; gives what that covers (0: nothing).

        What was written and not counted is forgotten here: the journal has it and it is written again.
        """
        covered = self._pop(counted)
        self._waiting.clear()
        self._count = counted
        return covered

    def wrote(self, seq: int | None = None) -> None:
        """Note one stanza, with its sequence number if it is durable."""
        self._count += 1
        if seq is not None:
            self._waiting.append((self._count, seq))

    def counted(self, count: int) -> int:
        """Take the server's count; gives the highest sequence number that it covers newly, 0 for none."""
        if count > self._count:
            raise ProtocolBreach(f"the server counted {count} of {self._count}")
        return self._pop(count)

    def _pop(self, count: int) -> int:
        covered = 0
        while self._waiting and self._waiting[0][0] <= count:
            covered = self._waiting.popleft()[1]
        return covered
