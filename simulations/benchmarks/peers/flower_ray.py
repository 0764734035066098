"""Flower's own FedAvg on its Ray runtime with a null client; prints the seconds of every round and the server's bytes.

Runs in ``.venv-peers``: flower_ray.py PARAMETERS TENSORS COHORT NODES ROUNDS
"""

import json
import os
import sys
import time

os.environ.update(FLWR_TELEMETRY_ENABLED="0", FLWR_DISABLE_UPDATE_CHECK="1", RAY_USAGE_STATS_ENABLED="0")

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

from simulations.benchmarks.processes import PeakMemory, resident_bytes

PARAMETERS, TENSORS, COHORT, NODES, ROUNDS = map(int, sys.argv[1:6])

client = ClientApp()
server = ServerApp()
closed: list[float] = []


@client.train()
def train(message: Message, context: Context) -> Message:
    """Unpack the weights and send them back."""
    arrays = message.content.array_records["arrays"].to_numpy_ndarrays()
    content = RecordDict({"arrays": ArrayRecord(arrays), "metrics": MetricRecord({"num-examples": 1})})
    return Message(content, reply_to=message)


@server.main()
def main(grid: Grid, context: Context) -> None:
    """FedAvg as it comes; the evaluation hook only looks at the clock."""
    strategy = FedAvg(
        fraction_train=COHORT / NODES, fraction_evaluate=0.0, min_train_nodes=COHORT, min_available_nodes=NODES
    )
    arrays = [np.random.default_rng(0).standard_normal(PARAMETERS // TENSORS, np.float32) for _ in range(TENSORS)]
    strategy.start(
        grid,
        ArrayRecord(arrays),
        num_rounds=ROUNDS,
        evaluate_fn=lambda number, weights: closed.append(time.perf_counter()),
    )


idle = resident_bytes()
with PeakMemory() as memory:
    run_simulation(
        server_app=server,
        client_app=client,
        num_supernodes=NODES,
        backend_config={
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
            "init_args": {"include_dashboard": False, "log_to_driver": False},
        },
    )
print(json.dumps({"seconds": np.diff(closed).tolist(), "server_bytes": memory.peak - idle}))
