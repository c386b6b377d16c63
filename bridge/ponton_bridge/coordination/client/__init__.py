"""The Redis client of both planes: `shard` for the data plane, `door` and `acl` for the control plane."""
