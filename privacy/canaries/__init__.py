"""Canaries: planted contributions of known direction, by which a claim of differential privacy is put to the test."""
