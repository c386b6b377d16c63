"""Random stanzas, events and bytes through every converter, many and fast; `python -m tests.fuzz --help`."""
