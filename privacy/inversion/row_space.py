"""What an inner convolution took in, by linear algebra, then the image behind it: for networks that hide contrast."""

from collections.abc import Iterable
from typing import ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from medfed.registry import plugin
from privacy.inversion.contract import Inversion, Search
from privacy.inversion.descent import LABEL_STEP
from privacy.inversion.fields import Count, NonNegative, Positive
from privacy.inversion.inverting_gradients import InvertingGradients
from privacy.inversion.layer_inputs import LayerInput, convolutions, network
from privacy.inversion.local_steps import plain
from privacy.inversion.observation import Observation
from privacy.inversion.patches import layer_input_direction, spanned
from privacy.inversion.priors import total_variation
from privacy.inversion.pyramid import Pyramid
from privacy.inversion.terms import Terms

MID = 0.5
"""The intensity about which this project's networks take contrast (:class:`medfed.models.layers.Center`)."""
STARTS = ((0.0, 0.1), (0.4, 0.1), (-0.4, 0.1), (0.4, 0.02), (-0.4, 0.02))
"""(brightness from mid-grey, noise) of the starts: grey, bright, dark, and the last two again with less noise."""

_MOST_DOUBT = 0.01
_LEAST_VALUES = 0.1
"""Input values of a layer, as a share of the image's, from which it is worth a search."""
_HIDDEN = 0.01
_LAST = 0.002
"""The last step size as a share of the first."""
_PER_CHECK = 20
"""Descent steps for each evaluation of the update."""


class Target(NamedTuple):
    """A layer's input as a function of the image, and the direction that it should have."""

    function: LayerInput
    direction: Tensor

    def distance(self, image: Float[Tensor, "1 channel *space"]) -> Float[Tensor, ""]:
        """1 - cosine."""
        return 1.0 - torch.cosine_similarity(self.function(image), self.direction, dim=0)


