"""The recorded rounds of a run's folder, as detectors read them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from medfed.config import Scenario
from medfed.models.initial import trained_entries
from medfed.params import flatten, load_metadata, load_weights, unflatten
from medfed.types import Weights
from robustness.detection.contract import Round

_GLOBAL = "global.weights.safetensors"


def recorded_rounds(
    folder: Path, scenario: Scenario, loss: Callable[[Weights], float] | None = None
) -> Iterator[Round]:
    """The rounds under ``folder/recorded``, by number; a round of which nothing was accepted is left out.

    Args:
        folder: of a run with ``[record]``.
        scenario: of the run.
        loss: of the weights of a whole model, on the server's own images.
    """
    numbers = sorted(int(path.name) for path in (folder / "recorded").glob("*") if path.name.isdigit())
    for number in numbers:
        of_round = _round(folder / "recorded" / str(number), scenario, number, loss)
        if of_round is not None:
            yield of_round


def _round(folder: Path, scenario: Scenario, number: int, loss: Callable[[Weights], float] | None) -> Round | None:
    names = sorted(trained_entries(scenario))
    rows = {}
    for path in sorted(folder.glob("*.safetensors")):
        if path.name != _GLOBAL:
            update = load_weights(path)
            rows[str(load_metadata(path)["site"])] = flatten({name: update[name] for name in names if name in update})
    if not rows:
        return None
    weights = load_weights(folder / _GLOBAL)
    trained = {name: weights[name] for name in names if name in weights}

    def loss_after(change: Float[Tensor, " value"]) -> float:
        assert loss is not None
        return loss(weights | unflatten(flatten(trained) + change, trained))

    sites = tuple(sorted(rows))
    return Round(number, sites, torch.stack([rows[site] for site in sites]), loss_after if loss else None)
