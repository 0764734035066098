"""Names that a client strategy and a server strategy share, beyond the weights: of extra tensors and of metrics.

They stand apart from :mod:`medfed.messages`, which needs the scenario, which needs the strategies.
"""

CONTROL = "control"
"""Control variates of SCAFFOLD: the server's own on the way down, the site's change of its own on the way up."""

RELEASES = "releases"
"""Metric of a site that adds noise itself: how often it has released something in this round, as its ledger has it."""

EFFECTIVE_STEPS = "effective_steps"
"""Metric of FedNova: by how much the site divided the change of its parameters."""
