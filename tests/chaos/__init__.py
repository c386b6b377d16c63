"""Chaos: the whole system under a seeded storm of faults, and a checker that reads both ends. `make chaos`."""
