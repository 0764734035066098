"""What a model does on the images that it was trained on, beside test images: two ways of being bad show there.

One that does much better on them than on test images has learned them by heart (the optimism of Efron 1983, JASA
78:316). One that cannot do them at one site, and can at the others, contradicts the labels there, which may be wrong.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from medfed.audit.contract import AuditContext
from medfed.audit.intervals import difference, mean_of, simultaneous
from medfed.audit.results import Finding, census
from medfed.audit.scored import ENOUGH, Scored
from medfed.audit.verdicts import Verdict, judge
from medfed.data.dataset import image_set
from medfed.report.text import listing, metric_title, short
from medfed.results import Estimate
from medfed.types import ImageSet

AllScored = Mapping[str, Scored]
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
        beside: site -> estimate on images of the training, of the sites with enough of them to be set beside each
            other; the intervals hold at all of these sites at once.
        enough: whether there are enough images, over all sites, to decide on the difference of old and new.
    """

    metric: str
    trained: Mapping[str, Estimate]
    tested: Mapping[str, Estimate]
    shared: bool
    beside: Mapping[str, Estimate]
    enough: bool = True

    @classmethod
    def of(cls, context: AuditContext, trained: AllScored, tested: AllScored) -> "OldAndNew":
        """From all that was scored; undefined figures are left out."""
        metric, shared = context.scenario.headline, not context.scenario.data.partition.keeps_sites
        old, new = _defined(trained, metric), _defined(tested, metric)
        enough = {name: found for name, found in old.items() if min(found.num_patients) >= ENOUGH}
        confidence = simultaneous(len(enough))
        beside = {name: found.estimate(metric, confidence) for name, found in enough.items()}
        return cls(
            metric,
            {name: found.estimate(metric) for name, found in old.items()},
            {name: found.estimate(metric) for name, found in new.items()},
            shared,
            beside if len(beside) > 1 else {},
            _enough_together(old) and _enough_together(new),
        )

    def contradicted(self, threshold: float) -> list[str]:
        """Sites at whose own images of the training the whole interval misses ``threshold`` and what the others reach.

        A model that has learned nothing anywhere contradicts nobody.
        """
        found = []
        for name in sorted(self.beside):
            e = self.beside[name]
            if judge(e.low, e.high, min(threshold, self._others(name))) is Verdict.FAIL:
                found.append(name)
        return found

    def _others(self, name: str) -> float:
        """The lower end of the mean of the other sites; 0 where there is none."""
        rest = [self.beside[other] for other in sorted(self.beside.keys() - {name})]
        return (mean_of(rest).low or 0.0) if rest else 0.0

    def gap(self) -> Estimate:
        """Mean over sites of old minus new: the images are different ones, and so independent."""
        sites = [name for name in self.trained if self.shared or name in self.tested]
        old = [self.trained[name] for name in sites]
        new = list(self.tested.values()) if self.shared else [self.tested[name] for name in sites]
        if not old or not new:
            return Estimate(value=None, low=None, high=None, n=0)
        found = difference(mean_of(old), mean_of(new))
        return found if self.enough else found.model_copy(update={"low": None, "high": None})

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
        if not self.beside:
            return (gap,)
        wrong = Finding(
            what="Sites whose own training labels the model contradicts",
            estimate=census(len(self.contradicted(threshold)), len(self.beside)),
            threshold=0.0,
            direction="at_most",
            kind="census",
        )
        return gap, wrong

    def not_tested(self) -> tuple[str, ...]:
        """Sites with too few images to be compared."""
        few = [short(name) for name in self.trained if name not in self.beside]
        if not few:
            return ()
        what = "whether the model contradicts the training labels of"
        return (f"{what} {listing(few)}: that takes {ENOUGH} patients of every class, there and at another site",)


def _defined(found: AllScored, metric: str) -> dict[str, Scored]:
    return {name: each for name, each in found.items() if each.evaluation.metrics[metric].value is not None}


def _enough_together(found: Mapping[str, Scored]) -> bool:
    """Whether every class has enough patients over all sites."""
    return all(sum(numbers) >= ENOUGH for numbers in zip(*(each.num_patients for each in found.values()), strict=True))
