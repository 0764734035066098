"""Five hundred rounds of a U-Net at six sites: does memory grow?

A whole ``medfed simulate`` on the bundled nuclei, divided over six sites: training, exchange, checks, fold,
checkpoint, validation in every 25th round. Scaled down so that 500 rounds take minutes on two cores: width 4 and
depth 2 in the place of 32 and 4, images of 32 pixels, one step of two images; an object that is kept by mistake, or
one entry of a cache per message, shows all the same. Reported: the slope of the least-squares line through
RssAnon + RssShmem after round 50, in the main process and in all its workers together.

    python -m simulations.benchmarks.memory [--rounds 500]
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from medfed import events
from medfed.config import Scenario, parse_scenario
from simulations.benchmarks.processes import MEGABYTE, resident_bytes, worker_bytes
from simulations.benchmarks.report import Row, print_rows
from simulations.run import simulate

NUM_SITES = 6
WARM_UP_ROUNDS = 50
GOAL = 0.05
"""MB per round."""


def tiny_unet(rounds: int) -> Scenario:
    """The scenario of all rounds."""
    return parse_scenario(f"""
        name = "memory"
        model = {{ name = "unet", width = 4, depth = 2 }}
        task = {{ kind = "segmentation", classes = ["background", "nucleus"] }}
        evaluation = {{ every = 25, resamples = 100 }}
        baselines = {{ local = false, pooled = false }}
        federation = {{ strategy = {{ name = "fedavg", weighting = "uniform" }} }}

        [data]
        path = "package:medfed/data/samples/nuclei/labels.csv"
        image_size = 32
        channels = 3
        min_images_per_site = 3
        partition = {{ name = "iid", num_sites = {NUM_SITES} }}

        [training]
        rounds = {rounds}
        local_steps = 1
        batch_size = 2
        loss = "dice_ce"
        optimizer = {{ name = "adamw", lr = 1e-3 }}
    """)


def slope(megabytes: list[float]) -> float:
    """MB per round of the least-squares line."""
    return float(np.polyfit(np.arange(len(megabytes)), megabytes, 1)[0])


def measure(rounds: int) -> tuple[list[float], list[float]]:
    """MB of this process, and of its workers, at the end of every round."""
    main, workers = [], []

    def listen(event: events.Event) -> None:
        if isinstance(event, events.RoundDone):
            main.append(resident_bytes() / MEGABYTE)
            workers.append(worker_bytes() / MEGABYTE)

    with tempfile.TemporaryDirectory() as out:
        simulate(tiny_unet(rounds), out=Path(out), listener=listen)
    return main, workers


def main() -> None:
    """Run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=500)
    rounds = parser.parse_args().rounds
    skipped = min(WARM_UP_ROUNDS, rounds // 2)
    rows = [
        Row(
            f"{name}, after round {skipped}", slope(values[skipped:]), None, "MB/round", "lower", GOAL, "no peer is run"
        )
        for name, values in zip(("main process", "workers"), measure(rounds), strict=True)
    ]
    print_rows("memory", rows)


if __name__ == "__main__":
    main()
