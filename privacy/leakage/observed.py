"""A recorded message as an attacker holds it: scenario, weights and change in, an observation out."""

from dataclasses import dataclass

import torch

from medfed.config import Scenario
from medfed.registry import name_of
from medfed.training.local import lr_scale
from medfed.types import SiteData
from privacy.inversion.memory import restart_bytes
from privacy.inversion.observation import Observation
from privacy.leakage.recorded import LeakageError, Recorded
from privacy.leakage.truth import Truth, drawn_in_secret
from privacy.mechanisms.contract import SiteMechanism, TrainingMechanism

_SIMULATED = ("plain",)
"""Client strategies whose local training is mini-batch descent and nothing else."""

MOST_BYTES = 4 << 30
"""Of memory for an attack, as :func:`privacy.inversion.memory.restart_bytes` estimates it: 1.4 to 2.6 times what three
attacks of the bundled classifier and U-Net took, of 290 to 660 MiB by that estimate."""


@dataclass(frozen=True)
class Shown:
    """What an attacker is made to believe, and what of the real training that leaves out.

    Attributes:
        observation: what an attack gets.
        whole: it simulates the site's steps on all its images; if not, it takes the change for the direction of one
            step on fewer images than took part.
        untold: classes or masks were granted and are of no use: with fewer images than took part, nobody knows whose.
        unlike: ways in which the site's training was unlike what is simulated, one line each.
    """

    observation: Observation
    whole: bool
    untold: bool
    unlike: tuple[str, ...]


def observe(scenario: Scenario, recorded: Recorded, truth: Truth, data: SiteData) -> Observation:
    """Everything that there is to know: labels too, in the order of ``truth``. Restrict it before it is attacked."""
    task, training = scenario.model_task, scenario.training
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
        class_counts=torch.tensor(data.train.class_counts(task.num_classes)),
        batch_norm="frozen" if scenario.federation.batch_norm == "frozen" else "train",
        labels=truth.labels,
    )


def within_reach(
    seen: Observation, scenario: Scenario, most_images: int, most_steps: int, most_bytes: int = MOST_BYTES
) -> Shown:
    """What an attack of bounded cost can work with.

    Where the site took few steps on few images, all of them are simulated. Otherwise the change is taken for the
    direction of a single step on ``most_images`` images, or on as many as fit into memory: what is common to many, or
    large in one, may still show.

    Raises:
        LeakageError: one step on one image does not fit into memory.
    """
    passes = -(-seen.local_steps // seen.num_batches)
    unlike = tuple(unmodelled(scenario, passes))
    few_enough = seen.num_examples * passes <= most_images and seen.local_steps <= most_steps
    if few_enough and not drawn_in_secret(scenario) and restart_bytes(seen) <= most_bytes:
        return Shown(seen, True, False, unlike)
    few = seen.replace(local_steps=1, optimizer=None, lr_scale=1.0, labels=None)
    for images in range(min(seen.num_examples, most_images), 0, -1):
        few = few.replace(num_examples=images, batch_size=images)
        if restart_bytes(few) <= most_bytes:
            return Shown(few, False, seen.labels is not None, unlike)
    raise LeakageError(
        f"an attack on one image of shape {seen.image_shape} takes about {restart_bytes(few) / 2**30:.1f} GiB with "
        f"this model, and may take {most_bytes / 2**30:.1f}"
    )


def noised(scenario: Scenario) -> bool:
    """Whether the message itself carries the noise of differential privacy: the site adds it, not the server."""
    mechanism = scenario.privacy.mechanism
    return isinstance(mechanism, SiteMechanism | TrainingMechanism) and getattr(mechanism, "protects", True)


def plain_strategy(scenario: Scenario) -> bool:
    """Whether a site trains by mini-batch descent and sends what came of it."""
    return str(scenario.federation.strategy.client()["name"]) in _SIMULATED


def unmodelled(scenario: Scenario, passes: int = 1) -> list[str]:
    """How a message may differ from that of plain mini-batch descent on the images as an attacker looks for them.

    Args:
        scenario: of the run.
        passes: over the images in the message.
    """
    training, found = scenario.training, []
    if not plain_strategy(scenario):
        strategy = scenario.federation.strategy.client()["name"]
        found.append(f'the client strategy "{strategy}" changes gradients or the update; taken as plain descent')
    trainer = name_of("trainer", training.trainer)
    if trainer != "standard":
        found.append(f'the trainer "{trainer}" takes steps of its own; taken as plain descent')
    compression = name_of("compression", scenario.federation.compression)
    if compression != "none":
        found.append(f'compression "{compression}" rounds or leaves out entries of the update; taken as exact')
    if training.transforms and passes > 1:
        found.append("images are transformed at random anew in every pass; taken to be the same in all")
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
        found.append(
            "the update carries the noise of differential privacy, which no attacker can take off; none is expected"
        )
    return found
