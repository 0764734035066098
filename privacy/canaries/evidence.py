"""The canaries' word on a scenario's mechanism, as checks and a table of the audit."""

from typing import NamedTuple

import numpy as np

from medfed.audit.results import Check, Table
from privacy.canaries.gaussian_fit import fit_gaussian
from privacy.canaries.noise_audit import audit_noise, released_for_audit
from privacy.canaries.one_run import audit_one_run
from privacy.canaries.release import release_canaries
from privacy.gaussian import gaussian_epsilon
from privacy.mechanisms.contract import ServerMechanism, SharedMechanism, SiteMechanism, TrainingMechanism


class Evidence(NamedTuple):
    """Checks that must hold, and the bounds beside the claim."""

    checks: tuple[Check, ...]
    table: Table


def canary_evidence(
    mechanism: ServerMechanism | SiteMechanism | SharedMechanism | TrainingMechanism,
    delta: float,
    num_canaries: int,
    generator: np.random.Generator,
) -> Evidence:
    """Send canaries through the code of ``mechanism``, and compare one release with what is claimed of it.

    Args:
        mechanism: any that protects something.
        delta: at which epsilon is stated.
        num_canaries: 50 or more.
        generator: of coins and noise.

    Raises:
        ValueError: the mechanism protects nothing.
    """
    released = released_for_audit(mechanism, num_canaries, generator.standard_normal)
    noise, number = audit_noise(*released), len(released.responses)
    included = generator.random(num_canaries) < 0.5
    scores = release_canaries(mechanism, included, generator.standard_normal).responses
    shown, fitted = audit_one_run(scores, included, delta), fit_gaussian(scores, included, delta)
    claim = gaussian_epsilon(1.0 / noise.claimed, delta)
    able = (
        "could refute it" if shown.can_refute(claim) else f"cannot refute it: at most {shown.largest:.2f} can be shown"
    )
    checks = (
        Check(
            what=f"The noise is as claimed, or more (multiplier {noise.claimed:.3g}, {number} responses of canaries)",
            holds=noise.enough_noise,
            observed=f"at most {noise.most_noise:.3g}",
        ),
        Check(
            what="No contribution counts for more than the claimed sensitivity",
            holds=noise.weight_within,
            observed=f"at least {noise.least_weight:.3g} of it",
        ),
    )
    rows = (
        ("claimed", claim, "the noise multiplier, exactly"),
        ("one run, at least", shown.epsilon, f"{shown.right} of {shown.guesses} guesses right; {able}"),
        ("Gaussian fit", fitted.epsilon, "if the mechanism is Gaussian"),
        ("Gaussian fit, at least", fitted.low, "if the mechanism is Gaussian"),
    )
    title = (
        f"Epsilon of one release of the mechanism at delta {delta:g}, with {num_canaries} canaries, at 95 % confidence"
    )
    return Evidence(checks, Table(title=title, columns=("By", "Epsilon", "On what"), rows=rows))
