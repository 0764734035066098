"""What ``engine.vectorise`` takes per round: a thousand small sites, trained one by one (the peer) or so many at once.

The task is that of :mod:`simulations.benchmarks.cohort`: 50 images a site, batches of 10, one epoch of SGD, in one
process and one thread; the network is a ``small_cnn`` of width 8, since the cohort's own have dropout. Reported: the
median of the seconds per round without the first and the last. The goal is what would make the key worth turning on:
faster than one by one.

    python -m simulations.benchmarks.vectorise [--rounds 5] [--users 1000] [--cohort 50] [--sizes 10 50]
"""

import argparse
import os
import statistics
import tempfile
from pathlib import Path

from simulations.benchmarks.cohort import IMAGES_PER_USER
from simulations.benchmarks.cohort_case import run
from simulations.benchmarks.cohort_task import cohort_scenario, write_data
from simulations.benchmarks.report import Row, print_rows

WIDTH = 8


def seconds(data: Path, rounds: int, vectorise: int, out: Path) -> float:
    """Median seconds per round of a run in this process."""
    scenario = cohort_scenario(data, rounds, WIDTH, 1, 1).replace(
        **{"engine.vectorise": vectorise, "model": {"name": "small_cnn", "width": WIDTH}}
    )
    found = run(scenario, data, out)["seconds"]
    assert isinstance(found, list)
    median: float = statistics.median(found[1:-1])
    return median


def main() -> None:
    """Run all, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="at least 3")
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--cohort", type=int, default=50)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 50], help="values of engine.vectorise")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MEDFED_CACHE"] = folder  # the decoded copies are of no use afterwards
        data = Path(folder) / "cohort.npz"
        write_data(data, chosen.users, chosen.cohort, IMAGES_PER_USER)
        alone = seconds(data, chosen.rounds, 0, Path(folder))
        rows = [
            Row(
                f"{size} sites at once",
                seconds(data, chosen.rounds, size, Path(folder)),
                alone,
                "s/round",
                "lower",
                alone,
            )
            for size in chosen.sizes
        ]
    print_rows("vectorise", rows)


if __name__ == "__main__":
    main()
