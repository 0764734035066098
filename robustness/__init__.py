"""The robustness room: what breaks the model or the federation, and what holds.

Planned here: robust aggregation and byzantine clients, adversarial attacks, corruptions and domain shift, detection
of silent failures, shortcut probes, fairness over subgroups and explanation maps. It stands on ``medfed`` alone;
``sections.py`` will bring its measurements to the audit.
"""
