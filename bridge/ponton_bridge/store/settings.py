"""Small values that a shard keeps over restarts: last told reason, limits used. Part of `journal.Journal`."""

from typing import Final

from ponton_bridge.store.part import Part

VALUE_MAX: Final = 64 * 1024  # characters; a setting is a line, not a file


class SettingsPart(Part):
    """Text by key; keys are constants of the code, so their number is bounded by it."""

    def get(self, key: str, default: str = "") -> str:
        """Give a setting, or the default."""
        row = self.db.execute("SELECT value FROM setting WHERE key = ?", (key,)).fetchone()
        return row[0] if row else default

    def set(self, key: str, value: str) -> None:
        """Keep a setting; '' removes it. Raises ValueError when it is no line any more (64 Ki characters)."""
        if len(value) > VALUE_MAX:
            raise ValueError("This is too long for a setting.")
        if value:
            self.db.execute(
                "INSERT INTO setting VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", (key, value)
            )
        else:
            self.db.execute("DELETE FROM setting WHERE key = ?", (key,))
