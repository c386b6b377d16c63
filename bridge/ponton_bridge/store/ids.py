"""Which message is which on both sides, and which of WhatsApp's deliveries were seen before. Part of `journal.Journal`.

Pairs answer replies, reactions, corrections and markers, also after a restart. Both tables are bounded in number
and age; every 256th insertion looks at the bounds, so nobody has to call anything.
"""

from collections.abc import Iterable
from typing import Final

from ponton_bridge.model.books import Pair
from ponton_bridge.store.part import PRUNE_EVERY, PRUNE_ROWS
from ponton_bridge.store.people import PeoplePart

SEEN_MAX: Final = 100_000  # rows, about 15 MiB
SEEN_DAYS: Final = 31  # WhatsApp keeps messages for a device that is away for up to 30 days, then they are gone
PAIRS_MAX: Final = 50_000  # rows, about 15 MiB
PAIR_DAYS: Final = 180  # an answer to something older is sent without its reference
VACUUM_PAGES: Final = 64  # pages given back after a look that found something; 512 rows lie on about 40
UNREAD_MAX: Final = 1000  # pairs in one answer; one read receipt of WhatsApp's own clients names at most so many

_PAIR: Final = "SELECT chat, whatsapp, xmpp, sender, from_me, time FROM pair"


class IdsPart(PeoplePart):
    """Implements `model.books.IdBook`. Chats and senders are canonical keys: the LID, where it is known."""

    def seen(self, chat: str, sender: str, whatsapp: str, kind: str) -> bool:
        """Tell whether this is new, and remember it: a redelivery gives False."""
        inserted = self.db.execute(
            "INSERT INTO seen (chat, sender, whatsapp, kind, day) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING RETURNING id",
            (self.canonical(chat), self.canonical(sender), whatsapp, kind, self._today),
        ).fetchone()
        if inserted and inserted[0] % PRUNE_EVERY == 0:
            self._prune("seen", SEEN_MAX, SEEN_DAYS)
        return inserted is not None

    def remember(self, pair: Pair) -> None:
        """Keep a pair; the same message (chat, sender, WhatsApp id) again gets the newer XMPP id."""
        chat, sender = self.canonical(pair.chat), self.canonical(pair.sender)
        (row,) = self.db.execute(
            "INSERT INTO pair (chat, whatsapp, xmpp, sender, from_me, time, day) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET xmpp = excluded.xmpp, time = excluded.time RETURNING id",
            (chat, pair.whatsapp, pair.xmpp, sender, int(pair.from_me), pair.time, self._today),
        ).fetchone()
        if row % PRUNE_EVERY == 0:
            self._prune("pair", PAIRS_MAX, PAIR_DAYS)

    def by_whatsapp(self, chat: str, whatsapp: str) -> Pair | None:
        """Find by WhatsApp's id. Senders choose their ids: of two with the same, the first one keeps it."""
        return self._find(f"{_PAIR} WHERE chat = ? AND whatsapp = ? ORDER BY id LIMIT 1", chat, whatsapp)

    def by_xmpp(self, chat: str, xmpp: str) -> Pair | None:
        """Find by the id that XMPP clients know; the newest, where a client gives an id twice."""
        return self._find(f"{_PAIR} WHERE chat = ? AND xmpp = ? ORDER BY id DESC LIMIT 1", chat, xmpp)

    def _find(self, query: str, chat: str, message: str) -> Pair | None:
        row = self.db.execute(query, (self.canonical(chat), message)).fetchone()
        return _pair(row) if row else None

    def unread_until(self, chat: str, xmpp: str) -> list[Pair]:
        """Give others' messages up to and with that one that were not marked read, oldest first, at most 1,000.

        [] for an id that is not known. Order is that of arrival here, whatever times the senders claim.
        """
        rows = self.db.execute(
            _PAIR + " WHERE chat = ?1 AND read = 0 AND from_me = 0"  # noqa: S608  # own words
            " AND id <= (SELECT max(id) FROM pair WHERE chat = ?1 AND xmpp = ?2) ORDER BY id LIMIT ?3",
            (self.canonical(chat), xmpp, UNREAD_MAX),
        )
        return [_pair(row) for row in rows]

    def mark_read(self, pairs: Iterable[Pair]) -> None:
        """Note that WhatsApp was told that these were read."""
        self.db.executemany(
            "UPDATE pair SET read = 1 WHERE chat = ? AND whatsapp = ? AND sender = ?",
            [(self.canonical(pair.chat), pair.whatsapp, self.canonical(pair.sender)) for pair in pairs],
        )

    def prune(self) -> int:
        """Look at the bounds now; gives how many rows went, at most some hundred. Call again until it gives 0."""
        gone = self._prune("seen", SEEN_MAX, SEEN_DAYS) + self._prune("pair", PAIRS_MAX, PAIR_DAYS)
        return gone + self.prune_people()

    def _prune(self, table: str, most: int, days: int) -> int:
        gone = self.db.execute(
            f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE day < ?1"  # noqa: S608  # own names
            f" OR id <= (SELECT max(id) FROM {table}) - ?2 ORDER BY id LIMIT ?3)",
            (self._today - days, most, PRUNE_ROWS),
        ).rowcount
        for _ in range(VACUUM_PAGES if gone else 0):
            # COMPAT: sqlite3 of Python (3.11 to 3.14) steps this pragma once, whatever number it is given
            self.db.execute("PRAGMA incremental_vacuum(1)")
        return gone


def _pair(row: tuple[str, str, str, str, int, int]) -> Pair:
    chat, whatsapp, xmpp, sender, from_me, time = row
    return Pair(chat, whatsapp, xmpp, sender, bool(from_me), time)
