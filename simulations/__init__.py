"""Federations inside one machine: the in-process grid, baselines, benchmarks, bundled scenarios."""
