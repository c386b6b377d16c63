"""One conversation feature a file: WhatsApp events to stanzas, stanzas to WhatsApp commands."""
