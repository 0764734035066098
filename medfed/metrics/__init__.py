"""Metrics as pure functions under sample weights, and their intervals."""
