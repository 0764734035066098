"""What ``medfed privacy attack`` and the audit attack with, unless they are told otherwise."""

ATTACK = "row_space"
"""One of ``medfed list inversions``."""
