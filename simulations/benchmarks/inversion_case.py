"""Our side of the inversion benchmark in a fresh process, and the verdict on what either side found.

    python -m simulations.benchmarks.inversion_case FOLDER CASE SEED

FOLDER holds ``cases.py``, whose ``load`` gives a model, images, labels and the gradient. Prints CPU seconds of the
attack, PSNR and whether the labels were counted right.
"""

import importlib.util
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from medfed.models.layers import Center
from medfed.training.losses.cross_entropy import CrossEntropy
from medfed.types import Task
from privacy.inversion.contract import Inversion
from privacy.inversion.engine import run_inversion
from privacy.inversion.inverting_gradients import InvertingGradients
from privacy.inversion.observation import Observation, of_gradient
from privacy.inversion.recursive import Recursive
from privacy.inversion.settings import InversionSettings
from privacy.measures.images import psnr
from privacy.measures.matching import match_images

ATTACKS: Mapping[str, Inversion] = {
    "conv32_b1": InvertingGradients(iterations=300),
    "conv32_b4": InvertingGradients(iterations=800),
    "conv64_b1": InvertingGradients(iterations=300),
    "lenet32_b1": Recursive(),
    "res1832_b1": InvertingGradients(iterations=200, signed=True),
}
"""What suits each network: Adam on small ReLU networks, its sign on a deep one, the closed form on a chain."""


def load(folder: Path, name: str) -> dict[str, Any]:
    """The case as its own module gives it."""
    spec = importlib.util.spec_from_file_location("inversion_cases", folder / "cases.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    case: dict[str, Any] = module.load(name)
    assert (module.MEAN, module.STD) == ((0.5,) * 3, (0.25,) * 3), "Center would be another normalization"
    return case


def observed(case: Mapping[str, Any]) -> Observation:
    """What the attacker sees: model, gradient, shapes; no labels."""
    model = nn.Sequential(Center(), case["model"])
    names = [name for name, _ in model.named_parameters()]
    classes = model(torch.zeros(1, 3, case["size"], case["size"])).shape[1]
    return of_gradient(
        dict(zip(names, case["grads"], strict=True)),
        model=model,
        weights=model.state_dict(),
        task=Task("classification", tuple(map(str, range(classes))), "softmax", 3, case["size"]),
        image_shape=(3, case["size"], case["size"]),
        num_examples=case["batch"],
        loss=CrossEntropy(),
        batch_norm="frozen",
    )


def quality(found: Tensor, truth: Tensor) -> float:
    """Mean PSNR in dB, matched over the batch."""
    return float(psnr(found[match_images(found, truth)], truth).mean())


def judged(folder: Path, name: str, path: Path) -> float:
    """PSNR of the images in a file."""
    return quality(torch.from_numpy(np.load(path)), load(folder, name)["image"])


def main() -> None:
    """Attack, judge, print."""
    folder, name, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(1)
    case = load(folder, name)
    found = run_inversion(observed(case), attack=ATTACKS[name], settings=InversionSettings(seed=seed))
    right = sorted(found.labels.tolist()) == sorted(case["labels"].tolist())
    score = quality(found.images, case["image"])
    print(json.dumps({"seconds": found.cpu_seconds, "psnr": score, "labels": "right" if right else "wrong"}))


if __name__ == "__main__":
    main()
