"""Drivers that observe and act: one machine (local_*), later Kubernetes; and how both reach Prosody and Redis."""
