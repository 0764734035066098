"""What every architecture promises."""

from typing import ClassVar, Protocol, runtime_checkable

from torch import nn

from medfed.types import Task


@runtime_checkable
class Model(Protocol):
    """An architecture: hyper-parameters in the fields, ``__call__`` builds the module for a task.

    The module maps images in [0, 1] of shape (batch, task.channels, height, width) to logits: (batch,
    task.num_outputs) in classification, (batch, task.num_outputs, height, width) in segmentation. It centers its
    input itself, so nobody else normalizes. Fresh weights come from the global torch generator; the caller seeds it.
    No operation works in place, because per-sample gradients and attacks hook into the module.
    """

    kinds: ClassVar[tuple[str, ...]]

    def __call__(self, task: Task) -> nn.Module:
        """Build the module with fresh weights.

        Raises:
            ScenarioError: the architecture cannot serve this task, e.g. the images are too small for it.
        """
        ...
