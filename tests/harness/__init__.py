"""Real servers and small clients for tests, the demo and the benches: nothing here is shipped."""
