"""Which messages of the owner WhatsApp has taken in the last minutes, so that a client's own repeat is no second one.

A client sends again what its server did not acknowledge (XEP-0198), also when the server had it. Part of
`journal.Journal`; what makes two messages the same is in `features.repeats`.
"""

from collections.abc import Iterable
from typing import Final

from ponton_bridge.store.part import Part

REPEAT_SECONDS: Final = 600  # a client that comes back later asks its archive first
LOOK_SECONDS: Final = 60  # between two looks for old marks


class RepeatsPart(Part):
    """Marks (digests, never content) with the time at which WhatsApp had their message; older ones go by themselves."""

    _looked = 0  # when old ones were looked for last

    def was_taken(self, marks: Iterable[str]) -> bool:
        """Tell whether WhatsApp has a message with one of these marks."""
        now = int(self._clock())
        return any(
            self.db.execute(
                "SELECT 1 FROM taken WHERE mark = ? AND time BETWEEN ? AND ?",
                (mark, now - REPEAT_SECONDS, now + REPEAT_SECONDS),
            ).fetchone()
            for mark in marks
        )

    def note_taken(self, marks: Iterable[str]) -> None:
        """Note that WhatsApp has this message; forget what is too old, or lies in the future of a clock put back."""
        now = int(self._clock())
        if not 0 <= now - self._looked < LOOK_SECONDS:  # a look reads the whole table
            self.db.execute("DELETE FROM taken WHERE NOT time BETWEEN ? AND ?", (now - REPEAT_SECONDS, now))
            self._looked = now
        self.db.executemany(
            "INSERT INTO taken VALUES (?, ?) ON CONFLICT DO UPDATE SET time = excluded.time",
            [(mark, now) for mark in marks],
        )
