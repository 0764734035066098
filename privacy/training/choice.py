"""Which back end serves a model, and whether it is right on given images.

The choice follows from model, loss and image size alone, on images that are the same everywhere: never from a timing,
and never from private images. On these it is only checked.
"""

import torch
from torch import nn

from medfed.types import Task, Weights
from privacy.training.backends import BACKENDS
from privacy.training.backends.contract import Backend, SampleLoss, trained
from privacy.training.backends.loop import loop
from privacy.training.clipping import Inputs, Owners, Targets
from privacy.training.names import BackendName
from privacy.training.suitability import trial_images, without_draws

TOLERANCE = {torch.float64: 1e-4, torch.float32: 1e-2}
"""Largest relative error of a clipped sum; layers of bfloat16 are not used in private training."""

_PREFERRED = ("vmap", "hooks", "loop")
_CLIP = 1e-6  # below any gradient that matters, so that every unit counts by its direction alone


def chosen_backend(name: BackendName, model: nn.Module, loss: SampleLoss, task: Task, several: bool) -> str:
    """``name`` itself; for ``auto`` the first of vmap, hooks and loop that is right for this model and loss.

    Args:
        name: what the scenario says.
        model: in the mode in which it trains.
        loss: of logits and targets.
        task: says what images are like.
        several: a unit has several images, or several augmentations of one.

    Raises:
        ValueError: the back end that was asked for is not right, or cannot run the model.
    """
    images, targets = trial_images(task)
    owners = torch.arange(len(images)) // 2 if several else torch.arange(len(images))
    faults = {}
    for each in _PREFERRED if name == "auto" else (name,):
        faults[each] = fault(each, model, loss, images, targets, owners)
        if not faults[each]:
            return each
    raise ValueError("; ".join(f"{each}: {found}" for each, found in faults.items()))


def fault(
    name: str,
    model: nn.Module,
    loss: SampleLoss,
    images: Inputs,
    targets: Targets,
    owners: Owners,
    clip: float = _CLIP,
) -> str:
    """What is wrong with a back end on these images, compared with one backward pass each; empty if nothing is.

    ``clip``: units whose gradients are longer count by their direction, shorter ones for what they are. Of an image
    that the model is sure of, little is left of p - y in float32, and its direction says nothing of the back end.
    """
    try:
        found = relative_error(BACKENDS[name], model, loss, images, targets, owners, clip)
    except Exception as error:  # a model may be a user's own, and Opacus knows few layers
        return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
    most = TOLERANCE[next(iter(trained(model).values())).dtype]
    return "" if found <= most else f"relative error {found:.1g}, expected at most {most:g}"


def relative_error(
    backend: Backend,
    model: nn.Module,
    loss: SampleLoss,
    images: Inputs,
    targets: Targets,
    owners: Owners,
    clip: float = _CLIP,
) -> float:
    """|a - b| / max(|b|, clip), b the sum of clipped gradients by one backward pass per image, a by ``backend``."""
    with torch.random.fork_rng(devices=[]), without_draws(model):
        expected, found = (_vector(each, model, loss, images, targets, owners, clip) for each in (loop, backend))
    return float((found - expected).norm()) / max(float(expected.norm()), clip)


def _vector(
    backend: Backend,
    model: nn.Module,
    loss: SampleLoss,
    images: Inputs,
    targets: Targets,
    owners: Owners,
    clip: float,
) -> torch.Tensor:
    with backend(model, loss, len(images)) as clipper:
        total: Weights = clipper(images, targets, owners, clip).total
    return torch.cat([value.flatten() for value in total.values()]).double()
