"""The cohort task on Flower: its FedAvg on its Ray runtime; every site trains the same network on the same images.

Runs in ``.venv-peers``: flower_cohort.py DATA START WIDTH, as ``pfl_cohort.py`` does. Flower draws the users itself.
"""

import json
import os
import sys
import time

os.environ.update(FLWR_TELEMETRY_ENABLED="0", FLWR_DISABLE_UPDATE_CHECK="1", RAY_USAGE_STATS_ENABLED="0")
os.environ.update(COHORT_DATA=sys.argv[1], COHORT_WIDTH=sys.argv[3])

import numpy as np
import torch
from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

from simulations.benchmarks.peers.flower_cohort_client import app, network, training_images

DATA, START = sys.argv[1:3]

server = ServerApp()
closed: list[float] = []
finished: list[float] = []


def accuracy(weights: ArrayRecord) -> float:
    """Share of the test images that the model gets right."""
    model = network().eval()
    model.load_state_dict(weights.to_torch_state_dict())
    with np.load(DATA) as data, torch.no_grad():
        number = int(data["num_test"])
        found = model(torch.from_numpy(data["test_images"][:number]).unsqueeze(1).float() / 255).argmax(dim=1).numpy()
        return float((found == data["test_labels"][:number]).mean())


@server.main()
def main(grid: Grid, context: Context) -> None:
    """FedAvg as it comes; the evaluation hook only looks at the clock."""
    with np.load(START) as start:
        rounds, cohort = start["cohorts"].shape
        weights = {name: torch.from_numpy(start[name]) for name in network().state_dict()}
    users = training_images()[2]
    strategy = FedAvg(
        fraction_train=cohort / users, fraction_evaluate=0.0, min_train_nodes=cohort, min_available_nodes=users
    )
    result = strategy.start(
        grid,
        ArrayRecord(weights),
        num_rounds=rounds,
        evaluate_fn=lambda number, arrays: closed.append(time.perf_counter()),
    )
    finished.append(accuracy(result.arrays))


run_simulation(
    server_app=server,
    client_app=app,
    num_supernodes=training_images()[2],
    backend_config={
        "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
        "init_args": {"include_dashboard": False, "log_to_driver": False},
    },
)
print(json.dumps({"seconds": np.diff(closed).tolist(), "accuracy": finished[0]}))
