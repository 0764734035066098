"""One rule on spooled updates, in a process of its own: seconds, and megabytes above the idle process.

    python -m simulations.benchmarks.aggregator_case ours|flower RULE SITES VALUES FOLDER

Prints ``[seconds, megabytes]``. Ours reads the rows through the server's own spool, for two rounds where the rule
remembers, the second of them timed. Flower's functions are given the updates as arrays in memory, as its server does.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from flwr.server.strategy.aggregate import aggregate_bulyan, aggregate_krum, aggregate_median, aggregate_trimmed_avg

from medfed import registry
from medfed.determinism import deterministic
from medfed.types import Weights
from robustness.aggregation.contract import RobustAggregator
from server.spool import Spool, SpoolRows
from simulations.benchmarks.processes import MEGABYTE, PeakMemory, resident_bytes

NUM_BYZANTINE = 4  # 20 sites are enough for Bulyan's 4 f + 3

RULES: dict[str, dict[str, Any]] = {
    "median": {},
    "trimmed_mean": {"num_byzantine": NUM_BYZANTINE},
    "krum": {"num_byzantine": NUM_BYZANTINE},
    "multi_krum": {"num_byzantine": NUM_BYZANTINE},
    "bulyan": {"num_byzantine": NUM_BYZANTINE},
    "geometric_median": {},
    "centred_clipping": {"radius": 1.0, "steps": 3},
    "foolsgold": {},
    "bucketing": {"size": 2, "inner": "median"},
}
"""Rule -> its fields."""

FLOWER: dict[str, Callable[[list[Any]], Any]] = {
    "median": aggregate_median,
    "trimmed_mean": lambda replies: aggregate_trimmed_avg(replies, (NUM_BYZANTINE + 0.5) / len(replies)),
    "krum": lambda replies: aggregate_krum(replies, NUM_BYZANTINE, 0),
    "multi_krum": lambda replies: aggregate_krum(replies, NUM_BYZANTINE, len(replies) - NUM_BYZANTINE - 2),
    "bulyan": lambda replies: aggregate_bulyan(replies, NUM_BYZANTINE, aggregate_krum, to_keep=0),
}
"""The rules that Flower has, as functions of its list of (arrays, number of examples)."""


def site_names(num_sites: int) -> list[str]:
    """Names in their order."""
    return [f"s{number:04d}" for number in range(num_sites)]


def ours(name: str, num_sites: int, num_values: int, folder: Path) -> float:
    """Seconds of the last round."""
    rule: RobustAggregator = registry.build("aggregator", {"name": name, **RULES[name]})
    like: Weights = {"w": torch.zeros(1).expand(num_values)}  # a shape without memory
    rows = SpoolRows(Spool(folder, durable=False), site_names(num_sites), like)
    weights, seconds = torch.ones(num_sites), 0.0
    state: Weights = {}
    for number in range(2):
        started = time.perf_counter()
        _, state = rule(rows, weights, state, np.random.default_rng(number))
        seconds = time.perf_counter() - started
        if not state:
            break
    return seconds


def flower(name: str, num_sites: int, num_values: int, folder: Path) -> float:
    """Seconds of Flower's function alone."""
    spool = Spool(folder, durable=False)
    replies = [([spool.get(site).update.tensors["w"].numpy().copy()], 1) for site in site_names(num_sites)]
    assert replies[0][0][0].size == num_values
    started = time.perf_counter()
    FLOWER[name](replies)
    return time.perf_counter() - started


def main() -> None:
    """Measure one case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("whose", choices=["ours", "flower"])
    parser.add_argument("rule", choices=RULES)
    parser.add_argument("sites", type=int)
    parser.add_argument("values", type=int)
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    idle = resident_bytes()
    with deterministic(True), PeakMemory() as memory:
        seconds = (ours if asked.whose == "ours" else flower)(asked.rule, asked.sites, asked.values, asked.folder)
    print(json.dumps([seconds, (memory.peak - idle) / MEGABYTE]))


if __name__ == "__main__":
    main()
