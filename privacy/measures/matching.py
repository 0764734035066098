"""Which rebuilt image stands for which true one: an attacker does not know their order."""

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from privacy.measures.images import Images, pairwise_mse


def match(cost: Float[Tensor, "image other"]) -> Int[Tensor, " other"]:
    """The row for each column, each row at most once, of least total cost (Kuhn 1955; Crouse 2016, as scipy solves it).

    Raises:
        ValueError: there are fewer rows than columns.
    """
    if cost.shape[0] < cost.shape[1]:
        raise ValueError(f"expected at least {cost.shape[1]} images for as many true ones; got {cost.shape[0]}")
    rows, columns = linear_sum_assignment(cost.detach().cpu().numpy())
    return torch.from_numpy(rows[np.argsort(columns)].astype(np.int64))


def match_images(images: Images, truth: Images) -> Int[Tensor, " other"]:
    """For each true image, the image that stands for it: one to one, of least total squared error."""
    return match(pairwise_mse(images, truth))


def nearest_images(images: Images, truth: Images) -> Int[Tensor, " other"]:
    """For each true image the nearest one, however often: where fewer are rebuilt than took part.

    This is generous to the attacker, who does not know which image is near to which patient.
    """
    return pairwise_mse(images, truth).argmin(0)


def label_accuracy(found: Int[Tensor, " found"], truth: Int[Tensor, " image"]) -> float:
    """Share of labels that are right, whatever their order: sum over classes of min(count found, true count) / n.

    Raises:
        ValueError: no labels, or not as many as there are true ones.
    """
    if found.shape != truth.shape or truth.ndim != 1 or not len(truth):
        raise ValueError(f"expected {len(truth)} labels, at least one; got shape {tuple(found.shape)}")
    num = int(torch.max(found.max(), truth.max())) + 1
    both = torch.minimum(torch.bincount(found, minlength=num), torch.bincount(truth, minlength=num))
    return int(both.sum()) / len(truth)
