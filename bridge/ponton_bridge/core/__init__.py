"""Pure machines: events in, effects out; time and randomness are arguments."""
