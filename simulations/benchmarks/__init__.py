"""Figures beside the peers' in one run: ``python -m simulations.benchmarks.NAME``."""
