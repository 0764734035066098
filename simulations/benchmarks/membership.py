"""Attacks on membership where they must succeed, and where privacy must stop them, on the bundled run's own network.

Images of the bundled pneumonia scenario get labels by a die of 64 faces, so that whatever a model knows of them it
knows by heart; only the network's last layer is changed, to so many classes. (Of two classes by coin, half of the
images that nobody learned get their own label by luck, and hide the members.) A target and its shadows learn random
halves of them: without noise, where the best attack must name half of the members at 1 % false positives; and by
DP-SGD, where no attack may name more than epsilon and delta allow, one image being replaced by another.

    python -m simulations.benchmarks.membership [--images 200] [--steps 400] [--private-steps 40] [--noise 16 24]
        [--shadows 4] [--seeds 1]

No peer has both sides; the attacks are held against closed forms in their tests.
"""

import argparse
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from numpy import ndarray

from medfed.audit.verdicts import CONFIDENCE
from medfed.config import Scenario, load_scenario
from medfed.data.dataset import image_set, pool
from medfed.models.initial import initial_model
from medfed.results import Estimate
from medfed.rng import derive_seed, numpy_generator
from medfed.training.local import train_local
from medfed.types import ImageSet
from privacy.membership import MEMBERSHIP_ATTACKS
from privacy.membership.confidence import confidences
from privacy.membership.contract import Signals
from privacy.membership.pool import subset
from privacy.membership.promise import largest_tpr
from privacy.membership.roc import tpr_at, tpr_estimate
from privacy.release import holding, total_epsilon, under
from privacy.training.local import train_private
from privacy.training.plan import round_release
from privacy.training.randomness import seeded_randomness
from simulations.benchmarks.bundled import SCENARIOS
from simulations.benchmarks.report import Row, print_rows
from simulations.inputs import check_inputs

FPR, PRIVATE_FPR, GOAL = 0.01, 0.1, 0.5
"""The rate of the control; that of the promise, where a bound of a small epsilon is far from what few images can tell;
the least share that the control must reach."""

CLASSES = tuple(f"face {face}" for face in range(64))
BATCH = 20
"""Images of a step of the control: small, since it is steps that it needs."""

VACUOUS = 0.9
"""A larger bound says hardly anything; it is named so, and no goal."""

NO_PEER = "no peer has both sides"


@dataclass(frozen=True)
class Named:
    """Shares of members that each attack names, and of the one that names most the joint interval over all attacks."""

    shares: dict[str, float]
    interval: Estimate

    @property
    def share(self) -> float:
        """The largest."""
        return max(self.shares.values())


def material(scenario: Scenario, number: int) -> ImageSet:
    """Training images of all sites, one of a patient, with labels by die."""
    filled, dataset = check_inputs(scenario)
    held = pool([dataset.site(site) for site in filled.training_sites]).train
    order = numpy_generator(scenario.seed, "membership benchmark").permutation(len(held))
    first = {held.patients[i]: int(i) for i in order[::-1]}
    rows = np.array([held.rows[i] for i in order if first[held.patients[i]] == i][:number])
    faces = numpy_generator(scenario.seed, "labels by die").integers(0, len(CLASSES), len(dataset.targets))
    return image_set(dataset.images, faces, dataset.records, rows)


