"""Honest models raise no alarm, robust and segmenting ones included.

Oracle: they are ordinary models, plain or adversarially trained, whose gradients nobody tampered with.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from robustness.attacks.threat import ThreatModel
from tests.robustness.attacks.subjects import (
    Subject,
    checks,
    classes,
    findings,
    linear,
    mask,
    measure,
    one_sigmoid,
    z_scored,
)


def small(subject: Subject, grey_levels: float) -> Subject:
    """At another eps."""
    return replace(subject, threat=ThreatModel.grey_levels(grey_levels))


HONEST: dict[str, Callable[[], Subject]] = {
    "three classes": classes,
    "BatchNorm in eval mode": lambda: classes("batch"),
    "adversarially trained": lambda: classes("group", 3 / 255),
    "one sigmoid": one_sigmoid,
    "one sigmoid, adversarially trained": lambda: one_sigmoid(8 / 255),
    "four findings": findings,
    "four findings, adversarially trained": lambda: findings(4 / 255),
    "logistic regression": linear,
    "mask, one channel": lambda: mask(1),
    "mask, two channels": lambda: mask(2),
    "mask, a quarter of a grey level": lambda: small(mask(1), 0.25),
    "mask, one channel, adversarially trained": lambda: small(mask(1, 2 / 255), 2),
    "mask, one channel, adversarially trained, tiny eps": lambda: small(mask(1, 2 / 255), 0.25),
    "mask, two channels, adversarially trained": lambda: small(mask(2, 2 / 255), 4),
    "mask, adversarially trained, boundary": lambda: replace(
        small(mask(1, 2 / 255), 2), threat=ThreatModel.grey_levels(2, goal="shift")
    ),
    "mask, adversarially trained, L2": lambda: replace(mask(1, 2 / 255), threat=ThreatModel(norm="l2", eps=0.05)),
    "z-scored, right units": lambda: z_scored(right=True),
    "L2": lambda: replace(classes(), threat=ThreatModel(norm="l2", eps=0.3)),
}


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_model_raises_no_alarm(name: str) -> None:
    subject = HONEST[name]()
    measured = measure(subject)
    assert float(measured.clean_success.float().mean()) <= 0.2, "the model must have learnt its task"
    assert [finding for finding in checks(subject, measured) if not finding.holds] == []


def test_adversarial_training_shows_in_the_measurement() -> None:
    # so that "no alarm" is said of a model that is really more robust, too
    assert measure(one_sigmoid(8 / 255)).robust_share > measure(one_sigmoid()).robust_share
