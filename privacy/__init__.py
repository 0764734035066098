"""The privacy room: what leaves a site, what it costs, and what an attacker could read from it.

Promises: mechanisms of differential privacy for images, patients and sites (``mechanisms``, ``training``), accountants
and the ledger of releases, secure aggregation, the statement of a run. Attacks: gradient inversion (``inversion``, and
``leakage`` for what an auditor sees of it), membership inference, canaries. It stands on ``medfed`` alone;
``sections.py`` brings its measurements to the audit.
"""
