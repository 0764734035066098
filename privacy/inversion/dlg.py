"""Deep Leakage from Gradients (Zhu, Liu and Han, NeurIPS 2019): L-BFGS on the squared distance, in float64."""

from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from medfed.registry import plugin
from privacy.inversion.contract import Search
from privacy.inversion.fields import Count, NonNegative
from privacy.inversion.terms import Terms


@plugin
class DLG:
    """L-BFGS-B (Byrd, Lu, Nocedal and Zhu 1995) on all pixels, inside [0, 1], one start after the other.

    Made for smooth networks: where the model has kinks (ReLU, max pooling), the second derivatives that L-BFGS collects
    do not hold, and Adam gets further.

    Attributes:
        iterations: evaluations, over all restarts.
        restarts: starts; a further one begins where the one before has stalled.
        history: pairs that L-BFGS keeps.
        search_labels: search for unknown classes along with the pixels, as the paper does, instead of counting them
            from the last bias first (Zhao et al. 2020, iDLG).
        total_variation: weight of total variation.
        mask_zeros: leave out entries that are exactly zero in the update.
    """

    precision: ClassVar[Literal["float32", "float64"]] = "float64"

    iterations: Count = 1000
    restarts: Count = 4
    history: Count = 50
    search_labels: bool = False
    total_variation: NonNegative = 0.0
    mask_zeros: bool = False

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """Run the starts in turn until the iterations are used up."""
        terms = Terms(distance="squared", mask_zeros=self.mask_zeros, total_variation=self.total_variation, passes=1.0)
        images, labels = search.start(self.restarts, generator, search_labels=self.search_labels)
        run = _Run(search, terms, images[:1], labels[:1], search.iterations(self.iterations))
        for row in range(self.restarts):
            bounds = [(0.0, 1.0)] * images[row].numel() + [(None, None)] * labels[row].numel()
            options = {"maxcor": self.history, "maxiter": run.total, "maxfun": run.total, "ftol": 0.0, "gtol": 0.0}
            start = torch.cat([images[row].flatten(), labels[row].flatten()]).numpy()
            if run.left:
                minimize(run.value, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options, callback=run.go)


class _Run:
    """The search as scipy wants it: a function of one flat vector."""

    def __init__(self, search: Search, terms: Terms, images: Tensor, labels: Tensor, total: int) -> None:
        self.total, self._search, self._terms, self._done = total, search, terms, 0
        self._images, self._labels = images, labels
        self._last: tuple[float, NDArray[Any]] | None = None

    @property
    def left(self) -> bool:
        return self._search.running and self._done < self.total

    def value(self, vector: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        """Loss and gradient; past the limits the last ones again, until L-BFGS comes to ask :meth:`go`."""
        if not self.left and self._last is not None:
            return self._last
        flat = torch.from_numpy(vector.copy())
        pixels = self._images.numel()
        found = self._search.evaluate(
            flat[:pixels].reshape(self._images.shape), flat[pixels:].reshape(self._labels.shape), self._terms
        )
        self._done += 1
        self._search.report(self._done / self.total)
        gradient = torch.cat([found.images.flatten(), found.labels.flatten()])
        self._last = float(found.loss), gradient.double().numpy().astype(np.float64)
        return self._last

    def go(self, _: NDArray[Any]) -> None:
        """Stop L-BFGS where nothing is left."""
        if not self.left:
            raise StopIteration
