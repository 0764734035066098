"""The search that an attack is given: it clips, evaluates, remembers the best, and stops where a limit says so."""

import time
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.func import vmap

from privacy.inversion.contract import Evaluation, Reconstruction, Stopped
from privacy.inversion.labels import counted_labels
from privacy.inversion.memory import restarts_at_once
from privacy.inversion.objective import Function, Objective, weights_of
from privacy.inversion.observation import Observation
from privacy.inversion.passes import merged
from privacy.inversion.schedule import schedule_of
from privacy.inversion.settings import InversionSettings
from privacy.inversion.terms import Terms

DTYPES = {"float32": torch.float32, "float64": torch.float64}
_SPACING = 1.05
"""The trajectory keeps an iteration where it is this much later than the one before."""


class ImageSearch:
    """See :class:`privacy.inversion.contract.Search`."""

    def __init__(
        self,
        observation: Observation,
        precision: Literal["float32", "float64"],
        settings: InversionSettings,
        progress: Callable[[float, float], None] | None,
        stop: Callable[[], bool] | None,
    ) -> None:
        self.observation, self._settings = observation, settings
        self._dtype, self._progress, self._stop = DTYPES[precision], progress, stop
        self._schedule = schedule_of(observation)
        self._at_once = 1
        self._objective: Objective | None = None
        self._labels: Tensor | None = None
        self._functions: dict[tuple[object, ...], Function] = {}
        self._best: tuple[Tensor, Tensor, Tensor] | None = None
        self._started, self._iterations = time.process_time(), 0
        self._trajectory: list[tuple[int, float]] = []
        self._stopped: Stopped | None = None

    def iterations(self, own: int) -> int:
        """The attack's own number, or the limit."""
        return min(own, self._settings.max_iterations or own)

    def start(self, restarts: int, generator: torch.Generator, *, search_labels: bool = False) -> tuple[Tensor, Tensor]:
        """Images from N(0.5, 0.25^2) clipped to [0, 1]; label logits near 0."""
        seen, slots = self.observation, self._schedule.num_slots
        self._labels = self._fixed_labels(search_labels)
        targets = None if self._labels is None else self._by_slot(self._labels)
        self._objective = Objective(seen, targets, self._dtype)
        self._functions, self._best = {}, None
        noise = torch.randn(restarts, slots, *seen.image_shape, generator=generator, dtype=torch.float64)
        grid = seen.image_shape[1:] if seen.task.kind == "segmentation" else ()
        logits = 0.1 * torch.randn(restarts, slots, seen.task.num_classes, *grid, generator=generator)
        images = (0.5 + 0.25 * noise).clamp(0.0, 1.0).to(self._dtype)
        self._at_once = restarts_at_once(seen, images, self._settings.max_bytes)
        return images, logits.to(self._dtype)

    def evaluate(self, images: Tensor, labels: Tensor, terms: Terms) -> Evaluation:
        """One iteration for all restarts, in groups that fit into memory."""
        assert self._objective is not None, "start comes first"
        points, logits = images.detach().clamp(0.0, 1.0), labels.detach()
        weights = weights_of(terms, self._dtype)
        parts = [
            self._evaluated(
                points[first : first + self._at_once], logits[first : first + self._at_once], weights, terms
            )
            for first in range(0, len(points), self._at_once)
        ]
        by_images, by_labels, total, distance = (torch.cat(column) for column in zip(*parts, strict=True))
        if terms.group and len(points) > 1:
            apart = points - points.mean(0, keepdim=True)
            total = total + terms.group * (apart**2).flatten(1).mean(1)
            by_images = by_images + 2.0 * terms.group * apart / apart[0].numel()
        self._note(points, logits, distance)
        return Evaluation(total, by_images, by_labels)

    def _evaluated(self, points: Tensor, labels: Tensor, weights: Tensor, terms: Terms) -> tuple[Tensor, ...]:
        """Gradients by images and labels, loss and distance; several restarts in one vectorised call."""
        function = self._function(terms, len(points))
        if len(points) == 1:
            (by_images, by_labels), values = function(points[0], labels[0], weights)
            return by_images[None], by_labels[None], values[0][None], values[1][None]
        (by_images, by_labels), (total, distance) = function(points, labels, weights)
        return by_images, by_labels, total, distance

    def _function(self, terms: Terms, restarts: int) -> Function:
        assert self._objective is not None
        used = (terms.total_variation > 0, terms.batch_norm > 0, terms.passes > 0)
        key = (terms.distance, terms.mask_zeros, *used, restarts > 1)
        if key not in self._functions:
            self._functions[key] = self._made(self._objective, terms, restarts)
        return self._functions[key]

    def _made(self, objective: Objective, terms: Terms, restarts: int) -> Function:
        """Plain autograd for one restart; torch.func for several at once, and for the compiler."""
        if restarts == 1 and not self._settings.compile:
            return objective.plain_function(terms)
        one = objective.function(terms)
        made = vmap(one, in_dims=(0, 0, None)) if restarts > 1 else one
        return torch.compile(made, dynamic=False) if self._settings.compile else made

    def _note(self, points: Tensor, labels: Tensor, distance: Tensor) -> None:
        """Remember each restart's best, the trajectory, and whether to stop."""
        distance = distance.nan_to_num(nan=float("inf"))
        if self._best is None or len(self._best[0]) != len(distance):
            self._best = distance.clone(), points.clone(), labels.clone()
        else:
            for row in (distance < self._best[0]).nonzero()[:, 0].tolist():
                self._best[0][row], self._best[1][row], self._best[2][row] = distance[row], points[row], labels[row]
        self._iterations += 1
        smallest = float(self._best[0].min())
        if not self._trajectory or self._iterations >= _SPACING * self._trajectory[-1][0]:
            self._trajectory.append((self._iterations, smallest))
        self._stopped = self._stopped or self._reason(smallest)

    def _reason(self, smallest: float) -> Stopped | None:
        limits = self._settings
        if smallest <= limits.goal:
            return "converged"
        if limits.max_iterations is not None and self._iterations >= limits.max_iterations:
            return "iterations"
        if limits.max_seconds is not None and time.process_time() - self._started >= limits.max_seconds:
            return "seconds"
        return "asked" if self._stop is not None and self._stop() else None

    @property
    def running(self) -> bool:
        """Whether no limit is reached."""
        return self._stopped is None

    def report(self, done: float) -> None:
        """Pass it on, with the smallest distance."""
        if self._progress is not None and self._best is not None:
            self._progress(done, float(self._best[0].min()))

    def _fixed_labels(self, search_labels: bool) -> Tensor | None:
        if self.observation.labels is not None:
            return self.observation.labels
        if search_labels or self.observation.task.kind == "segmentation":
            return None
        return counted_labels(self.observation)

    def _by_slot(self, labels: Tensor) -> Tensor:
        """The labels of the first pass again for each further one; a pass cut short has the first of them."""
        return torch.cat([labels[: len(slots)] for slots in self._schedule.passes])

    def result(self, started: float) -> Reconstruction:
        """The restart whose images and labels, in float32, explain the change best."""
        assert self._best is not None, "an attack evaluates at least once"
        _, points, logits = self._best
        found = [self._checked(points[row].float(), logits[row]) for row in range(len(points))]
        loss, images, labels = min(found, key=lambda entry: entry[0])
        smallest = float(self._best[0].min())
        if self._trajectory[-1][0] != self._iterations:
            self._trajectory.append((self._iterations, smallest))
        return Reconstruction(
            images=images,
            labels=labels,
            loss=loss,
            trajectory=tuple(self._trajectory),
            iterations=self._iterations,
            stopped=self._stopped or "finished",
            cpu_seconds=time.process_time() - started,
        )

    def _checked(self, images: Tensor, logits: Tensor) -> tuple[float, Tensor, Tensor]:
        """What is returned of a restart, and the cosine distance of the change that it gives.

        Every pass is simulated on the merged images, in the order that was found for it; with the exact optimizer and
        hard labels, in float32.
        """
        labels = self._by_slot(self._labels) if self._labels is not None else logits.argmax(1)
        images, labels, rows = merged(images, labels, self._schedule)
        objective = Objective(self.observation, labels[rows], torch.float32, smoothing=0.0)
        return objective.distance(images[rows], logits), images, labels
