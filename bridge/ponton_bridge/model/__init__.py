"""Plain values that everything above speaks: addresses, errors, link states, stanza trees. No I/O, no library."""
