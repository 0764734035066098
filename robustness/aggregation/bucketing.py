"""Bucketing: a robust rule on means of a few updates each (Karimireddy, He and Jaggi, ICLR 2022, algorithm 1)."""

from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor

from medfed.registry import name_of, plugin
from medfed.section import plugin_field
from medfed.types import Weights
from robustness.aggregation.checks import require_updates
from robustness.aggregation.contract import RobustAggregator, Rows
from robustness.aggregation.foolsgold import FoolsGold
from robustness.aggregation.median import CoordinateMedian
from robustness.aggregation.mixed_rows import MixedRows


def bucket_matrix(order: list[int], size: int) -> Float[Tensor, "bucket site"]:
    """The linear map to the means of ``size`` rows each, taken in ``order``; the last bucket may be smaller."""
    buckets = [order[start : start + size] for start in range(0, len(order), size)]
    matrix = torch.zeros(len(buckets), len(order))
    for row, members in zip(matrix, buckets, strict=True):
        row[members] = 1.0 / len(members)
    return matrix


@plugin
class Bucketing:
    """Shuffle the updates, average them in buckets of ``size``, and give the means to the ``inner`` rule.

    Honest means differ less from each other than honest updates do, which helps where sites are not alike. f dishonest
    updates spoil at most f buckets, so that ``inner`` is given the same f.

    Attributes:
        size: s of the paper, which advises 2; 1 is the inner rule alone.
        inner: any robust rule that needs no names: there are none for buckets.
    """

    size: Annotated[int, Field(ge=1)] = 2
    inner: plugin_field("aggregator") = CoordinateMedian()  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _inner_is_a_robust_rule_without_names(self) -> "Bucketing":
        name = name_of("aggregator", self.inner)
        if not isinstance(self.inner, RobustAggregator):
            raise ValueError(f'inner must be a robust rule, such as "median"; got "{name}", which takes one by one')
        if isinstance(self.inner, FoolsGold):
            raise ValueError(f'inner must be a rule that remembers no site by name, such as "median"; got "{name}"')
        return self

    def min_updates(self) -> int:
        """As many as make the buckets that the inner rule needs."""
        least: int = self.inner.min_updates()
        return (least - 1) * self.size + 1

    def __call__(
        self, rows: Rows, weights: Float[Tensor, " site"], state: Weights, generator: np.random.Generator
    ) -> tuple[Float[Tensor, " value"], Weights]:
        """Means without weights; a bucket has the sum of its sites' weights, the state is the inner rule's."""
        require_updates(self, rows)
        matrix = bucket_matrix(generator.permutation(len(rows.sites)).tolist(), self.size)
        names = tuple(f"bucket-{number}" for number in range(len(matrix)))
        summed = (matrix > 0.0).to(weights.dtype) @ weights
        aggregate: Float[Tensor, " value"]
        aggregate, state = self.inner(MixedRows(rows, matrix, names), summed, state, generator)
        return aggregate, state
