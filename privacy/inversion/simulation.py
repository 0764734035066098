"""The site's local training, repeated by the attacker on candidate images and differentiable in them."""

import copy
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, grad

from medfed.models.entries import parameter_names
from medfed.types import Weights
from privacy.inversion.local_steps import State, Step, step_of, tensors
from privacy.inversion.observation import Observation
from privacy.inversion.schedule import Schedule

_BATCH_NORM = nn.modules.batchnorm._BatchNorm

LossOf = Callable[[Tensor, Tensor], Tensor]
"""(logits, targets) -> loss; targets are class indices or probabilities, as the caller chose."""

Statistics = dict[str, tuple[Tensor, Tensor]]


class Simulation:
    """Local training as a function from images and targets to the change of weights.

    The model is a copy; dropout and the like are off, because the site's draws are not known. ``SGD(lr=1)`` and one
    step stand for an unknown optimizer.

    Args:
        observation: global weights, optimizer, BatchNorm mode.
        loss_of: the training loss.
        dtype: numbers to compute in.
        smoothing: of AdamW, see :func:`step_of`.

    Attributes:
        start: the trained global weights.
        shares: by BatchNorm layer that keeps running statistics, the share m that each batch has in them.
    """

    def __init__(
        self, observation: Observation, loss_of: LossOf, dtype: torch.dtype = torch.float32, smoothing: float = 0.0
    ) -> None:
        self._model, self._loss_of = copy.deepcopy(observation.model), loss_of
        self._model.load_state_dict(observation.weights)
        self._model.to(dtype).eval()
        names = parameter_names(observation.model)
        self.start: Weights = tensors({n: v for n, v in observation.weights.items() if n in names}, dtype)
        self._step: Step | None = None
        if observation.optimizer is not None:
            self._step = step_of(observation.optimizer, observation.lr_scale, smoothing)
        self._seen: Statistics = {}
        self._running: Statistics = {}
        self.shares: dict[str, float] = {}
        for name, layer in self._model.named_modules():
            if isinstance(layer, _BATCH_NORM) and layer.running_mean is not None and layer.momentum:
                assert layer.running_var is not None
                self.shares[name] = layer.momentum
                self._running[name] = layer.running_mean.clone(), layer.running_var.clone()
                layer.register_forward_pre_hook(self._watcher(name))
        if observation.batch_norm == "train":
            use_batches(self._model)

    def __call__(
        self,
        images: Float[Tensor, "slot channel *space"],
        targets: Tensor,
        schedule: Schedule,
        *,
        watch: bool = False,
        vectorised: bool = True,
    ) -> tuple[Weights, Statistics]:
        """Train on the slots in the order of the schedule.

        Args:
            images: candidates in [0, 1].
            targets: one row per slot.
            schedule: which slots make up each step.
            watch: also follow the running statistics of BatchNorm.
            vectorised: take gradients by torch.func, which vmap and torch.compile need; by plain autograd otherwise,
                which gives the same numbers in less time.

        Returns:
            The change of every trained parameter; and, where watched, (mean, variance) by layer as the running
            statistics would be after the last step.
        """
        moved: Weights = {}
        state: State = {}
        running = dict(self._running) if watch else {}
        for number, slots in enumerate(schedule.steps, 1):
            whole = slots == tuple(range(len(images)))
            batch = (images, targets) if whole else (images[list(slots)], targets[list(slots)])
            weights = {n: w + moved[n] for n, w in self.start.items()} if moved else self.start
            gradients, seen = (self._by_func if vectorised else self._by_autograd)(weights, *batch, watch)
            if self._step is None:
                step = {n: -g for n, g in gradients.items()}
            else:
                step, state = self._step(weights, gradients, state, number)
            moved = {n: moved[n] + s for n, s in step.items()} if moved else step
            running = {name: self._blend(name, running[name], seen[name]) for name in seen}
        return moved, running

    def _by_func(self, weights: Weights, images: Tensor, targets: Tensor, watch: bool) -> tuple[Weights, Statistics]:
        found: tuple[Weights, Statistics] = grad(self._loss, has_aux=True)(weights, images, targets, watch)
        return found

    def _by_autograd(
        self, weights: Weights, images: Tensor, targets: Tensor, watch: bool
    ) -> tuple[Weights, Statistics]:
        own = {n: w if w.requires_grad else w.detach().requires_grad_() for n, w in weights.items()}
        loss, seen = self._loss(own, images, targets, watch)
        found = torch.autograd.grad(loss, list(own.values()), create_graph=True, materialize_grads=True)
        return dict(zip(own, found, strict=True)), seen

    def _loss(self, weights: Weights, images: Tensor, targets: Tensor, watch: bool) -> tuple[Tensor, Statistics]:
        self._seen = {}
        loss = self._loss_of(functional_call(self._model, weights, (images,)), targets)
        seen, self._seen = self._seen, {}
        return loss, seen if watch else {}

    def _watcher(self, name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def watch(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            dims = [0, *range(2, inputs[0].ndim)]
            self._seen[name] = inputs[0].mean(dims), inputs[0].var(dims)

        return watch

    def _blend(self, name: str, before: tuple[Tensor, Tensor], batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        share = self.shares[name]
        mean, variance = ((1 - share) * old + share * new for old, new in zip(before, batch, strict=True))
        return mean, variance


def use_batches(model: nn.Module) -> None:
    """Make BatchNorm layers normalize by each batch and keep nothing, so that the forward pass writes to nothing."""
    for layer in model.modules():
        if isinstance(layer, _BATCH_NORM):
            layer.train()
            layer.track_running_stats = False
            layer.running_mean = layer.running_var = layer.num_batches_tracked = None
