"""Flower's own server optimizers, fed with a mean that is already made."""

from typing import Any

import flwr.serverapp.strategy.fedavg as flower_fedavg
import numpy as np
import pytest
from flwr.app import Array, ArrayRecord

from medfed.types import Weights


def step(monkeypatch: pytest.MonkeyPatch, rule: Any, number: int, before: Weights, mean: Weights) -> dict[str, Any]:
    """What ``rule`` makes of ``before`` and the mean of the sites' weights, ``before + mean``, in round ``number``."""
    found = ArrayRecord({name: Array(value.numpy() + mean[name].numpy()) for name, value in before.items()})
    monkeypatch.setattr(flower_fedavg.FedAvg, "aggregate_train", lambda self, number, replies: (found, None))
    given = {name: value.numpy() for name, value in before.items()}
    is_record = hasattr(rule, "momentum_vector")  # FedAvgM keeps a record, the others a dict
    rule.current_arrays = ArrayRecord({k: Array(v) for k, v in given.items()}) if is_record else given
    arrays, _ = rule.aggregate_train(number, [])
    return {name: np.asarray(array.numpy()) for name, array in arrays.items()}
