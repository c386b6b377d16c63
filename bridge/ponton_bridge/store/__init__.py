"""The account's own SQLite: journal, id pairs, addresses, settings, and the lock on it all."""
