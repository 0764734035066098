"""Opacus's ghost clipping: norms first, then one backward pass of the losses times their factors.

No gradient of a single image is ever held (Li et al., ICLR 2022). A patient's norm does not follow from the norms of
its images, so that it serves records only.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from privacy.training.backends.contract import SampleLoss, trained
from privacy.training.backends.opacus_module import sample_losses, wrapped
from privacy.training.clipping import Clipped, Clipper, Inputs, Owners, Targets, clip_factors


@contextmanager
def ghost(model: nn.Module, loss: SampleLoss, chunk: int) -> Iterator[Clipper]:
    """Hooks are in the model until the end."""
    with wrapped(model, "ghost") as module:
        parameters = trained(model)
        nothing = [torch.zeros_like(value) for value in parameters.values()]

        def clipped(inputs: Inputs, targets: Targets, clip: float) -> tuple[Sequence[Tensor], float]:
            losses = sample_losses(loss, module(inputs), targets)
            torch.autograd.backward(losses.sum(), retain_graph=True)
            factors = clip_factors(module.get_norm_sample().detach(), clip)
            whole = factors > 0
            if not bool(whole.all()):  # 0 times infinity is no number: anew without them, norms too, since draws differ
                rest = clipped(inputs[whole], targets[whole], clip)[0] if bool(whole.any()) else nothing
                return rest, float(losses.detach().sum())
            module.disable_hooks()
            found = torch.autograd.grad((factors * losses).sum(), list(parameters.values()), materialize_grads=True)
            module.enable_hooks()
            return found, float(losses.detach().sum())

        def clipper(inputs: Inputs, targets: Targets, owners: Owners, clip: float) -> Clipped:
            if len(torch.unique_consecutive(owners)) < len(owners):
                raise ValueError("ghost clipping has no norm of several images together")
            total = {name: torch.zeros_like(value) for name, value in parameters.items()}
            summed = 0.0
            for start in range(0, len(owners), chunk):
                part = slice(start, start + chunk)
                found, losses = clipped(inputs[part], targets[part], clip)
                for name, value in zip(parameters, found, strict=True):
                    total[name] += value
                summed += losses
            return Clipped(total, summed)

        yield clipper
