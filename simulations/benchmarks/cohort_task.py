"""The task of :mod:`simulations.benchmarks.cohort`: data, network and scenario.

It is the CIFAR-10 harness of pfl-research (``benchmarks/image_classification/configs/baseline.yaml``) on
PneumoniaMNIST: 1000 users with 50 images each, cohorts of 50, one local epoch, batches of 10, SGD with 0.1.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from medfed.config import Scenario, validate
from medfed.data.location import resolve_path
from medfed.models.initial import initial_weights
from medfed.registry import plugin
from medfed.types import SPLITS, Task
from server.federation import sampled_sites
from simulations.benchmarks.peers.two_conv import two_conv

SOURCE = "package:medfed/data/samples/pneumoniamnist/pneumoniamnist.npz"


@plugin
class TwoConv:
    """The network that all programs train; see :func:`two_conv`."""

    kinds: ClassVar[tuple[str, ...]] = ("classification",)
    width: Annotated[int, Field(ge=1)] = 32

    def __call__(self, task: Task) -> nn.Module:
        """Build the module."""
        return two_conv(task.channels, task.image_size, task.num_outputs, self.width)


@plugin
class InOrder:
    """Consecutive images to each site, split by split: user i holds the same images in every program."""

    keeps_sites: ClassVar[bool] = True
    num_sites: Annotated[int, Field(ge=1)]

    def __call__(
        self,
        labels: NDArray[np.int64] | None,
        patients: Sequence[str],
        sites: Sequence[str],
        generator: np.random.Generator,
        min_images: int,
    ) -> tuple[str, ...]:
        """``train_images[17]`` goes to the site whose turn it is."""
        parts = [name.removesuffix("]").partition("[") for name in patients]
        sizes = Counter(split for split, _, _ in parts)
        return tuple(site_name(int(index) * self.num_sites // sizes[split]) for split, _, index in parts)


def site_name(user: int) -> str:
    """Sorts as the users count."""
    return f"user-{user:05d}"


def write_data(path: Path, users: int, cohort: int, images_per_user: int) -> None:
    """A MedMNIST file whose training images are repeated, shuffled anew each time, until every user has enough.

    Every site needs validation and test images too: one each, the first ``num_test`` test images being the real ones.
    """
    generator = np.random.default_rng(0)
    with np.load(resolve_path(SOURCE)) as source:
        arrays: dict[str, Any] = {}
        for split in SPLITS:
            images, labels = source[f"{split}_images"], source[f"{split}_labels"]
            wanted = users * images_per_user if split == "train" else max(users, len(images))
            order = np.concatenate([generator.permutation(len(images)) for _ in range(wanted // len(images) + 1)])
            rows = (order if split == "train" else np.arange(wanted) % len(images))[:wanted]
            arrays[f"{split}_images"], arrays[f"{split}_labels"] = images[rows], labels[rows].ravel()
        np.savez(path, **arrays, num_test=len(source["test_images"]), num_users=users, cohort=cohort)


def cohort_scenario(data: Path, rounds: int, width: int, seed: int, workers: int) -> Scenario:
    """The harness on a file of :func:`write_data` as a scenario; no baselines, validation in the last round only."""
    with np.load(data) as file:
        users, cohort = int(file["num_users"]), int(file["cohort"])
    return validate(
        {
            "name": "cohort",
            "seed": seed,
            "task": {"kind": "classification", "classes": ("normal", "pneumonia")},
            "data": {
                "path": str(data),
                "image_size": 28,
                "min_images_per_site": 1,
                "partition": {"name": f"{__name__}:InOrder", "num_sites": users},
            },
            "model": {"name": f"{__name__}:TwoConv", "width": width},
            "training": {
                "rounds": rounds,
                "local_epochs": 1,
                "batch_size": 10,
                "loss": "cross_entropy",
                "optimizer": {"name": "sgd", "lr": 0.1},
            },
            "federation": {
                "strategy": {"name": "fedavg", "weighting": "uniform"},
                "sites_per_round": cohort,
                "sites": tuple(map(site_name, range(users))),
            },
            "evaluation": {"every": rounds, "resamples": 100},
            "baselines": {"local": False, "pooled": False},
            "engine": {"workers": workers},
        },
        "cohort",
    )


def write_start(path: Path, scenario: Scenario) -> None:
    """What the peers need to start as we do: the first weights, and the users of every round."""
    rounds = range(1, scenario.training.rounds + 1)
    cohorts = [[int(site.rpartition("-")[2]) for site in sampled_sites(scenario, number)] for number in rounds]
    weights: dict[str, Any] = {name: value.numpy() for name, value in initial_weights(scenario).items()}
    np.savez(path, cohorts=np.array(cohorts), **weights)
