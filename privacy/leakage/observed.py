"""A recorded message as an attacker holds it: scenario, weights and change in, an observation out."""

from dataclasses import dataclass

import torch

from medfed.config import Scenario
from medfed.registry import name_of
from medfed.training.local import lr_scale
from medfed.types import SiteData
from privacy.inversion.observation import Observation
from privacy.leakage.recorded import Recorded
from privacy.leakage.truth import Truth, drawn_in_secret
from privacy.mechanisms.contract import SiteMechanism, TrainingMechanism

_SIMULATED = ("plain",)
"""Client strategies whose local training is mini-batch descent and nothing else."""


@dataclass(frozen=True)
class Shown:
    """What an attacker is made to believe, and what of the real training that leaves out.

    Attributes:
        observation: what an attack gets.
        whole: it simulates the site's steps on all its images; if not, it takes the change for the direction of one
            step on fewer images than took part.
        unlike: ways in which the site's training was unlike what is simulated, one line each.
    """

    observation: Observation
    whole: bool
    unlike: tuple[str, ...]


def observe(scenario: Scenario, recorded: Recorded, truth: Truth, data: SiteData) -> Observation:
    """Everything that there is to know: labels too, in the order of ``truth``. Restrict it before it is attacked."""
    task, training = scenario.model_task, scenario.training
    balanced = getattr(training.loss, "class_weights", None) == "balanced"
    counts = torch.tensor(data.train.class_counts(task.num_classes)) if balanced else None
    per_pass = -(-recorded.num_examples // training.batch_size)
    batches = min(recorded.num_steps, per_pass)
    return Observation(
        model=scenario.model(task),
        weights=recorded.weights,
        change=recorded.change,
        task=task,
        image_shape=(task.channels, task.image_size, task.image_size),
        num_examples=len(truth),
        batch_size=-(-len(truth) // batches),
        local_steps=recorded.num_steps,
        optimizer=training.optimizer,
        lr_scale=lr_scale(training, recorded.round),
        loss=training.loss,
        class_counts=counts,
        batch_norm="frozen" if scenario.federation.batch_norm == "frozen" else "train",
        labels=truth.labels,
    )


def within_reach(seen: Observation, scenario: Scenario, most_images: int, most_steps: int) -> Shown:
    """What an attack of bounded cost can work with.

    Where the site took few steps on few images, all of them are simulated. Otherwise the change is taken for the
    direction of a single step on ``most_images`` images: what is common to many, or large in one, may still show.
    """
    unlike = tuple(unmodelled(scenario))
    passes = -(-seen.local_steps // seen.num_batches)
    few_enough = seen.num_examples * passes <= most_images and seen.local_steps <= most_steps
    if few_enough and not drawn_in_secret(scenario):
        return Shown(seen, True, unlike)
    images = min(seen.num_examples, most_images)
    few = seen.replace(num_examples=images, batch_size=images, local_steps=1, optimizer=None, lr_scale=1.0, labels=None)
    return Shown(few, False, unlike)


def noised(scenario: Scenario) -> bool:
    """Whether the message itself carries the noise of differential privacy: the site adds it, not the server."""
    mechanism = scenario.privacy.mechanism
    return isinstance(mechanism, SiteMechanism | TrainingMechanism) and getattr(mechanism, "protects", True)


def unmodelled(scenario: Scenario) -> list[str]:
    """How a site's training may differ from plain mini-batch descent on the images as an attacker looks for them."""
    training, found = scenario.training, []
    strategy = str(scenario.federation.strategy.client()["name"])
    if strategy not in _SIMULATED:
        found.append(f'the client strategy "{strategy}" changes gradients or the update; taken as plain descent')
    if scenario.federation.batch_norm == "local":
        found.append("BatchNorm stays at the site; its entries are taken at their initial values")
    if getattr(scenario.model, "dropout", 0.0):
        found.append("dropout is drawn anew in every step; taken as off")
    if name_of("adversarial_training", training.adversarial) != "none":
        found.append("adversarial training changes the images; taken as plain")
    if training.precision != "float32":
        found.append(f"training in {training.precision}; simulated in float32")
    if drawn_in_secret(scenario):
        found.append("the images of each step are drawn by coins that nobody else sees")
    if noised(scenario):
        found.append("the update carries the noise of differential privacy, which no attacker can take off")
    return found
