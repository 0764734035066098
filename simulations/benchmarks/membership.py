"""Attacks on membership where they must succeed, and where privacy must stop them, on the bundled run's own network.

Images of the bundled pneumonia scenario get labels by coin, so that whatever a model knows of them it knows by heart. A
target and its shadows learn random halves of them: without noise, where the best attack must name half of the members
at 1 % false positives; and by DP-SGD, where no attack may name more than epsilon and delta allow.

    python -m simulations.benchmarks.membership [--images 200] [--steps 300] [--private-steps 40] [--noise 1 4]
        [--shadows 4] [--seed 1]

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
from privacy.accountants import TIGHTEST
from privacy.accountants.contract import Composition, Steps
from privacy.membership import MEMBERSHIP_ATTACKS
from privacy.membership.confidence import confidences
from privacy.membership.contract import Signals
from privacy.membership.pool import subset
from privacy.membership.promise import largest_tpr
from privacy.membership.roc import tpr_at, tpr_estimate
from privacy.training.local import train_private
from privacy.training.plan import round_plan
from privacy.training.randomness import seeded_randomness
from simulations.benchmarks.bundled import SCENARIOS
from simulations.benchmarks.report import Row, print_rows
from simulations.inputs import check_inputs

FPR, PRIVATE_FPR, GOAL = 0.01, 0.1, 0.5
"""The rate of the control; that of the promise, where a bound of a small epsilon is far from what few images can tell;
the least share that the control must reach."""

NO_PEER = "no peer has both sides"


@dataclass(frozen=True)
class Named:
    """Shares of members that the attack that names most of them names, with joint intervals over all attacks."""

    attack: str
    share: float
    interval: Estimate


def material(scenario: Scenario, number: int) -> ImageSet:
    """Training images of all sites, one of a patient, with labels by coin."""
    filled, dataset = check_inputs(scenario)
    held = pool([dataset.site(site) for site in filled.training_sites]).train
    order = numpy_generator(scenario.seed, "membership benchmark").permutation(len(held))
    first = {held.patients[i]: int(i) for i in order[::-1]}
    rows = np.array([held.rows[i] for i in order if first[held.patients[i]] == i][:number])
    coins = numpy_generator(scenario.seed, "labels by coin").integers(0, 2, len(dataset.targets))
    return image_set(dataset.images, coins, dataset.records, rows)


def halves(scenario: Scenario, number: int, shadows: int) -> list[Bool[ndarray, " image"]]:
    """What the target and each shadow learn; shadows 2 j - 1 and 2 j are each other's complement."""
    found = []
    for model in range(shadows + 1):
        order = numpy_generator(scenario.seed, "half", (model + 1) // 2).permutation(number)
        inside = np.zeros(number, dtype=bool)
        inside[order[: number // 2]] = True
        found.append(inside if model % 2 or model == 0 else ~inside)
    return found


def signals(scenario: Scenario, images: ImageSet, parts: list[Bool[ndarray, " image"]]) -> Signals:
    """Train the target and its shadows, privately where the scenario says so, and ask each of all images."""
    found = []
    for number, part in enumerate(parts):
        own = scenario.replace(seed=derive_seed(scenario.seed, "model", number))
        model, learned = initial_model(own), subset(images, part)
        if scenario.privacy.is_on:
            train_private(model, learned, own, "all", 1, seeded_randomness(own.seed, "all", 1))
        else:
            train_local(model, learned, own, "all", 1)
        found.append(confidences(model.eval(), images, 64))
    return Signals(found[0], np.stack(found[1:]), np.stack(parts[1:]))


def best(seen: Signals, members: Bool[ndarray, " image"], fpr: float) -> Named:
    """Of all attacks; the interval holds for all of them at once."""
    confidence = 1.0 - (1.0 - CONFIDENCE) / len(MEMBERSHIP_ATTACKS)
    found = {}
    for name, make in MEMBERSHIP_ATTACKS.items():
        scores = make()(seen)
        found[name] = (
            tpr_at(scores[members], scores[~members], fpr),
            tpr_estimate(scores[members], scores[~members], fpr, confidence),
        )
    name = max(found, key=lambda attack: found[attack][0])
    return Named(name, *found[name])


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


def epsilon_of(scenario: Scenario, num_images: int, noise: float) -> float:
    """Of all steps together, for the presence of one image."""
    plan = round_plan(scenario.training, num_images)
    composition = Composition((Steps(noise, plan.rate, plan.num_steps),), replace=False)
    return TIGHTEST(composition, scenario.privacy.delta)


def control(given: argparse.Namespace) -> Row:
    """The network that learned its images by heart."""
    scenario = scenario_of(given.steps, given.images // 2, given.seed, None)
    images, parts = material(scenario, given.images), halves(scenario, given.images, given.shadows)
    started = time.process_time()
    found = best(signals(scenario, images, parts), parts[0], FPR)
    print(_said("without noise", found, FPR, len(images)), f"{time.process_time() - started:.0f} CPU s", flush=True)
    return Row(f"by heart: named at {FPR:g} false positives", found.share, None, "1", "higher", GOAL, NO_PEER)


def promise(given: argparse.Namespace, noise: float) -> Row:
    """The network that was trained with noise, against what its epsilon allows."""
    scenario = scenario_of(given.private_steps, given.images // 4, given.seed, noise)
    images, parts = material(scenario, given.images), halves(scenario, given.images, given.shadows)
    epsilon = epsilon_of(scenario, given.images // 2, noise)
    bound = largest_tpr(epsilon, scenario.privacy.delta, PRIVATE_FPR)
    found = best(signals(scenario, images, parts), parts[0], PRIVATE_FPR)
    print(_said(f"noise {noise:g}, epsilon {epsilon:.2f}, at most {bound:.3f}", found, PRIVATE_FPR, len(images)))
    low = found.interval.low
    case = f"epsilon {epsilon:.2f}: lower end of those named at {PRIVATE_FPR:g} false positives"
    return Row(case, 0.0 if low is None else low, None, "1", "lower", bound, NO_PEER)


def _said(what: str, found: Named, fpr: float, number: int) -> str:
    low, high = found.interval.low, found.interval.high
    ends = "" if low is None or high is None else f" ({low:.3f} to {high:.3f})"
    return f"{what}: {found.attack} names {found.share:.3f}{ends} at {fpr:g} false positives, of {number} images;"


def main() -> None:
    """Train, attack, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200, help="half of them are learned by each model")
    parser.add_argument("--steps", type=int, default=300, help="of the network without noise")
    parser.add_argument("--private-steps", type=int, default=40)
    parser.add_argument("--noise", nargs="*", type=float, default=[1.0, 4.0], help="noise multipliers of DP-SGD")
    parser.add_argument("--shadows", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print_rows("membership", [control(given), *(promise(given, noise) for noise in given.noise)])


if __name__ == "__main__":
    main()
