"""Canaries sent through the code of a mechanism: what it releases of contributions that are known exactly.

Canary j is a contribution that points along axis j and is as long as the bound allows: where the mechanism clips by
itself, ten times longer before it does. The release is read along the same axes, in units of the sensitivity that the
mechanism claims.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float64
from numpy import ndarray

from medfed.types import Weights
from privacy.clipping import clip
from privacy.mechanisms.contract import (
    ClippedSum,
    Mechanism,
    ServerMechanism,
    SharedMechanism,
    SiteMechanism,
    TrainingMechanism,
)
from privacy.noise import Normal
from privacy.release import Release

_NAME = "canary"
_LENGTH = 10.0

Taken = Bool[ndarray, " canary"]


class CanaryRelease(NamedTuple):
    """One release of many canaries.

    Attributes:
        responses: along each of them, in units of the claimed sensitivity.
        noise_multiplier: that is claimed.
    """

    responses: Float64[ndarray, " canary"]
    noise_multiplier: float


def release_canaries(
    mechanism: ServerMechanism | SiteMechanism | SharedMechanism | TrainingMechanism, included: Taken, normal: Normal
) -> CanaryRelease:
    """What one round (one step, where steps are noised) releases along every canary, included or not.

    Args:
        mechanism: any that protects something.
        included: which canaries take part.
        normal: standard normal draws, as the mechanism gets them.

    Raises:
        ValueError: it protects nothing.
    """
    if isinstance(mechanism, TrainingMechanism):
        return _step(mechanism, included, normal)
    if isinstance(mechanism, ServerMechanism):
        return _round(mechanism, included, normal)
    claim = mechanism.release(1, 1.0) if isinstance(mechanism, Mechanism) else None
    if claim is None:
        raise ValueError(f"there is no claim to test: {mechanism}")
    if isinstance(mechanism, SharedMechanism):
        return _shared(mechanism, claim, included, normal)
    return _sites(mechanism, claim, included, normal)


def _step(mechanism: TrainingMechanism, included: Taken, normal: Normal) -> CanaryRelease:
    number, claim = len(included), mechanism.steps_release(1, 1.0, 1)
    total = {_NAME: torch.from_numpy(included).float() * mechanism.clip}
    released = mechanism.noisy_gradient(total, float(number), normal)[_NAME]
    return CanaryRelease(released.double().numpy() * number / claim.sensitivity, claim.noise_multiplier)


def _round(mechanism: ServerMechanism, included: Taken, normal: Normal) -> CanaryRelease:
    bound, number = mechanism.bound({}), len(included)
    sent = [clip(_canary(j, number, bound), bound)[_NAME] for j, taken in enumerate(included) if taken]
    total = torch.stack([torch.zeros(number), *sent]).sum(dim=0)
    clipped = ClippedSum({_NAME: total}, 0, len(sent), 1.0, float(number), number)
    released = mechanism.noisy_mean(clipped, {}, normal)[0][_NAME]
    return CanaryRelease(released.double().numpy() / (bound * clipped.largest_share), mechanism.noise_multiplier)


def _shared(mechanism: SharedMechanism, claim: Release, included: Taken, normal: Normal) -> CanaryRelease:
    """A sum in which the noise of the honest alone is: so many more sites are asked than add theirs."""
    number = len(included)
    asked = round(number / mechanism.honest)
    zero = {_NAME: torch.zeros(number)}
    total = torch.zeros(number, dtype=torch.float64)
    for j, taken in enumerate(included):
        change = _canary(j, number, claim.sensitivity) if taken else zero
        total += mechanism.share(change, {_NAME}, asked, normal)[_NAME].double()
    return CanaryRelease(total.numpy() / claim.sensitivity, claim.noise_multiplier)


def _sites(mechanism: SiteMechanism, claim: Release, included: Taken, normal: Normal) -> CanaryRelease:
    number = len(included)
    zero = {_NAME: torch.zeros(number)}
    sent = [
        mechanism.protect(_canary(j, number, claim.sensitivity) if taken else zero, {_NAME}, normal)[_NAME][j]
        for j, taken in enumerate(included)
    ]
    return CanaryRelease(torch.stack(sent).double().numpy() / claim.sensitivity, claim.noise_multiplier)


def _canary(index: int, number: int, bound: float) -> Weights:
    update = torch.zeros(number)
    update[index] = _LENGTH * bound
    return {_NAME: update}
