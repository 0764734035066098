"""How sure a model is of the truth: the logit of its probability, which is close to Gaussian over trained models.

    log(p / (1 - p)) = z_y - log(sum_{c != y} exp z_c)        (Carlini et al., IEEE S&P 2022, section IV-B and VI-A)

This form does not saturate: p itself rounds to 1 long before models cease to differ.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from medfed.training.heads import class_logits
from medfed.training.predictions import logits_in_batches
from medfed.types import ImageSet

_LEAST_LOSS = 1e-12


def confidence(logits: Float[Tensor, "batch output ..."], targets: Int[Tensor, "batch ..."]) -> Float[Tensor, " batch"]:
    """The logit of the probability of the truth, in float64; of an image's pixels, of their geometric mean.

    Args:
        logits: of a classifier, or of each pixel.
        targets: class indices.
    """
    scores = class_logits(logits.double())
    of_truth = scores.gather(1, targets[:, None])
    others = scores.scatter(1, targets[:, None], -torch.inf).logsumexp(dim=1)
    margins = of_truth[:, 0] - others
    if margins.ndim == 1:
        return margins
    loss = nn.functional.softplus(-margins).flatten(1).mean(dim=1)
    return -torch.log(torch.expm1(loss.clamp(min=_LEAST_LOSS)))


def confidences(model: nn.Module, images: ImageSet, batch_size: int) -> NDArray[np.float64]:
    """:func:`confidence` of all ``images`` in order, in evaluation mode.

    Raises:
        ValueError: there are no images.
    """
    found = [confidence(*batch) for batch in logits_in_batches(model, images, batch_size)]
    return torch.cat(found).numpy()
