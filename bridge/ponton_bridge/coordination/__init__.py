"""The Redis contract between shards and the control plane, and the client that keeps it."""
