"""What a step of DP-SGD takes: time against a plain step, and peak memory against the limit asked for.

Three cases (:mod:`simulations.benchmarks.dp_case`), one thread, CPU time of this process. Ways take turns, one step
each, so that a busy machine hits all alike; the median of many steps counts. The peer is Opacus with its default,
hooks, in the same process. Memory is measured in a fresh process per way: how far it grows above model and batch.

    python -m simulations.benchmarks.dp [--steps 20] [--memory-mb 512 128]
"""

import argparse
import statistics
import subprocess
import sys
import time
import warnings

import torch

from simulations.benchmarks.dp_case import CASES, step_of
from simulations.benchmarks.report import Row, print_rows

GOAL = 2.2
"""Plain steps that a private one may take; Opacus's hooks take 2.2 to 2.7."""

_WARM_UP = 2
_WAYS = ("sgd", "ours", "hooks")


def milliseconds(case: str, num_steps: int, memory_mb: int) -> dict[str, float]:
    """Median CPU time of a step, by way."""
    steps = {way: step_of(case, way, memory_mb) for way in _WAYS}
    found: dict[str, list[float]] = {way: [] for way in _WAYS}
    for _ in range(_WARM_UP + num_steps):
        for way, step in steps.items():
            started = time.process_time()
            step()
            found[way].append(1000.0 * (time.process_time() - started))
    return {way: statistics.median(times[_WARM_UP:]) for way, times in found.items()}


def megabytes(case: str, way: str, memory_mb: int) -> float:
    """Peak memory of a fresh process."""
    program = (
        f"from simulations.benchmarks.dp_case import peak_megabytes as p; print(p({case!r}, {way!r}, {memory_mb}))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], check=True, capture_output=True, text=True, timeout=600
    )
    return float(done.stdout.split()[-1])


def main() -> None:
    """Measure all, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--memory-mb", type=int, nargs="+", default=[512, 128], help="the first also for the times")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of Opacus, that it is not in secure mode
    rows = []
    for case in CASES:
        found = milliseconds(case, chosen.steps, chosen.memory_mb[0])
        plain = found["sgd"]
        label = f"{case}: step (plain {plain:.1f} ms)"
        rows.append(Row(label, found["ours"] / plain, found["hooks"] / plain, "plain steps", "lower", GOAL))
    for case in CASES:
        hooks = megabytes(case, "hooks", 0)
        for limit in chosen.memory_mb:
            label = f"{case}: peak at {limit} MB"
            rows.append(Row(label, megabytes(case, "ours", limit), hooks, "MB", "lower", float(limit)))
    print_rows("dp", rows)


if __name__ == "__main__":
    main()
