"""Heads against attacks, beside torchattacks (``python -m simulations.benchmarks.attack_matrix``)."""
