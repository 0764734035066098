"""What the benchmark of defences trains and measures: the bundled films, one model per kind of training."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from medfed.audit.verdicts import clopper_pearson
from medfed.config import load_scenario
from medfed.data.dataset import open_dataset, pool
from medfed.data.location import resolve_path
from medfed.params import load_weights, set_weights
from medfed.rng import torch_generator
from medfed.types import ImageSet
from robustness.attacks.contract import Attack
from robustness.attacks.enforcer import check_points, run_attack
from robustness.attacks.ensemble import Ensemble
from robustness.attacks.heads import SoftmaxHead
from robustness.attacks.result import AttackResult
from robustness.attacks.threat import ThreatModel
from robustness.defences.filter_contract import InputFilter
from robustness.defences.filtered import FilteredModule
from robustness.defences.randomized_smoothing import SmoothedClassifier
from simulations.benchmarks.bundled import SCENARIOS, finished
from simulations.run import simulate

SEED = 1

ATTACK: Attack = Ensemble(steps=40, restarts=0, queries=20)
"""Auto-PGD on the margin with the steps of the audit, then a short search without gradients."""

_HEAD = SoftmaxHead(num_classes=2)

CERTIFY: dict[str, Any] = {"num_select": 100, "num": 500, "alpha": 0.001}
"""n_0 and alpha are those of Cohen et al.; n is 500 instead of 100 000, which costs radius, never certainty."""


@dataclass(frozen=True)
class Share:
    """Right answers out of n, with the exact 95 % interval, and balanced accuracy: of every class the same weight.

    On these films a model that always says pneumonia is right on five of eight, and cannot be attacked: accuracy alone
    would take it for a robust one.
    """

    right: int
    n: int
    balanced: float

    @classmethod
    def of(cls, right: Tensor, labels: Tensor) -> "Share":
        """From what was right of each image."""
        recalls = [float(right[labels == label].float().mean()) for label in sorted(set(labels.tolist()))]
        return cls(int(right.sum()), len(right), sum(recalls) / len(recalls))

    def __str__(self) -> str:
        """``0.812 (0.75 to 0.86), 0.790``."""
        low, high = clopper_pearson(self.right, self.n)
        return f"{self.right / self.n:.3f} ({low:.2f} to {high:.2f}), {self.balanced:.3f}"


@dataclass(frozen=True, eq=False)
class Trained:
    """A federated model, the processor seconds of its training, and images to measure it on."""

    name: str
    model: nn.Module
    seconds: float
    images: Tensor
    labels: Tensor

    def behind(self, input_filter: InputFilter) -> nn.Module:
        """The model behind a filter."""
        return FilteredModule(self.model, input_filter).eval()

    def first(self, number: int) -> "Trained":
        """The same model with at most so many images, evenly spaced."""
        rows = torch.linspace(0, len(self.images) - 1, min(number, len(self.images))).round().long()
        return replace(self, images=self.images[rows], labels=self.labels[rows])


def trained(name: str, changes: dict[str, Any], out: Path, num_images: int) -> Trained:
    """Train on the bundled films, or take the finished run of the same scenario in ``out``."""
    bundled = load_scenario(SCENARIOS / "pneumonia-cnn.toml")
    fixed = {"baselines.local": False, "baselines.pooled": False, "engine.workers": 1, "record.rounds": ()}
    last = {"evaluation.every": bundled.training.rounds, "name": f"defence-{name}", "seed": SEED}
    scenario = bundled.replace(**fixed, **last, **changes)
    folder, started = out / scenario.name, time.process_time()
    note = folder / "cpu_seconds"
    if finished(scenario, folder) is None or not note.exists():
        simulate(scenario, out=out, overwrite=True)
        note.write_text(f"{time.process_time() - started:.1f}", encoding="utf-8")
    dataset = open_dataset(resolve_path(scenario.data.path), scenario.data, scenario.model_task, scenario.seed)
    images, labels = spread(pool([dataset.site(site) for site in dataset.sites]).test, num_images)
    model = scenario.model(scenario.model_task)
    set_weights(model, load_weights(folder / "model.safetensors"))
    return Trained(name, model.eval(), float(note.read_text(encoding="utf-8")), images, labels)


def spread(images: ImageSet, number: int) -> tuple[Tensor, Tensor]:
    """So many images, evenly spaced in their order."""
    return images.batch(np.unique(np.linspace(0, len(images) - 1, number).round().astype(np.int64)))


def attacked(aim: Trained, model: nn.Module, eps: float) -> AttackResult:
    """The attack on ``model`` (the trained one, or that behind a filter)."""
    return run_attack(model, aim.images, aim.labels, attack=ATTACK, threat=ThreatModel.grey_levels(eps), head=_HEAD)


def clean(aim: Trained, result: AttackResult) -> Share:
    """Images read rightly without an attack."""
    return Share.of(~result.clean_success, aim.labels)


def left(aim: Trained, result: AttackResult) -> Share:
    """Images that no point fools."""
    return Share.of(~result.success, aim.labels)


def left_of_transfer(aim: Trained, model: nn.Module, bare: AttackResult, eps: float) -> Share:
    """What the points of an attack on the bare model leave of the model behind a filter."""
    threat = ThreatModel.grey_levels(eps)
    return left(aim, check_points(model, aim.images, bare.adversarial, aim.labels, threat=threat, head=_HEAD))


def certified(aim: Trained, sigma: float, radii: tuple[float, ...]) -> tuple[list[Share], float]:
    """Images right with at least each certified radius (grey levels, Euclidean), and processor seconds per image."""
    started, found = time.process_time(), []
    smoothed = SmoothedClassifier(aim.model, _HEAD, sigma)
    for row, (image, label) in enumerate(zip(aim.images, aim.labels, strict=True)):
        certificate = smoothed.certify(image, **CERTIFY, generator=torch_generator(SEED, "certify", row))
        found.append(certificate.radius if certificate.prediction == int(label) else -1.0)
    seconds = (time.process_time() - started) / len(found)
    return [Share.of(torch.tensor(found) >= least, aim.labels) for least in radii], seconds
