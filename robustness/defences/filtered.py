"""A model behind a filter: as a module around a trained model, and as a model that a scenario can name."""

from jaxtyping import Float
from torch import Tensor, nn

from medfed.registry import plugin
from medfed.section import plugin_field
from medfed.types import Task
from robustness.defences.filter_contract import Images, InputFilter


class FilteredModule(nn.Module):
    """``model(filter(images))``, differentiable through both."""

    def __init__(self, model: nn.Module, input_filter: InputFilter) -> None:
        super().__init__()
        self.model = model
        self.input_filter = input_filter

    def forward(self, images: Images) -> Float[Tensor, "batch output *place"]:
        """Logits of the filtered images."""
        logits: Tensor = self.model(self.input_filter(images))
        return logits


@plugin
class Filtered:
    """A model that is trained, tested and attacked behind a filter.

    Attributes:
        model: what is behind it.
        filter: what every image passes first.
    """

    model: plugin_field("model")  # type: ignore[valid-type]
    filter: plugin_field("input_filter")  # type: ignore[valid-type]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Those of the model."""
        found: tuple[str, ...] = self.model.kinds
        return found

    def __call__(self, task: Task) -> nn.Module:
        """Build the module."""
        return FilteredModule(self.model(task), self.filter)
