"""Our side of :mod:`simulations.benchmarks.cohort`, in a process of its own; prints one JSON object.

    python -m simulations.benchmarks.cohort_case DATA WIDTH SEED ROUNDS WORKERS

The seconds of every round of ``medfed simulate``, and the share of the test images that the last model gets right.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from medfed import events
from medfed.config import Scenario
from simulations.benchmarks.cohort_task import cohort_scenario
from simulations.run import simulate


def accuracy(model: nn.Module, data: Path) -> float:
    """Share of the real test images that ``model`` gets right."""
    with np.load(data) as file, torch.no_grad():
        number = int(file["num_test"])
        images = torch.from_numpy(file["test_images"][:number]).unsqueeze(1).float() / 255
        found = model.eval()(images).argmax(dim=1).numpy()
        return float((found == file["test_labels"][:number]).mean())


def run(scenario: Scenario, data: Path, out: Path) -> dict[str, object]:
    """Simulate, and say how long each round took and how good the model is."""
    closed = [time.perf_counter()]

    def listen(event: events.Event) -> None:
        if isinstance(event, events.RoundDone):
            closed.append(time.perf_counter())

    result = simulate(scenario, out=out, overwrite=True, listener=listen)
    total = time.perf_counter() - closed[0]
    model = scenario.model(scenario.model_task)
    model.load_state_dict(load_file(result.folder / "model.safetensors"))
    return {"seconds": np.diff(closed).tolist(), "accuracy": accuracy(model, data), "total": total}


def main() -> None:
    """Read the command line, run, print."""
    data = Path(sys.argv[1])
    width, seed, rounds, workers = map(int, sys.argv[2:6])
    with tempfile.TemporaryDirectory() as out:
        print(json.dumps(run(cohort_scenario(data, rounds, width, seed, workers), data, Path(out))))


if __name__ == "__main__":
    main()
