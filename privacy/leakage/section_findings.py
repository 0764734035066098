"""Findings of the section that no control decides: what was looked for in part, and running statistics."""

from medfed.audit.results import Finding, census
from medfed.audit.verdicts import Verdict
from medfed.config import Scenario
from medfed.results import Estimate
from privacy.leakage.campaign import Attacked
from privacy.leakage.observed import noised
from privacy.leakage.statistics import batch_means, told_buffers


def left_open(finding: Finding, why: str) -> Finding:
    """A finding that may fail and clears nobody: only some images were looked for, or the attack is too weak.

    Who was not looked for cannot be named, so that the share is small whatever the update gives away. The interval is
    that of the images measured and says nothing of this; it is left out, and nothing is decided.

    Args:
        finding: on the updates.
        why: it clears nobody.
    """
    if finding.verdict is Verdict.FAIL:
        return finding
    open_estimate = Estimate(value=finding.estimate.value, low=None, high=None, n=finding.estimate.n)
    return Finding(
        what=f"{finding.what}; {why}",
        estimate=open_estimate,
        threshold=finding.threshold,
        direction=finding.direction,
        kind=finding.kind,
    )


def statistics_findings(scenario: Scenario, attacked: list[Attacked]) -> list[Finding]:
    """Buffers that tell of images: entries without noise in a noised update; means of a single batch in any."""
    found = []
    if noised(scenario):
        told = [name for message in attacked for name in told_buffers(message.full.model, message.recorded.change)]
        entries = sum(len(message.recorded.change) for message in attacked)
        found.append(
            Finding(
                what="Entries of noised updates that have no noise and are not zero (running statistics)",
                estimate=census(len(told), entries),
                threshold=0.0,
                direction="at_most",
                kind="census",
            )
        )
    single = [message for message in attacked if message.recorded.num_steps == 1]
    layers = [len(batch_means(m.full.model, m.recorded.weights, m.recorded.change)) for m in single]
    if any(layers):
        found.append(
            Finding(
                what="Updates of one step that give away the mean response of their batch (BatchNorm statistics)",
                estimate=census(sum(number > 0 for number in layers), len(single)),
                threshold=0.0,
                direction="at_most",
                kind="census",
            )
        )
    return found
