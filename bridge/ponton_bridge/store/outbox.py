"""What is on its way to Prosody: stanzas under the journal's own sequence numbers, until Prosody's count covers them.

The numbers never repeat and never go back, also over restarts: Prosody keeps the highest per owner and drops what
it has (component-shards/1, sections 1.0 and 1.6). Part of `journal.Journal`.
"""

from typing import Final

from ponton_bridge.store.errors import JournalFull, StanzaTooLarge
from ponton_bridge.store.part import Part

OUTBOX_MAX: Final = 50_000  # rows; a day of a very busy account while the XMPP server is away
MAX_STANZA: Final = 250_000  # bytes; the server closes the stream at 262,144, and the number is added on the way


class OutboxPart(Part):
    """Durable stanzas towards the owner."""

    def emit(self, xml: str) -> int:
        """Journal a stanza; gives its sequence number. Raises StanzaTooLarge or JournalFull with nothing journaled."""
        if len(xml.encode()) > MAX_STANZA:
            raise StanzaTooLarge("This message is too large for XMPP.")
        if self.uncovered() >= OUTBOX_MAX:
            raise JournalFull("Too many messages wait for the XMPP server.")
        (seq,) = self.db.execute("INSERT INTO outbox (xml) VALUES (?) RETURNING seq", (xml,)).fetchone()
        return int(seq)

    def uncovered(self) -> int:
        """Count the rows: numbers are given without gaps and covered from below, so their span is their count."""
        (span,) = self.db.execute(
            "SELECT coalesce((SELECT max(seq) FROM outbox) - (SELECT min(seq) FROM outbox) + 1, 0)"
        ).fetchone()
        return int(span)

    def outbox(self, after: int, limit: int) -> list[tuple[int, str]]:
        """Give up to `limit` (sequence number, stanza) above `after`, in order."""
        rows = self.db.execute("SELECT seq, xml FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit))
        return rows.fetchall()

    def covered(self, seq: int) -> int:
        """Forget everything up to `seq`: Prosody has it on disk. Gives how many rows went."""
        return self.db.execute("DELETE FROM outbox WHERE seq <= ?", (seq,)).rowcount

    def continue_from(self, highest: int) -> int:
        """Let the numbers go on above `highest`, which Prosody has seen; gives how many rows got new numbers.

        Does nothing for a store that gave those numbers itself. In a fresh one (the old was lost) rows that wait
        would be taken for repeats: they move above `highest`, in order.
        """
        row = self.db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
        if highest <= (row[0] if row else 0):
            return 0
        moved = self.db.execute("UPDATE outbox SET seq = seq + ?", (highest,)).rowcount
        top = highest + (row[0] if row else 0)
        if row:
            self.db.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'outbox'", (top,))
        else:
            self.db.execute("INSERT INTO sqlite_sequence VALUES ('outbox', ?)", (top,))
        return moved