def halves(scenario: Scenario, number: int, shadows: int) -> list[Bool[ndarray, " image"]]:
    """What the target and each shadow learn; shadows 2 j - 1 and 2 j are each other's complement."""
    found = []
    for model in range(shadows + 1):
        order = numpy_generator(scenario.seed, "half", (model + 1) // 2).permutation(number)
        inside = np.zeros(number, dtype=bool)
        inside[order[: number // 2]] = True
        found.append(inside if model % 2 or model == 0 else ~inside)
    return found


def signals(scenario: Scenario, images: ImageSet, parts: list[Bool[ndarray, " image"]]) -> tuple[Signals, float]:
    """Train the target and its shadows, privately where the scenario says so, and ask each of all images.

    Returns:
        What attackers have; and the training fit: the share of its own images of which the target is more sure than not
        that they are as it learned them.
    """
    found = []
    for number, part in enumerate(parts):
        own = scenario.replace(**{"seed": derive_seed(scenario.seed, "model", number), "task.classes": CLASSES})
        model, learned = initial_model(own), subset(images, part)
        if scenario.privacy.is_on:
            train_private(model, learned, own, "all", 1, seeded_randomness(own.seed, "all", 1))
        else:
            train_local(model, learned, own, "all", 1)
        found.append(confidences(model.eval(), images, 64))
    return Signals(found[0], np.stack(found[1:]), np.stack(parts[1:])), float((found[0][parts[0]] > 0.0).mean())


def best(seen: Signals, members: Bool[ndarray, " image"], fpr: float) -> Named:
    """Of all attacks; the interval holds for all of them at once."""
    confidence = 1.0 - (1.0 - CONFIDENCE) / len(MEMBERSHIP_ATTACKS)
    scores = {name: make()(seen) for name, make in MEMBERSHIP_ATTACKS.items()}
    shares = {name: tpr_at(found[members], found[~members], fpr) for name, found in scores.items()}
    found = scores[max(shares, key=shares.__getitem__)]
    return Named(shares, tpr_estimate(found[members], found[~members], fpr, confidence))


def scenario_of(steps: int, batch: int, seed: int, noise: float | None) -> Scenario:
    """The bundled network and optimizer, for so many steps."""
    changes: dict[str, Any] = {
        "seed": seed,
        "training.local_steps": steps,
        "training.local_epochs": None,
        "training.batch_size": batch,
        "training.schedule": "constant",
        "training.precision": "float32",
        "training.transforms": (),
        "record.rounds": (),
        "baselines.local": False,
        "baselines.pooled": False,
    }
    if noise is not None:
        changes["privacy.mechanism"] = {"name": "dp_sgd", "clip": 1.0, "noise_multiplier": noise}
    found: Scenario = load_scenario(SCENARIOS / "pneumonia-cnn.toml").replace(**changes)
    return found


def epsilon_of(scenario: Scenario, num_images: int) -> float:
    """Of all steps together, for whether one image or another in its place was trained on."""
    release = round_release(scenario.privacy.mechanism, scenario.training, num_images, 1)
    return total_epsilon(under(holding(release.unit), [release]), scenario.privacy.delta)


def control(given: argparse.Namespace) -> Row:
    """The network that learned its images by heart; of all seeds the one that does worst."""
    shares = []
    for seed in given.seeds:
        scenario, started = scenario_of(given.steps, BATCH, seed, None), time.process_time()
        images, parts = material(scenario, given.images), halves(scenario, given.images, given.shadows)
        seen, fit = signals(scenario, images, parts)
        found = best(seen, parts[0], FPR)
        seconds = time.process_time() - started
        print(_said(f"without noise, seed {seed}", found, FPR, len(images), fit), f"{seconds:.0f} CPU s", flush=True)
        shares.append(found.share)
    case = f"by heart: named at {FPR:g} false positives, least of {len(shares)} seeds"
    return Row(case, min(shares), None, "1", "higher", GOAL, NO_PEER)


def promise(given: argparse.Namespace, noise: float, seed: int) -> Row:
    """The network that was trained with noise, against what its epsilon allows."""
    scenario = scenario_of(given.private_steps, given.images // 4, seed, noise)
    images, parts = material(scenario, given.images), halves(scenario, given.images, given.shadows)
    epsilon = epsilon_of(scenario, given.images // 2)
    bound = largest_tpr(epsilon, scenario.privacy.delta, PRIVATE_FPR)
    vacuous = bound > VACUOUS
    seen, fit = signals(scenario, images, parts)
    found = best(seen, parts[0], PRIVATE_FPR)
    allowed = f"noise {noise:g}, seed {seed}, epsilon {epsilon:.2f} (replace), at most {bound:.3f}"
    print(_said(f"{allowed}{', vacuous' if vacuous else ''}", found, PRIVATE_FPR, len(images), fit), flush=True)
    low = found.interval.low
    case = f"epsilon {epsilon:.2f}, seed {seed}: lower end of those named at {PRIVATE_FPR:g} false positives"
    return Row(case, 0.0 if low is None else low, None, "1", "lower", None if vacuous else bound, NO_PEER)


def _said(what: str, found: Named, fpr: float, number: int, fit: float) -> str:
    low, high = found.interval.low, found.interval.high
    ends = "" if low is None or high is None else f" ({low:.3f} to {high:.3f})"
    named = ", ".join(f"{name} {share:.2f}" for name, share in found.shares.items())
    return f"{what}: named at {fpr:g} false positives {named}{ends}, of {number} images; training fit {fit:.2f};"


def main() -> None:
    """Train, attack, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200, help="half of them are learned by each model")
    parser.add_argument("--steps", type=int, default=400, help="of the network without noise")
    parser.add_argument("--private-steps", type=int, default=40)
    parser.add_argument("--noise", nargs="*", type=float, default=[16.0, 24.0], help="noise multipliers of DP-SGD")
    parser.add_argument("--shadows", type=int, default=4)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    given = parser.parse_args()
    torch.set_num_threads(1)
    private = [promise(given, noise, seed) for noise in given.noise for seed in given.seeds]
    print_rows("membership", [control(given), *private])


if __name__ == "__main__":
    main()
