"""The data plane of Ponton: what runs once per account."""
