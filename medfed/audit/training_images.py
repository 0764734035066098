"""What a model does on the images that it was trained on, beside test images: two ways of being bad show there.

One that does much better on them than on test images has learned them by heart (the optimism of Efron 1983, JASA
78:316). One that cannot do them at one site, and can at the others, contradicts the labels there, which may be wrong.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from medfed.audit.contract import AuditContext
from medfed.audit.results import Finding, census
from medfed.audit.verdicts import CONFIDENCE, Verdict, judge
from medfed.data.dataset import image_set
from medfed.metrics.intervals import mean_over_sites
from medfed.report.text import listing, metric_title, short
from medfed.results import Estimate, Evaluation
from medfed.types import ImageSet

_ENOUGH = 10
"""Images of every class, in segmentation images that show it: with fewer, a bootstrap's interval is too narrow."""

Evaluations = Mapping[str, Evaluation]
"""By site, or one for all sites where they share the images."""


def training_sets(context: AuditContext, limit: int) -> dict[str, ImageSet]:
    """At most ``limit`` images of every site that trained, drawn by the seed; none where someone else trained."""
    if not context.trained_here:
        return {}
    data, found = context.dataset, {}
    for site in context.scenario.training_sites:
        rows = context.numpy_generator("performance", site).permutation(context.site(site).train.rows)[:limit]
        if len(rows):
            found[site] = image_set(data.images, data.targets, data.records, np.sort(rows))
    return found


@dataclass(frozen=True)
class OldAndNew:
    """The headline metric at every site, on images of the training and on test images.

    Attributes:
        metric: its key.
        trained: site -> estimate.
        tested: the same on test images; one entry of another name where all sites share them.
        shared: whether they do.
        comparable: sites with enough images of the training to be set beside the others.
    """

    metric: str
    trained: Mapping[str, Estimate]
    tested: Mapping[str, Estimate]
    shared: bool
    comparable: frozenset[str]

    @classmethod
    def of(
        cls, context: AuditContext, sets: Mapping[str, ImageSet], trained: Evaluations, tested: Evaluations
    ) -> "OldAndNew":
        """From the evaluations of all metrics, ``sets`` being what was trained on; undefined figures are left out."""
        metric, shared = context.scenario.headline, not context.scenario.data.partition.keeps_sites
        old = _defined(trained, metric)
        enough = frozenset(name for name in old if min(sets[name].class_counts(context.task.num_classes)) >= _ENOUGH)
        return cls(metric, old, _defined(tested, metric), shared, enough if len(enough) > 1 else frozenset())

    def contradicted(self, threshold: float) -> list[str]:
        """Sites at whose own images of the training the whole interval misses ``threshold`` and what the others reach.

        A model that has learned nothing anywhere contradicts nobody.
        """
        found = []
        for name in sorted(self.comparable):
            e = self.trained[name]
            if judge(e.low, e.high, min(threshold, self._others(name))) is Verdict.FAIL:
                found.append(name)
        return found

    def _others(self, name: str) -> float:
        """The lower end of the mean of the other sites; 0 where there is none."""
        rest = [self.trained[other] for other in sorted(self.comparable - {name})]
        return mean_over_sites(rest).low or 0.0

    def gap(self) -> Estimate:
        """Mean over sites of old minus new, with a normal interval: the images are different ones."""
        sites = [name for name in self.trained if self.shared or name in self.tested]
        old = mean_over_sites([self.trained[name] for name in sites], bounded=False)
        new = mean_over_sites(
            list(self.tested.values()) if self.shared else [self.tested[name] for name in sites], bounded=False
        )
        if old.value is None or new.value is None:
            return Estimate(value=None, low=None, high=None, n=new.n)
        value = old.value - new.value
        if old.se is None or new.se is None:
            return Estimate(value=value, low=None, high=None, n=new.n)
        se = math.hypot(old.se, new.se)
        reach = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2.0) * se
        return Estimate(value=value, low=value - reach, high=value + reach, n=new.n, se=se)

    def findings(self, threshold: float, max_gap: float) -> tuple[Finding, ...]:
        """None where nothing is known of the training."""
        if not self.trained:
            return ()
        gap = Finding(
            what=f"{metric_title(self.metric)} on images of the training minus on test images, mean over sites",
            estimate=self.gap(),
            threshold=max_gap,
            direction="at_most",
            kind="mean",
        )
        if not self.comparable:
            return (gap,)
        wrong = Finding(
            what="Sites whose own training labels the model contradicts",
            estimate=census(len(self.contradicted(threshold)), len(self.comparable)),
            threshold=0.0,
            direction="at_most",
            kind="census",
        )
        return gap, wrong

    def not_tested(self) -> tuple[str, ...]:
        """Sites with too few images to be compared."""
        few = [short(name) for name in self.trained if name not in self.comparable]
        if not few:
            return ()
        what = "whether the model contradicts the training labels of"
        return (f"{what} {listing(few)}: that takes {_ENOUGH} images of every class, there and at another site",)


def _defined(found: Evaluations, metric: str) -> dict[str, Estimate]:
    return {name: each.metrics[metric] for name, each in found.items() if each.metrics[metric].value is not None}
