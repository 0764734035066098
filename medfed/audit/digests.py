"""What a model, data and a scenario are, as SHA-256 digests from which nothing can be read back."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from medfed.config import Scenario
from medfed.data.dataset import Dataset
from medfed.types import Weights


def weights_digest(weights: Weights) -> str:
    """Of every name, dtype, shape and value, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        value = weights[name].contiguous()
        digest.update(repr((name, str(value.dtype), tuple(value.shape))).encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def rows_digest(dataset: Dataset, rows: NDArray[np.int64]) -> str:
    """Of the decoded images and targets of ``rows``, in their order; files may move or change their format."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(dataset.images[row].tobytes())
        digest.update(dataset.targets[row].tobytes())
    return digest.hexdigest()


def scenario_digest(scenario: Scenario) -> str:
    """Of the scenario without where the data lie."""
    return hashlib.sha256(scenario.travelling_text().encode()).hexdigest()
