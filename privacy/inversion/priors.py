"""What images are like, whatever the update says: smooth, and the same in every pass."""

import torch
from jaxtyping import Float
from torch import Tensor

from medfed.types import Weights
from privacy.inversion.schedule import Schedule


def total_variation(images: Float[Tensor, "slot channel *space"]) -> Float[Tensor, ""]:
    """The sum over axes of the mean absolute difference of neighbours (Rudin, Osher and Fatemi 1992, anisotropic)."""
    differences = (torch.diff(images, dim=axis).abs().mean() for axis in range(2, images.ndim))
    return torch.stack(list(differences)).sum()


def pass_mismatch(images: Float[Tensor, "slot channel *space"], schedule: Schedule) -> Float[Tensor, ""]:
    """The mean squared distance of each whole pass's mean image from their mean.

    The mean image does not depend on the order within a pass (Dimitrov et al. 2022, section 4.3, with g the mean).
    """
    whole = [slots for slots in schedule.passes if len(slots) == schedule.num_examples]
    means = torch.stack([images[list(slots)].mean(0) for slots in whole])
    return ((means - means.mean(0)) ** 2).mean()


def statistics_mismatch(
    simulated: dict[str, tuple[Tensor, Tensor]], before: Weights, seen: Weights, shares: dict[str, float], steps: int
) -> Float[Tensor, ""]:
    """How far the running statistics of BatchNorm are from those that were sent, mean over layers and channels.

    In units of the running variance, and divided by the share 1 - (1 - m)^steps of a running value that stems from the
    round, so that after one step it compares with the batch's own statistics. What was not sent is taken as unchanged.

    Args:
        simulated: (mean, variance) by layer after the simulated steps.
        before: global state dict.
        seen: the change that was sent, where it was.
        shares: momentum m by layer.
        steps: optimizer steps.
    """
    errors = []
    for name, (mean, variance) in simulated.items():
        part = 1.0 - (1.0 - shares[name]) ** steps
        after = {}
        for kind in ("running_mean", "running_var"):
            key = f"{name}.{kind}"
            after[kind] = before[key].to(mean) + (seen[key].to(mean) if key in seen else 0.0)
        unit = after["running_var"].clamp_min(1e-6)
        errors.append((((mean - after["running_mean"]) / part) ** 2 / unit).mean())
        errors.append((((variance - after["running_var"]) / part / unit) ** 2).mean())
    return torch.stack(errors).mean()
