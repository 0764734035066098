"""One side of the attack benchmark in a fresh process: our ensemble, or pyautoattack from .venv-peers, on one model.

    python -m simulations.benchmarks.attacks.case ours|peer MODEL FOLDER [--split val]

Both sides see the same weights, films and bound, in the same torch; pyautoattack, which asks for nothing else, is taken
from .venv-peers. Seconds are of the processor, for the attack alone. The same few lines judge what either returns.
"""

import argparse
import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from robustness.attacks.enforcer import run_attack
from robustness.attacks.ensemble import Ensemble
from robustness.attacks.heads import SoftmaxHead
from robustness.attacks.settings import RunSettings
from robustness.attacks.threat import ThreatModel
from simulations.benchmarks.attacks.models import RECIPES, films, trained
from simulations.benchmarks.processes import PEER_PYTHON

FILMS = 256
SEED = 0
LEAST_DLR = 4
"""Classes without which the targeted DLR loss of the peer cannot be computed (it divides by the third and fourth)."""

_ROUNDING = 1e-3  # of a grey level

Side = Callable[[nn.Module, Tensor, Tensor, float], Tensor]


def ours(model: nn.Module, images: Tensor, labels: Tensor, eps: float) -> Tensor:
    """The points of our ensemble with its defaults, searched in bfloat16."""
    with torch.no_grad():
        classes = model(images[:1]).shape[1]
    return run_attack(
        model,
        images,
        labels,
        attack=Ensemble(),
        threat=ThreatModel.grey_levels(eps),
        head=SoftmaxHead(num_classes=classes),
        settings=RunSettings(seed=SEED, precision="bfloat16"),
    ).adversarial


def peer(model: nn.Module, images: Tensor, labels: Tensor, eps: float) -> Tensor:
    """The points of pyautoattack's version "standard".

    It aims at nine other classes; where a model has fewer, at all there are. With two classes its targeted Auto-PGD
    raises IndexError and is left out: the untargeted one climbs the same way there.
    """
    with torch.no_grad():
        classes = model(images[:1]).shape[1]
    package = peer_package()
    attack = package.AutoAttack(model, norm="Linf", eps=eps / 255, version="standard", device="cpu", seed=SEED)
    attack.apgd_targeted.n_target_classes = attack.fab.n_target_classes = min(9, classes - 1)
    if classes < LEAST_DLR:
        attack.attacks_to_run = [name for name in attack.attacks_to_run if name != "apgd-t"]
    points: Tensor = attack.run_standard_evaluation(images, labels, batch_size=len(images))[0]
    return points.detach()


def peer_package() -> ModuleType:
    """Pyautoattack, behind everything that is installed here.

    Raises:
        ImportError: there is no .venv-peers, or it lacks the package.
    """
    sys.path += map(str, PEER_PYTHON.parents[1].glob("lib/python*/site-packages"))
    return importlib.import_module("pyautoattack")


SIDES: dict[str, Side] = {"ours": ours, "peer": peer}


def main() -> None:
    """Attack, judge, print one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("side", choices=list(SIDES))
    parser.add_argument("model", choices=list(RECIPES))
    parser.add_argument("folder", type=Path, help="of the trained models")
    parser.add_argument("--split", choices=["val", "test"], default="test")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    recipe = RECIPES[arguments.model]
    model = trained(recipe, arguments.folder)
    images, labels = films(recipe, arguments.split, FILMS)
    started = time.process_time()
    points = SIDES[arguments.side](model, images, labels, recipe.eps)
    seconds = time.process_time() - started
    with torch.no_grad():
        clean = (model(images).argmax(dim=1) == labels).float().mean()
        right = (model(points).argmax(dim=1) == labels) & (model(images).argmax(dim=1) == labels)
    change = float((points - images).abs().amax()) * 255
    if change > recipe.eps + _ROUNDING:
        raise RuntimeError(f"{arguments.side}: a point lies {change:g} grey levels off, {recipe.eps:g} are allowed")
    print(
        json.dumps(
            {"films": len(images), "clean": float(clean), "robust": float(right.float().mean()), "seconds": seconds}
            | {"grey_levels": change}
        )
    )


if __name__ == "__main__":
    main()
