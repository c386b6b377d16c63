"""Pure plans: what is, what is wanted, the time; out come actions. No I/O, no clock, no library of a driver."""
