"""Attacks on U-Nets: Dice under each single loss and under the worst of several, at three budgets.

Two federated U-Nets are trained first: nuclei on the bundled images, and skin lesions where ../shared/data has them (CC
BY-NC 4.0, never bundled); or finished runs are taken. All attacks start from the same points. The ensemble takes five
times as many steps as each single loss; so that this is not what makes it strong, soft Dice alone and all five losses
with equal shares stand there at the same price. Noise of the same size is the control that all must beat.

    python -m simulations.benchmarks.segmentation_attacks [--run runs/nuclei-unet ...] [--images 12] [--steps 15]
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from medfed.config import Scenario, load_scenario
from medfed.data.dataset import open_dataset, pool
from medfed.data.location import resolve_path
from medfed.metrics.intervals import bootstrap
from medfed.metrics.weights import weighted_mean
from medfed.models.unet import UNet
from medfed.params import load_weights, set_weights
from medfed.results import Estimate
from medfed.rng import numpy_generator
from robustness.attacks.contract import Attack
from robustness.attacks.criteria import DiceBelow
from robustness.attacks.enforcer import run_attack
from robustness.attacks.heads import head_for
from robustness.attacks.noise import Noise
from robustness.attacks.segmentation import SegmentationWorst
from robustness.attacks.segmentation.losses import SEGMENTATION_LOSSES
from robustness.attacks.settings import RunSettings
from robustness.attacks.threat import ThreatModel
from simulations.benchmarks.report import Row, print_rows
from simulations.run import simulate

SCENARIOS = Path(__file__).parents[1] / "scenarios"
BUDGETS = (2, 4, 8)
"""Grey levels of 8 bits."""

NOISE, WORST, LONG, EQUAL = "noise", "ensemble", "soft_dice, 5 x the steps", "five losses, equal shares"
ANY_HARM = DiceBelow(threshold=1e-9)
"""Met at Dice 0 only, so that every attack goes on while there is something left to lose."""


@dataclass(frozen=True, eq=False)
class Target:
    """A trained model and the images on which it is attacked."""

    name: str
    scenario: Scenario
    model: nn.Module
    images: Tensor
    masks: Tensor
    patients: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one attack left of the Dice score, per image and on average, and what it cost."""

    dice: Tensor
    mean: Estimate
    cpu_seconds: float


def scenarios() -> Iterator[Scenario]:
    """The bundled nuclei scenario, and the same recipe on skin lesions; half as wide, without baselines."""
    nuclei = load_scenario(SCENARIOS / "nuclei-unet.toml")
    nuclei = nuclei.replace(
        model=UNet(width=8),
        baselines=nuclei.baselines.model_copy(update={"local": False, "pooled": False}),
        engine=nuclei.engine.model_copy(update={"workers": 1}),
        evaluation=nuclei.evaluation.model_copy(update={"every": nuclei.training.rounds}),
    )
    yield nuclei
    data = load_scenario(SCENARIOS / "skin-cnn.toml").data
    if not resolve_path(data.path).exists():
        print(f"skin: left out, {data.path} is not there")
        return
    task = nuclei.task.model_copy(update={"classes": ("background", "lesion")})
    training = nuclei.training.model_copy(update={"rounds": 12, "local_steps": 8, "batch_size": 8})
    evaluation = nuclei.evaluation.model_copy(update={"every": training.rounds})
    yield nuclei.replace(name="skin-unet", data=data, task=task, training=training, evaluation=evaluation)


def target(folder: Path, num_images: int) -> Target:
    """The model of a finished run, with test images of all its sites, evenly spaced in their order."""
    scenario = load_scenario(folder / "scenario.toml")
    dataset = open_dataset(resolve_path(scenario.data.path), scenario.data, scenario.model_task, scenario.seed)
    test = pool([dataset.site(site) for site in dataset.sites]).test
    positions = np.unique(np.linspace(0, len(test) - 1, num_images).round().astype(np.int64))
    model = scenario.model(scenario.model_task)
    set_weights(model, load_weights(folder / "model.safetensors"))
    images, masks = test.batch(positions)
    return Target(scenario.name, scenario, model, images, masks, tuple(test.patients[at] for at in positions))


