"""What a site refuses to train on: rounds that are made to show single images, whatever the rest of the run is like.

An honest-but-curious server reads updates; a malicious one also chooses what they are computed from. Weights whose rows
are copies of one another measure every image by one number and sort the images of a batch into bins by their biases;
the gradients of neighbouring bins differ by a single image, exactly (Fowl et al., "Robbing the Fed", ICLR 2022). A
batch of one image needs no such trap: behind a linear layer its gradient is the image (Phong et al., IEEE TIFS 2018).
A batch of one class has no second class to hide among, and its label is known.

The site's own configuration decides, never a message. ``--node-config``:

| key | default | meaning |
| --- | --- | --- |
| ``refuse-copied-rows`` | true, in a simulation false | no weights with rows that are copies of each other |
| ``least-batch`` | 2, in a simulation 1 | images in every step |
| ``least-classes`` | 1 | classes in every step of a classifier |

Nothing is trained in a round that is refused. A trap that is hidden better (Fowl et al.; Boenisch et al., EuroS&P 2023)
is not seen: these checks are no proof that weights are honest. Where training is private per image or patient, steps
are drawn in secret and noised, and only rows are checked.
"""

from collections.abc import Iterator

import numpy as np
import torch
from flwr.app import Context
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from client.site import is_simulated
from medfed.config import Scenario
from medfed.errors import RefusedError, SiteError
from medfed.messages import Request
from medfed.rng import numpy_generator
from medfed.training.local import batches, steps_per_round
from medfed.types import SiteData, Weights
from privacy.mechanisms.contract import TrainingMechanism

LEAST_LENGTH = 8
"""Values of a row below which two rows may well point the same way by chance."""

SAME = 1e-4
"""1 - cosine below which one row counts as a copy of another: an angle of 0.8 degrees, which two random rows of 9
values have with a probability below 1e-15."""

_AT_ONCE = 1024
"""Rows compared with all before them: 4 MB for every thousand of these."""


def require_allowed(request: Request, context: Context, data: SiteData) -> None:
    """Refuse a round that the site's policy does not allow.

    Raises:
        RefusedError: says what the round is like, and which key of the policy forbids it.
        SiteError: the policy is no policy.
    """
    simulated = is_simulated(context)
    if _switch(context, "refuse-copied-rows", not simulated):
        copied = copied_rows(request.weights)
        if copied:
            name, number, rows = copied
            raise RefusedError(
                f'round {request.round}: {number} of the {rows} rows of the weights "{name}" are copies of others, '
                "as of weights made to show single images; nothing was trained; if they are meant so, "
                "--node-config refuse-copied-rows=false"
            )
    least, classes = _number(context, "least-batch", 1 if simulated else 2), _number(context, "least-classes", 1)
    if isinstance(request.scenario.privacy.mechanism, TrainingMechanism) or max(least, classes) == 1:
        return
    for labels in _steps(request.scenario, data, request.round):
        if len(labels) < least:
            raise RefusedError(
                f"round {request.round}: expected {least} images or more in every step (least-batch), got "
                f"{len(labels)}; nothing was trained; raise training.batch_size"
            )
        if labels.ndim == 1 and len(np.unique(labels)) < classes:
            raise RefusedError(
                f"round {request.round}: expected {classes} classes or more in every step (least-classes), got "
                f"{len(np.unique(labels))}; nothing was trained; raise training.batch_size"
            )


def copied_rows(weights: Weights) -> tuple[str, int, int] | None:
    """The first entry, by name, with rows that are copies: (name, number of such rows, rows); None where none has.

    A row holds the weights that lead to one output, of a layer or a filter. Copies point the same way or the opposite
    one, whatever their lengths. Rows of zeros, which measure nothing, are left out.
    """
    for name in sorted(weights):
        value = weights[name]
        if value.ndim >= 2 and value.is_floating_point() and value[0].numel() >= LEAST_LENGTH:
            number = int(_copies(value.flatten(1).float()).sum())
            if number:
                return name, number, len(value)
    return None


def _copies(rows: Tensor) -> Int[Tensor, " row"]:
    """1 for each row that is a copy of an earlier one; some rows at a time are compared, so that memory stays small."""
    units = functional.normalize(rows, dim=1)
    found = torch.zeros(len(rows), dtype=torch.int32)
    for start in range(0, len(rows), _AT_ONCE):
        block = units[start : start + _AT_ONCE]
        alike = (block @ units[: start + len(block)].T).abs() > 1.0 - SAME
        found[start : start + len(block)] = alike.tril(start - 1).any(1)
    return found


def _steps(scenario: Scenario, data: SiteData, round_number: int) -> Iterator[NDArray[np.int64]]:
    """The labels of each step that the round will take, as :func:`medfed.training.local.training_batches` draws it."""
    training, held = scenario.training, data.train
    order = numpy_generator(scenario.seed, data.site, round_number, "batches")
    for positions in batches(len(held), training.batch_size, steps_per_round(training, len(held)), order):
        yield held.targets[held.rows[positions]]


def _switch(context: Context, key: str, default: bool) -> bool:
    value = context.node_config.get(key, default)
    if not isinstance(value, bool):
        raise SiteError(f"--node-config {key}: expected true or false, got {value!r}")
    return value


def _number(context: Context, key: str, default: int) -> int:
    value = context.node_config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SiteError(f"--node-config {key}: expected a whole number of 1 or more, got {value!r}")
    return value
