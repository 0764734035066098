"""The cohort task on pfl-research: its simulated backend, FedAvg and SGD as its own image benchmark uses them.

Runs in ``.venv-peers``: pfl_cohort.py DATA START WIDTH. DATA and START are written by
:mod:`simulations.benchmarks.cohort_task`: the images in order of users; the first weights and the users of every
round. Under ``python -m torch.distributed.run`` its processes share the users. Prints the seconds of every round and
the share of the test images that the last model gets right.
"""

import json
import os
import sys
import time
from typing import Any

os.environ["PFL_PYTORCH_DEVICE"] = "cpu"

import numpy as np
import torch
from pfl.aggregate.simulate import SimulatedBackend  # type: ignore[import-not-found]
from pfl.aggregate.weighting import WeightByUser  # type: ignore[import-not-found]
from pfl.algorithm.base import NNAlgorithmParams  # type: ignore[import-not-found]
from pfl.algorithm.federated_averaging import FederatedAveraging  # type: ignore[import-not-found]
from pfl.data.federated_dataset import FederatedDataset  # type: ignore[import-not-found]
from pfl.hyperparam import NNEvalHyperParams, NNTrainHyperParams  # type: ignore[import-not-found]
from pfl.internal.ops.selector import get_default_framework_module  # type: ignore[import-not-found]
from pfl.metrics import Metrics  # type: ignore[import-not-found]
from pfl.model.pytorch import PyTorchModel  # type: ignore[import-not-found]
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from simulations.benchmarks.peers.two_conv import two_conv


class Clock:
    """A callback of pfl's that looks at the clock after every round."""

    def __init__(self) -> None:
        self.closed: list[float] = []

    def on_train_begin(self, *, model: Any) -> Any:
        """The first round starts."""
        self.closed.append(time.perf_counter())
        return Metrics()

    def after_central_iteration(self, metrics: Any, model: Any, *, central_iteration: int) -> tuple[bool, Any]:
        """A round is closed; go on."""
        self.closed.append(time.perf_counter())
        return False, Metrics()

    def on_train_end(self, *, model: Any) -> None:
        """Nothing to do."""


def network(images: Tensor, width: int, start: Any) -> nn.Module:
    """The network with the two methods that pfl asks for, holding the weights of ``start``."""
    module: Any = two_conv(images.shape[1], images.shape[2], 2, width)
    module.load_state_dict({name: torch.from_numpy(start[name]) for name in module.state_dict()})

    def loss(inputs: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(module.train()(inputs), labels)

    module.loss, module.metrics = loss, lambda inputs, labels: {}
    return module  # type: ignore[no-any-return]


def main(data_path: str, start_path: str, width: int) -> None:
    """Train, evaluate, print."""
    torch.set_num_threads(1)
    data, start = np.load(data_path), np.load(start_path)
    cohorts, users, tests = start["cohorts"], int(data["num_users"]), int(data["num_test"])
    images = torch.from_numpy(data["train_images"]).unsqueeze(1).float() / 255
    labels = torch.from_numpy(data["train_labels"]).long()
    module = network(images, width, start)
    model = PyTorchModel(module, torch.optim.SGD, torch.optim.SGD(module.parameters(), 1.0))
    of_user = dict(enumerate(zip(images.chunk(users), labels.chunk(users), strict=True)))
    turn = iter(cohorts.ravel().tolist())
    dataset = FederatedDataset.from_slices(of_user, lambda: next(turn))
    rounds, cohort_size = cohorts.shape
    clock = Clock()
    FederatedAveraging().run(
        algorithm_params=NNAlgorithmParams(
            central_num_iterations=rounds,
            evaluation_frequency=2 * rounds,
            train_cohort_size=cohort_size,
            val_cohort_size=0,
        ),
        backend=SimulatedBackend(training_data=dataset, val_data=None, postprocessors=[WeightByUser()]),
        model=model,
        model_train_params=NNTrainHyperParams(local_learning_rate=0.1, local_num_epochs=1, local_batch_size=10),
        model_eval_params=NNEvalHyperParams(local_batch_size=50),
        callbacks=[clock],
    )
    test = torch.from_numpy(data["test_images"][:tests]).unsqueeze(1).float() / 255
    with torch.no_grad():
        found = module.eval()(test).argmax(dim=1).numpy()
    share = float((found == data["test_labels"][:tests]).mean())
    if get_default_framework_module().distributed.global_rank == 0:
        print(json.dumps({"seconds": np.diff(clock.closed).tolist(), "accuracy": share}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
