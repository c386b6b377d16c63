"""Benches: what the docs cite is measured here, as ratios in one run where the machine is noisy."""