@plugin
class RowSpace:
    """Two steps, for one image and one step of plain SGD.

    1. The input of the first convolution with no more positions than output channels is read off its weights' gradient
       (:mod:`.patches`), up to a factor.
    2. Adam looks for the image that gives this input: 1 - cosine plus total variation, whose weight falls as (1 - t)^4.
       Comparing what a layer takes in is far better behaved than comparing gradients, and costs a tenth. The image is a
       sum of coarse and fine layers (:mod:`.pyramid`); its start is the best of a few that are dark, grey or bright.

    What the update does not tell, the contrast, is set so that the image departs from mid-grey by ``reach`` at most.
    A mask that is not known is fitted to it at the end. Where no layer can be read, there are several images or
    steps, or the network does not hide contrast, this is ``inverting_gradients``.

    Attributes:
        iterations: evaluations of ``inverting_gradients``, where it is that.
        steps: of Adam, for the image.
        step: the first step size, in intensity.
        total_variation: its weight at the start.
        reach: the largest departure from mid-grey.
        mask_iterations: evaluations for a mask that is not known.
        most_inputs: values that a layer may take in; the memory is about 16 bytes times their square.
    """

    precision: ClassVar[Literal["float32", "float64"]] = "float32"

    iterations: Count = 1000
    steps: Count = 800
    step: Positive = 0.05
    total_variation: NonNegative = 1.5
    reach: Positive = 0.42
    mask_iterations: Count = 60
    most_inputs: Count = 4096

    @property
    def otherwise(self) -> InvertingGradients:
        """What this is where it cannot serve."""
        return InvertingGradients(iterations=self.iterations)

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """Read, search, fit the mask."""
        target = read_target(search.observation, self.most_inputs)
        if target is None:
            self.otherwise(search, generator)
            return
        images, labels = search.start(1, generator)
        masks = search.observation.task.kind == "segmentation" and search.observation.labels is None
        share = self.steps / (self.steps + _PER_CHECK * self.mask_iterations * masks)
        self._descend(search, target, images, labels, share, generator)
        if masks:
            self._fit_mask(search, images, labels, share)

    def _descend(
        self,
        search: Search,
        target: Target,
        images: Tensor,
        labels: Tensor,
        share: float,
        generator: torch.Generator,
    ) -> None:
        """Adam on the layers of a pyramid; ``images`` is written to at every check."""
        checks = search.iterations(-(-self.steps // _PER_CHECK))
        total = checks * _PER_CHECK
        start, target = _best_start(target, images[0], generator)
        pyramid = Pyramid(start)
        optimizer = torch.optim.Adam(pyramid.layers)
        for done in range(total):
            part = done / total
            optimizer.param_groups[0]["lr"] = self.step * _LAST**part
            image = MID + pyramid.image()
            loss = target.distance(image) + self.total_variation * (1 - part) ** 4 * total_variation(image)
            for layer, gradient in zip(pyramid.layers, torch.autograd.grad(loss, pyramid.layers), strict=True):
                layer.grad = gradient
            optimizer.step()
            if (done + 1) % _PER_CHECK == 0:
                images[0] = self._scaled(pyramid.image().detach())
                search.evaluate(images, labels, Terms())
                search.report(share * (done + 1) / total)
                if not search.running:
                    return

    def _scaled(self, departure: Tensor) -> Tensor:
        return MID + departure * (self.reach / departure.abs().max().clamp_min(1e-12))

    def _fit_mask(self, search: Search, images: Tensor, labels: Tensor, share: float) -> None:
        total = search.iterations(self.mask_iterations)
        optimizer = torch.optim.Adam([labels], lr=LABEL_STEP)
        for done in range(total):
            if not search.running:
                return
            labels.grad = search.evaluate(images, labels, Terms()).labels
            optimizer.step()
            search.report(share + (1 - share) * (done + 1) / total)


def read_target(observation: Observation, most_inputs: int) -> Target | None:
    """The first layer that can be read; None where there is none, or the attack is not for this update."""
    single = observation.num_examples == 1 and observation.local_steps == 1
    if not single or not (observation.optimizer is None or plain(observation.optimizer)):
        return None
    model = network(observation)
    for place in convolutions(model, observation.image_shape):
        gradient = observation.change.get(f"{place.name}.weight")
        values = torch.Size(place.shape).numel()
        if gradient is None or not spanned(place.layer, place.shape):
            continue
        if not _LEAST_VALUES * torch.Size(observation.image_shape).numel() <= values <= most_inputs:
            continue
        if not _hides_contrast(LayerInput(model, place), observation.image_shape):
            continue
        found = layer_input_direction(place.layer, gradient, place.shape)
        if found.doubt <= _MOST_DOUBT:
            return Target(LayerInput(model, place), found.direction.flatten().float())
    return None


def same_for_all(attack: Inversion, observations: Iterable[Observation]) -> Inversion:
    """``attack``, or what it comes to on some of these updates, so that a control tries what was tried on them.

    A control of one image that :class:`RowSpace` solves says nothing of updates on which it was another attack.
    """
    if isinstance(attack, RowSpace) and any(read_target(seen, attack.most_inputs) is None for seen in observations):
        return attack.otherwise
    return attack


def _hides_contrast(function: LayerInput, shape: tuple[int, ...]) -> bool:
    """Whether half the contrast of a noise image changes a layer's input hardly at all."""
    noise = 0.3 * torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
    whole, half = function(MID + noise), function(MID + 0.5 * noise)
    return bool((whole - half).norm() < _HIDDEN * whole.norm())


def _best_start(target: Target, like: Tensor, generator: torch.Generator) -> tuple[Tensor, Target]:
    """The departure from mid-grey whose layer input is nearest, and the target with the sign that most are near to."""
    starts = [level + noise * torch.randn(like.shape, generator=generator) for level, noise in STARTS]
    with torch.no_grad():
        distances = torch.stack([target.distance(MID + start) for start in starts])
    if float(distances.mean()) > 1.0:
        target, distances = target._replace(direction=-target.direction), 2.0 - distances
    return starts[int(distances.argmin())], target
