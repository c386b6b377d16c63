"""Tests of the self-service page in a real browser."""
