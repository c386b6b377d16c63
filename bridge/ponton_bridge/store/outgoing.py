"""What Prosody gave and WhatsApp does not have yet, with the cursor of what was taken, in one transaction.

Exactly once from Prosody: the row and the cursor are committed together, and the cursor goes into the header of the
next stream (component-shards/1, section 1.6). Part of `journal.Journal`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ponton_bridge.store.errors import JournalFull
from ponton_bridge.store.part import Part

# Rows; 20 times what Prosody's window and queue hold for one owner (256 + 500), so that its own bounds speak first.
OUTGOING_MAX: Final = 15_000


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A stanza on its way to WhatsApp; `tries` = sends begun whose fate is unknown, `message_id` stays once chosen."""

    id: int
    chat: str
    xml: str
    message_id: str | None
    tries: int


class OutgoingPart(Part):
    """Rows in the order in which Prosody gave them; `chat` is the caller's key of order and never rewritten."""

    def cursor(self) -> tuple[str, int]:
        """Give generation and number of the last stanza that is safe here; ('', 0) before the first."""
        gen, _, n = self._meta("cursor").rpartition(":")
        return gen, int(n or 0)

    def take(self, gen: str, n: int, rows: Sequence[tuple[str, str]], names: Sequence[str | None] = ()) -> list[int]:
        """Journal `rows` of (chat, xml), and that everything up to number `n` of `gen` is safe; gives the rows' ids.

        `names`: the id under which each is to be sent; without any they are chosen later.

        A number that was taken before in this generation is a repeat: nothing is journaled, [] is given.
        Raises JournalFull, with nothing taken, when too much waits already.
        """
        last_gen, last = self.cursor()
        if gen == last_gen and n <= last:
            return []
        if rows and self.waiting(OUTGOING_MAX - len(rows)) + len(rows) > OUTGOING_MAX:
            raise JournalFull("Too many messages wait to be sent to WhatsApp. Try again later.")
        self._set_meta("cursor", f"{gen}:{n}")
        insert = "INSERT INTO outgoing (chat, xml, message_id) VALUES (?, ?, ?) RETURNING id"
        named = zip(rows, names or [None] * len(rows), strict=True)
        return [self.db.execute(insert, (*row, name)).fetchone()[0] for row, name in named]

    def waiting(self, exact_above: int = 0) -> int:
        """Count the rows; below `exact_above` the span of ids will do, which costs nothing and is never too small."""
        (span,) = self.db.execute(
            "SELECT coalesce((SELECT max(id) FROM outgoing) - (SELECT min(id) FROM outgoing) + 1, 0)"
        ).fetchone()
        if span > exact_above:
            (span,) = self.db.execute("SELECT count(*) FROM outgoing").fetchone()
        return int(span)

    def pending(self, limit: int, after: int = 0) -> list[Outgoing]:
        """Give up to `limit` rows with ids above `after`, oldest first."""
        rows = self.db.execute(
            "SELECT id, chat, xml, message_id, tries FROM outgoing WHERE id > ? ORDER BY id LIMIT ?", (after, limit)
        )
        return [Outgoing(*row) for row in rows]

    def chosen(self, row: int, message_id: str | None) -> str | None:
        """Note that a send is about to begin, under this id; gives the id to use.

        The first id chosen stays for good, so that a repeat after a crash is the same message to WhatsApp. None
        where the driver cannot choose: then more than one try means that it may have gone out already.
        """
        updated = self.db.execute(
            "UPDATE outgoing SET message_id = coalesce(message_id, ?), tries = tries + 1 WHERE id = ?"
            " RETURNING message_id",
            (message_id, row),
        ).fetchone()
        return updated[0] if updated else message_id

    def unsent(self, row: int) -> None:
        """Take back the try that `chosen` counted: nothing has gone out for sure, so `tries` has not grown."""
        self.db.execute("UPDATE outgoing SET tries = max(0, tries - 1) WHERE id = ?", (row,))

    def drop(self, row: int) -> None:
        """Forget a row: it was refused and its sender knows, or nothing was to be sent."""
        self.db.execute("DELETE FROM outgoing WHERE id = ?", (row,))
