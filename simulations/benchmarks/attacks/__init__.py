"""Strength and cost of the attack ensemble beside pyautoattack (``python -m simulations.benchmarks.attacks``)."""
