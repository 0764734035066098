"""The test images of the section on adversarial images, under any attack at any eps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from medfed.audit.contract import AuditContext, TestImages
from medfed.results import Estimate
from robustness.adversarial_scores import Score, Values
from robustness.attacks.contract import Attack
from robustness.attacks.enforcer import run_attack
from robustness.attacks.heads import head_for
from robustness.attacks.result import AttackResult
from robustness.attacks.settings import RunSettings
from robustness.attacks.threat import ThreatModel


@dataclass(frozen=True, eq=False)
class Trial:
    """The drawn test images under any attack at any eps, always with the same seed."""

    context: AuditContext
    tests: TestImages
    score: Score

    def run(self, attack: Attack, eps: float) -> AttackResult:
        """Attack all images within ``eps`` grey levels."""
        return run_attack(
            self.context.model,
            self.tests.images,
            self.tests.labels,
            attack=attack,
            threat=ThreatModel.grey_levels(eps),
            head=head_for(self.context.task),
            criterion=self.score.criterion,
            settings=RunSettings(seed=self.context.seed, stop_when_fooled=self.score.stop_when_fooled),
            progress=lambda name, done: self.context.progress(f"{name}, {eps:g} grey levels", done),
        )

    def of(self, rows: Sequence[int]) -> "Trial":
        """The same on the images at ``rows``."""
        return replace(self, tests=self.tests.take(rows))

    def some(self, limit: int) -> "Trial":
        """The same on at most ``limit`` images, spread evenly over all."""
        return self.of(spread(len(self.tests.images), limit))

    def values(self, attack: Attack, eps: float) -> Values:
        """What is left of each image's score."""
        return self.score.attacked(self.run(attack, eps))

    def estimate(self, values: Values, *stream: str) -> Estimate:
        """The mean with its interval; the same draws for the same ``stream``."""
        generator = self.context.numpy_generator("adversarial", "intervals", *stream)
        return self.score.estimate(values, self.tests.patients, generator)


def spread(number: int, limit: int) -> list[int]:
    """At most ``limit`` of the positions 0 to ``number`` - 1, evenly spread, first and last among them."""
    return [int(position) for position in torch.linspace(0, number - 1, min(limit, number)).long()]
