"""What an inner convolution took in, by linear algebra, then the image behind it: for networks that hide contrast."""

from collections.abc import Iterable, Iterator
from typing import ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from medfed.models.unet import UNetModule
from medfed.registry import plugin
from privacy.inversion.contract import Inversion, Search
from privacy.inversion.descent import LABEL_STEP
from privacy.inversion.fields import Count, NonNegative, Positive
from privacy.inversion.inverting_gradients import InvertingGradients
from privacy.inversion.layer_inputs import LayerInput, Place, convolutions, network
from privacy.inversion.local_steps import plain
from privacy.inversion.observation import Observation
from privacy.inversion.patches import layer_input_direction, spanned
from privacy.inversion.priors import total_variation
from privacy.inversion.pyramid import Pyramid
from privacy.inversion.terms import Terms
from privacy.inversion.unet_levels import highest_input

MID = 0.5
"""The intensity about which this project's networks take contrast (:class:`medfed.models.layers.Center`)."""
LEVELS = (-0.4, 0.0, 0.4)
"""Departures from mid-grey that the starts have, in each channel every one: with three channels 27 colours."""
NOISE = (0.1, 0.02)
"""Standard deviations of the noise that each of them is tried with."""

EXTREME = 0.01
"""The share of values that is taken for the darkest, and for the brightest."""

_MOST_DOUBT = 0.01
_LEAST_VALUES = 0.1
"""Input values of a layer, as a share of the image's, from which it is worth a search."""
_HIDDEN = 0.01
_LAST = 0.002
"""The last step size as a share of the first."""
_RISE, _GENTLE = 0.2, 0.8
"""For a U-Net the step size rises over this share of the steps, and to this share: a full first step of all layers of
the pyramid loses flat dark images. For the classifier, whose images have one channel, that is worse."""
PER_CHECK = 20
"""Descent steps for each evaluation of the update."""


class Target(NamedTuple):
    """A layer's input as a function of the image, and the direction that it should have.

    Attributes:
        gentle: whether the descent begins with small steps.
    """

    function: LayerInput
    direction: Tensor
    gentle: bool = False

    def distance(self, image: Float[Tensor, "1 channel *space"]) -> Float[Tensor, ""]:
        """1 - cosine."""
        return 1.0 - torch.cosine_similarity(self.function(image), self.direction, dim=0)


@plugin
class RowSpace:
    """Three steps, for one image and one step of plain SGD.

    1. The input of the first convolution with no more positions than output channels is read off its weights' gradient
       (:mod:`.patches`), up to a factor.
    2. In a U-Net the inputs of higher levels follow from it (:mod:`.unet_levels`), and the highest takes its place.
    3. Adam looks for the image that gives this input: 1 - cosine plus total variation, whose weight falls as (1 - t)^4.
       Comparing what a layer takes in is far better behaved than comparing gradients, and costs a tenth. The image is a
       sum of coarse and fine layers (:mod:`.pyramid`); its start is the best of a few dozen of one colour each.

    What the update does not tell, the contrast, is set so that the darkest 1 % of the values lie ``dark`` below
    mid-grey or the brightest 1 % ``bright`` above it, whichever is less contrast. A mask that is not known is fitted to
    it at the end. Where no layer can be read, there are several images or steps, or the network does not hide contrast,
    this is ``inverting_gradients``.

    Attributes:
        iterations: evaluations of ``inverting_gradients``, where it is that.
        steps: of Adam, for the image.
        step: the first step size, in intensity; for a U-Net it is smaller and rises at first.
        total_variation: its weight at the start.
        dark: see above, in intensity.
        bright: see above, in intensity.
        mask_iterations: evaluations for a mask that is not known.
        most_inputs: values that a layer may take in; the memory is about 24 bytes times their square.
    """

    precision: ClassVar[Literal["float32", "float64"]] = "float32"

    iterations: Count = 1000
    steps: Count = 600
    step: Positive = 0.05
    total_variation: NonNegative = 1.5
    dark: Positive = 0.47
    bright: Positive = 0.36
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
        share = self.steps / (self.steps + PER_CHECK * self.mask_iterations * masks)
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
        checks = search.iterations(-(-self.steps // PER_CHECK))
        total = checks * PER_CHECK
        start, target = _best_start(target, images[0], generator)
        pyramid = Pyramid(start)
        optimizer = torch.optim.Adam(pyramid.layers)
        for done in range(total):
            part = done / total
            risen = _GENTLE * min(1.0, (done + 1) / (_RISE * total)) if target.gentle else 1.0
            optimizer.param_groups[0]["lr"] = self.step * risen * _LAST**part
            image = MID + pyramid.image()
            loss = target.distance(image) + self.total_variation * (1 - part) ** 4 * total_variation(image)
            for layer, gradient in zip(pyramid.layers, torch.autograd.grad(loss, pyramid.layers), strict=True):
                layer.grad = gradient
            optimizer.step()
            if (done + 1) % PER_CHECK == 0:
                images[0] = self._scaled(pyramid.image().detach())
                search.evaluate(images, labels, Terms())
                search.report(share * (done + 1) / total)
                if not search.running:
                    return

    def _scaled(self, departure: Tensor) -> Tensor:
        below = -departure.quantile(EXTREME).clamp_max(-1e-12)
        above = departure.quantile(1.0 - EXTREME).clamp_min(1e-12)
        return MID + departure * torch.minimum(self.dark / below, self.bright / above)

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
    for place in places_to_read(model, observation.image_shape, most_inputs):
        gradient = observation.change.get(f"{place.name}.weight")
        if gradient is None or not bool(gradient.any()):
            continue
        found = layer_input_direction(place.layer, gradient, place.shape)
        if found.doubt <= _MOST_DOUBT:
            return _highest(model, place, found.direction, observation)
    return None


def _highest(model: nn.Module, place: Place, direction: Tensor, observation: Observation) -> Target:
    """What was read, or in a U-Net what follows from it of a higher level."""
    name, inputs, unet = place.name, direction, isinstance(model, UNetModule)
    if isinstance(model, UNetModule) and name == f"down.{model.depth}.0":
        bottom = direction[None] * direction.sum().sign()
        name, inputs = highest_input(model, {key: -value for key, value in observation.change.items()}, bottom)
    places = {place.name: place for place in convolutions(model, observation.image_shape)}
    return Target(LayerInput(model, places[name]), inputs.flatten().float(), gentle=unet)


def places_to_read(model: nn.Module, image_shape: tuple[int, ...], most_inputs: int) -> Iterator[Place]:
    """Layers whose input follows from the gradient of one image, and is worth it, of a network that hides contrast.

    Args:
        model: one that takes no gradients, see :func:`.layer_inputs.network`.
        image_shape: (channel, *space).
        most_inputs: values that a layer may take in.
    """
    for place in convolutions(model, image_shape):
        worth = _LEAST_VALUES * torch.Size(image_shape).numel() <= torch.Size(place.shape).numel() <= most_inputs
        if worth and spanned(place.layer, place.shape) and _hides_contrast(LayerInput(model, place), image_shape):
            yield place


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
    noise = torch.randn(like.shape, generator=generator)
    colours = torch.cartesian_prod(*[torch.tensor(LEVELS)] * like.shape[1])
    colours = colours.reshape(-1, *like.shape[:2], *[1] * (like.ndim - 2))
    starts = [colour + share * noise for colour in colours for share in NOISE]
    with torch.no_grad():
        distances = torch.stack([target.distance(MID + start) for start in starts])
    if float(distances.mean()) > 1.0:
        target, distances = target._replace(direction=-target.direction), 2.0 - distances
    return starts[int(distances.argmin())], target
