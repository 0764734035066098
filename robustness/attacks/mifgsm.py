"""The momentum family: iterative sign steps that transfer between models."""

from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from medfed.registry import plugin
from robustness.attacks.contract import Search, View
from robustness.attacks.losses import LOSSES, LossName
from robustness.attacks.projection import Bounds
from robustness.attacks.steps import Share, Steps, ascent, wide
from robustness.attacks.threat import Norm

Images = Float[Tensor, "batch channel *space"]


@plugin
class MIFGSM:
    """Sign steps along an accumulated gradient (MI-FGSM, Dong et al., CVPR 2018), and what was built on it.

    Attributes:
        steps: gradients taken (times ``scale_copies``).
        step: length of a step as a share of eps.
        loss: what is made larger.
        decay: of the accumulated gradient.
        nesterov: look ahead along it first (NI-FGSM, Lin et al., ICLR 2020).
        diversity: probability that a step sees the image shrunk and padded (DI-FGSM, Xie et al., CVPR 2019).
        smallest: the least side of the shrunk image, as a share.
        kernel: side in pixels of the Gaussian that smooths the gradient, 1 for none (TI-FGSM, Dong et al., CVPR 2019).
        scale_copies: gradients are summed over the image divided by 1, 2, 4, ... (SI-FGSM, Lin et al., ICLR 2020).
    """

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")
    needs_gradient: ClassVar[bool] = True
    minimises: ClassVar[bool] = False
    whole_set: ClassVar[bool] = False

    steps: Steps = 10
    step: Share = 0.1
    loss: LossName = "cross_entropy"
    decay: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 1.0
    nesterov: bool = False
    diversity: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    smallest: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    kernel: Annotated[int, Field(ge=1)] = 1
    scale_copies: Annotated[int, Field(ge=1)] = 1

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """Accumulate, step; the last point counts too."""
        bounds = Bounds.of(search.threat, search.images)
        points, momentum = search.images, torch.zeros_like(search.images)
        for done in range(self.steps):
            search.evaluate(points)
            points, momentum = search.keep(points, momentum)
            if not search.num_active:
                return
            gradient = self._gradient(search, points, momentum, bounds, generator)
            size = gradient.abs().flatten(1).mean(dim=1).clamp(min=torch.finfo(gradient.dtype).tiny)
            momentum = self.decay * momentum + gradient / wide(size, gradient)
            points = search.project(points + self.step * bounds.eps * ascent(momentum, bounds))
            search.report((done + 1) / self.steps)
        search.evaluate(points)

    def _gradient(
        self, search: Search, points: Images, momentum: Images, bounds: Bounds, generator: torch.Generator
    ) -> Images:
        """The gradient over all copies and views, smoothed."""
        if self.nesterov:
            points = points + self.step * bounds.eps * self.decay * ascent(momentum, bounds)
        total = torch.zeros_like(points)
        for copy in range(self.scale_copies):
            view = self._view(points, 2.0**-copy, bounds, generator)
            total += search.evaluate(points, LOSSES[self.loss], gradient=True, record=False, view=view).gradient
        return smoothed(total, self.kernel)

    def _view(self, points: Images, scale: float, bounds: Bounds, generator: torch.Generator) -> View:
        """One draw of the input's change, the same for all images of a step."""
        sides, offsets = tuple(points.shape[2:]), tuple(0 for _ in points.shape[2:])
        if float(torch.rand((), generator=generator)) < self.diversity:
            share = self.smallest + (1 - self.smallest) * float(torch.rand((), generator=generator))
            sides = tuple(max(1, round(share * side)) for side in points.shape[2:])
            place = torch.rand(len(sides), generator=generator).tolist()
            offsets = tuple(int(p * (s - n + 1)) for p, s, n in zip(place, points.shape[2:], sides, strict=True))

        def change(images: Images) -> Images:
            images = bounds.low + (images - bounds.low) * scale
            if sides == tuple(images.shape[2:]):
                return images
            small = functional.interpolate(images, size=sides, mode="nearest")
            pads = [
                (offset, full - side - offset)
                for offset, side, full in zip(offsets, sides, images.shape[2:], strict=True)
            ]
            padded: Images = bounds.low + functional.pad(small - bounds.low, [n for pad in pads[::-1] for n in pad])
            return padded

        return change


def smoothed(gradient: Images, side: int) -> Images:
    """The gradient filtered with a Gaussian of ``side`` pixels (standard deviation side / 6), each channel alone."""
    if side == 1:
        return gradient
    places = torch.arange(side, dtype=gradient.dtype, device=gradient.device) - (side - 1) / 2
    weights = torch.exp(-(places**2) / (2 * (side / 6) ** 2))
    weights = weights / weights.sum()
    channels, axes = gradient.shape[1], gradient.ndim - 2
    convolve = functional.conv3d if axes == 3 else functional.conv2d
    for axis in range(axes):
        form = [1, 1] + [1] * axes
        form[2 + axis] = side
        filters = weights.reshape(form).repeat(channels, 1, *[1] * axes)
        pads = [0] * axes
        pads[axis] = side // 2
        filtered = convolve(gradient, filters, padding=pads, groups=channels)
        gradient = filtered.narrow(2 + axis, 0, gradient.shape[2 + axis])
    return gradient
