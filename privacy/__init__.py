"""The privacy room: what leaves a site, what it costs, and what an attacker could read from it.

Planned here: the ledger of releases and its accountants, training with differential privacy (per record, patient
and site), secure aggregation, gradient inversion, membership inference and canaries. It stands on ``medfed``
alone; ``sections.py`` will bring its measurements to the audit.
"""