def attack(aim: Target, eps: int, how: Attack) -> Outcome:
    """Run one attack to its end."""
    result = run_attack(
        aim.model,
        aim.images,
        aim.masks,
        attack=how,
        threat=ThreatModel.grey_levels(eps),
        head=head_for(aim.scenario.model_task),
        criterion=ANY_HARM,
        settings=RunSettings(batch_size=8),
    )
    dice = 1 - result.damage
    return Outcome(dice, _mean(dice, aim), result.cpu_seconds)


def _mean(dice: Tensor, aim: Target) -> Estimate:
    values = dice.double().numpy()
    generator = numpy_generator(0, "segmentation attacks", aim.name)
    return bootstrap(lambda weights: weighted_mean(values, weights), aim.patients, 1000, generator)


def attacks(steps: int) -> dict[str, Attack]:
    """Noise, each loss alone, and three at five times the price; one class, so that all start alike."""
    losses = tuple(SEGMENTATION_LOSSES)
    alone: dict[str, Attack] = {loss: SegmentationWorst(steps=steps, losses=(loss,), first=1) for loss in losses}
    dear = {
        LONG: SegmentationWorst(steps=steps, losses=("soft_dice",), first=5),
        EQUAL: SegmentationWorst(steps=steps, losses=losses, first=1),
        WORST: SegmentationWorst(steps=steps),
    }
    return {NOISE: Noise(draws=steps), **alone, **dear}


def compare(aim: Target, steps: int) -> list[Row]:
    """Print one table, and return three rows per budget."""
    clean = attack(aim, 0, Noise(draws=1))
    table = Table(
        "eps", "attack", "Dice", "95 %", "CPU s", title=f"{aim.name}: {len(aim.images)} images, {steps} steps"
    )
    table.add_row("0", "none", *_cells(clean))
    rows: list[Row] = []
    for eps in BUDGETS:
        found = {name: attack(aim, eps, how) for name, how in attacks(steps).items()}
        for name, outcome in found.items():
            table.add_row(str(eps), name, *_cells(outcome))
        rows += _rows(aim.name, eps, found)
    Console(width=120).print(table)
    return rows


def _cells(outcome: Outcome) -> tuple[str, str, str]:
    mean = outcome.mean
    interval = "none" if mean.low is None or mean.high is None else f"{mean.low:.3f}-{mean.high:.3f}"
    return f"{outcome.dice.mean():.3f}", interval, f"{outcome.cpu_seconds:.1f}"


def _rows(name: str, eps: int, found: dict[str, Outcome]) -> list[Row]:
    dice = {attack: float(outcome.dice.double().mean()) for attack, outcome in found.items()}
    best = min(SEGMENTATION_LOSSES, key=lambda loss: dice[loss])
    worst, case = dice[WORST], f"{name}, eps {eps}/255, ensemble"
    return [
        Row(f"{case}; peer: {best} alone", worst, dice[best], "Dice", "lower", dice[best]),
        Row(f"{case}; peer: {LONG}", worst, dice[LONG], "Dice", "lower", dice[LONG]),
        Row(f"{case}; peer: {EQUAL}", worst, dice[EQUAL], "Dice", "lower", dice[EQUAL]),
        Row(f"{case}; peer: noise", worst, dice[NOISE], "Dice", "lower", dice[NOISE]),
    ]


def main() -> None:
    """Train or take the models, attack them, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--run", type=Path, nargs="+", help="folders of finished segmentation runs, instead of training"
    )
    parser.add_argument("--images", type=int, default=12, help="test images per model")
    parser.add_argument("--steps", type=int, default=15, help="gradients per image and loss")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        folders: Sequence[Path] = arguments.run or [simulate(s, out=Path(scratch)).folder for s in scenarios()]
        for folder in folders:
            rows += compare(target(folder, arguments.images), arguments.steps)
    print_rows("segmentation_attacks", rows)


if __name__ == "__main__":
    main()
