"""A linear model on two coarse halves of the film: all sites of an IID federation agree on where its bias goes."""

from torch import nn

from medfed.registry import plugin
from medfed.types import Task


@plugin
class Linear:
    """Flatten, then one linear layer."""

    def __call__(self, task: Task) -> nn.Module:
        """Build the module."""
        return nn.Sequential(nn.Flatten(), nn.Linear(task.channels * task.image_size**2, task.num_outputs))
