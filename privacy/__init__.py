"""The privacy room: what leaves a site, what it costs, and what an attacker could read from it.

Here so far: the exact cost of Gaussian releases, mechanisms for whole sites, the statement of a run. Planned: the
ledger of releases, training with differential privacy per record and patient, secure aggregation, gradient inversion,
membership inference and canaries. It stands on ``medfed`` alone; ``sections.py`` will bring its measurements to the
audit.
"""
