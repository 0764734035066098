"""Property inference: what one update betrays of a site's shares of labels.

The attacker is a server that knows the scenario and holds labelled images of its own. It trains from the round's global
weights on draws of those with known shares, as a site would, for as many steps, and sees how far each update moves the
mean logits of its images. A linear map from that movement to the shares, fitted by least squares, is then read for the
real updates. (Of a single gradient the shares follow in closed form, from the last bias, where the probabilities are
known; many steps of Adam leave no such formula.)
"""

import copy
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray
from torch import nn

from medfed.audit.contract import AuditContext
from medfed.data.dataset import image_set
from medfed.models.initial import initial_model
from medfed.params import difference, get_weights, set_weights
from medfed.training.heads import class_logits
from medfed.training.local import train_local
from medfed.training.predictions import logits_in_batches
from medfed.types import ImageSet, Weights
from privacy.leakage.recorded import read_recorded, recorded_messages

Shares = Float64[ndarray, "update class"]
Movements = Float64[ndarray, "update class"]
Rows = Int64[ndarray, " image"]

_RIDGE = 1e-6
"""Of the movements' own scale: keeps the fit defined where two classes move alike."""


class Guess(NamedTuple):
    """Of one recorded update: shares of labels as the attacker reads them, and as they are."""

    round: int
    site: str
    guessed: Float64[ndarray, " class"]
    true: Float64[ndarray, " class"]


def fit_shares(
    movements: Movements, shares: Shares, of: Float64[ndarray, "read class"]
) -> Float64[ndarray, "read class"]:
    """Least squares from movements and a constant to shares; what it gives for ``of``, made shares again.

    Args:
        movements: of updates whose shares are known.
        shares: of their labels, each row summing to 1.
        of: movements whose shares are wanted.
    """
    centre = movements.mean(axis=0)
    scale = max(float((movements - centre).std()), np.finfo(np.float64).tiny)
    design = (movements - centre) / scale
    normal = design.T @ design + _RIDGE * len(design) * np.eye(design.shape[1])
    slopes = np.linalg.solve(normal, design.T @ (shares - shares.mean(axis=0)))
    read = np.clip(shares.mean(axis=0) + (of - centre) / scale @ slopes, 0.0, 1.0)
    found: Float64[ndarray, "read class"] = read / np.maximum(
        read.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny
    )
    return found


def guesses(context: AuditContext, own: ImageSet, num_draws: int) -> Iterator[Guess]:
    """The shares of every recorded update of an honest site, read by the map above.

    Args:
        context: of the audit; a classification.
        own: the attacker's images.
        num_draws: updates that the attacker trains himself, for each recorded round.

    Raises:
        LeakageError: an update or its global weights are missing, masked, or of another architecture.
    """
    scenario, model = context.scenario, initial_model(context.scenario)
    honest = set(scenario.training_sites) - set(scenario.malicious_sites)
    maps: dict[tuple[int, int], tuple[Movements, Shares]] = {}
    for number, site in recorded_messages(context.folder):
        if site not in honest:
            continue
        recorded = read_recorded(context.folder, scenario, number, site)
        set_weights(model, recorded.weights)
        kind = number, recorded.num_steps
        if kind not in maps:
            maps[kind] = _own_updates(context, model, own, number, num_draws, recorded.num_steps)
        movement = _movement(model, recorded.change, own)
        guessed = fit_shares(*maps[kind], movement[None])[0]
        yield Guess(number, site, guessed, _shares(context, context.site(site).train.rows))


def _own_updates(
    context: AuditContext, model: nn.Module, own: ImageSet, number: int, num_draws: int, steps: int
) -> tuple[Movements, Shares]:
    """Movements and shares of updates on the attacker's images, whose shares of labels are drawn evenly."""
    moved, shares, before = [], [], get_weights(model)
    for index in range(num_draws):
        context.progress(f"label shares in round {number}", index / num_draws)
        draws = context.numpy_generator("membership", "label balance", number, index)
        rows, trained = _drawn(own, context.task.num_classes, draws), copy.deepcopy(model)
        data = context.dataset
        images = image_set(data.images, data.targets, data.records, rows)
        train_local(trained, images, context.scenario, f"draw {index}", number, num_steps=steps)
        moved.append(_movement(model, difference(get_weights(trained), before), own))
        shares.append(_shares(context, rows))
    return np.stack(moved), np.stack(shares)


def _drawn(own: ImageSet, num_classes: int, draws: np.random.Generator) -> Rows:
    """As many rows as there are, drawn with replacement, of shares of labels from Dirichlet(1)."""
    labels = own.targets[own.rows]
    present = np.isin(np.arange(num_classes), labels)
    shares = draws.dirichlet(np.ones(num_classes)) * present
    counts = draws.multinomial(len(labels), shares / shares.sum())
    return np.concatenate([draws.choice(own.rows[labels == label], counts[label]) for label in np.flatnonzero(present)])


def _shares(context: AuditContext, rows: Rows) -> Float64[ndarray, " class"]:
    counts = np.bincount(context.dataset.targets[rows], minlength=context.task.num_classes)
    found: Float64[ndarray, " class"] = counts / counts.sum()
    return found


def _movement(model: nn.Module, update: Weights, own: ImageSet) -> Float64[ndarray, " class"]:
    """How far ``update`` moves the mean logits of the attacker's images."""
    after, before = copy.deepcopy(model), get_weights(model)
    set_weights(after, {name: value + update.get(name, 0) for name, value in before.items()})
    found: Float64[ndarray, " class"] = _mean_logits(after, own) - _mean_logits(model, own)
    return found


def _mean_logits(model: nn.Module, images: ImageSet) -> Float64[ndarray, " class"]:
    """Over ``images``; per image they count from their own mean, since a constant says nothing."""
    logits = np.concatenate([class_logits(x.double()).numpy() for x, _ in logits_in_batches(model, images, 256)])
    found: Float64[ndarray, " class"] = (logits - logits.mean(axis=1, keepdims=True)).mean(axis=0)
    return found
