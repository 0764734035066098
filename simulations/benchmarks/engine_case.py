"""One case of :mod:`simulations.benchmarks.engine`, in a process of its own; prints one JSON object.

    python -m simulations.benchmarks.engine_case PARAMETERS TENSORS COHORT NODES ROUNDS

Real rounds: join, sampling, packing, exchange, checks, fold, strategy; only the client is a null one.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import torch
from flwr.app import UserConfig

from medfed.config import Scenario, parse_scenario
from medfed.determinism import deterministic
from medfed.run_folder import RunFolder
from medfed.types import Weights
from server.federation import sampled_sites
from server.roster import join
from server.round_state import Federation
from server.rounds import run_round
from simulations.benchmarks.processes import PeakMemory, resident_bytes
from simulations.engine.grid import local_grid

CLIENT_APP = "simulations.benchmarks.null_client:app"


def null_scenario(nodes: int, cohort: int) -> Scenario:
    """A scenario whose model and data are never touched."""
    sites = ", ".join(f'"s{i:04d}"' for i in range(nodes))
    return parse_scenario(f"""
        name = "null"
        model = "small_cnn"
        task = {{ kind = "classification", classes = ["a", "b"] }}
        data = {{ image_size = 28 }}
        training = {{ rounds = 1000, local_steps = 1, batch_size = 1, loss = "cross_entropy" }}
        federation = {{ sites_per_round = {cohort}, sites = [{sites}] }}
    """)


def measure(parameters: int, tensors: int, cohort: int, nodes: int, rounds: int) -> dict[str, object]:
    """Seconds of every round, and the peak bytes of the server above idle, and of its workers."""
    scenario = null_scenario(nodes, cohort)
    idle = resident_bytes()
    seconds = []
    workers = len(os.sched_getaffinity(0))  # as `medfed simulate` has by default
    configs: dict[str, UserConfig] = {site: {"site": site} for site in scenario.federation.sites}
    with (
        deterministic(True),
        PeakMemory() as memory,
        local_grid(CLIENT_APP, configs, workers) as grid,
        tempfile.TemporaryDirectory() as folder,
    ):
        weights: Weights = {f"t{i}": torch.randn(parameters // tensors) for i in range(tensors)}
        roster = join(grid, scenario)
        federation = Federation(grid, scenario, roster, RunFolder(Path(folder)), "benchmark")
        for number in range(1, rounds + 1):
            started = time.perf_counter()
            roster.refresh(grid, scenario)
            chosen = sampled_sites(scenario, number)
            weights = run_round(federation, chosen, number, weights, {}).weights
            seconds.append(time.perf_counter() - started)
    return {"seconds": seconds, "server_bytes": memory.peak - idle, "worker_bytes": memory.workers}


if __name__ == "__main__":
    print(json.dumps(measure(*map(int, sys.argv[1:6]))))
