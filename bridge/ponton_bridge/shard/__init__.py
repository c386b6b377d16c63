"""The shard program: composition of one account's drivers, machines and features."""
