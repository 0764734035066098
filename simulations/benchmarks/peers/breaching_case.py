"""One case of the inversion benchmark under breaching 0.1.2, with labels, mean and deviation given to it.

Runs in ``.venv-peers``: breaching_case.py CASES CASE ATTACK ITERATIONS TV OUT. CASES is the folder with the cases' own
``cases.py``; TV is its weight of total variation, ``-`` for its default. Writes the images, in [0, 1], to OUT (.npy)
and prints its CPU seconds.
"""

import importlib
import json
import sys
import time
from typing import Any

import numpy as np
import torch


def prepare_torchvision() -> None:
    """Import torchvision's Python part, all that the peer uses, where its compiled part is for another torch."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        for op in ("nms", "qnms"):
            torch.library.define(f"torchvision::{op}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        importlib.import_module("torchvision")


def main() -> None:
    """Attack, write, print."""
    folder, name, attack, iterations, variation, out = sys.argv[1:]
    torch.set_num_threads(1)
    prepare_torchvision()
    breaching = importlib.import_module("breaching")
    sys.path.insert(0, folder)
    cases: Any = importlib.import_module("cases")
    case = cases.load(name)
    settings = breaching.get_attack_config(attack)
    settings.optim.max_iterations = int(iterations)
    settings.optim.callback = max(int(iterations) // 4, 1)
    if variation != "-":
        settings.regularization.total_variation.scale = float(variation)

    class Meta(dict[str, Any]):
        """Read by key and by attribute."""

        __getattr__ = dict.__getitem__

    meta = Meta(
        modality="vision",
        task="classification",
        shape=(3, case["size"], case["size"]),
        classes=cases.CLASSES,
        mean=cases.MEAN,
        std=cases.STD,
    )
    model = case["model"]
    payload = [
        {"parameters": [p.detach() for p in model.parameters()], "buffers": list(model.buffers()), "metadata": meta}
    ]
    searched = settings.attack_type == "joint-optimization"  # DLG insists on finding the labels itself
    told = {"num_data_points": case["batch"], "labels": None if searched else case["labels"], "local_hyperparams": None}
    shared = [{"gradients": [g.clone() for g in case["grads"]], "buffers": None, "metadata": told}]
    torch.manual_seed(1000)
    setup = {"device": torch.device("cpu"), "dtype": torch.float}
    attacker = breaching.attacks.prepare_attack(model, torch.nn.CrossEntropyLoss(), settings, setup)
    started = time.process_time()
    found, _ = attacker.reconstruct(payload, shared, {}, dryrun=False)
    seconds = time.process_time() - started
    images = (found["data"].detach() * case["std"] + case["mean"]).clamp(0, 1)
    np.save(out, images.numpy())
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
