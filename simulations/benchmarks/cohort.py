"""A thousand small sites: pfl-research's CIFAR-10 harness on PneumoniaMNIST; ours, pfl-research and Flower on Ray.

1000 users with 50 images each (:mod:`simulations.benchmarks.cohort_task`), 50 of them a round, one local epoch in
batches of 10, SGD with 0.1. Network, first weights, images of each user and number of rounds are the same for all,
the users of each round for ours and pfl's. Reported: the median of the seconds per round without the first (start-up)
and the last (where ours also validates at every site), and the mean over seeds of the accuracy on the 624 test images.
Two networks: pfl's own of 1.2 M parameters, where two cores are busy with arithmetic whatever the program does, and
one of 75 k, where the program counts.

    python -m simulations.benchmarks.cohort [--seeds 1 2 3] [--rounds 20] [--repeats 5] [--users 1000]
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simulations.benchmarks.cohort_task import cohort_scenario, write_data, write_start
from simulations.benchmarks.processes import fresh, peer
from simulations.benchmarks.report import Row, print_rows

IMAGES_PER_USER = 50
SMALL, PFL_WIDTH = 8, 32
WIDE_ROUNDS = 6
CORES = 2
STEPS = 250
"""Of each plain loop, as many as a round of 50 users takes."""
LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(CORES))
POINTS = 0.5
"""How far, in points of accuracy, ours may lie below pfl's."""

Run = dict[str, Any]


def ours(data: Path, width: int, seed: int, rounds: int, workers: int) -> Run:
    """``medfed simulate`` with ``workers`` processes."""
    found: Run = fresh("simulations.benchmarks.cohort_case", data, width, seed, rounds, workers)
    return found


def programs(data: Path, width: int, seeds: Sequence[int], rounds: int) -> tuple[dict[str, list[Run]], dict[str, str]]:
    """A run per seed of every program, and why a peer has none."""
    runs: dict[str, list[Run]] = {"ours": [], "pfl": [], "flower": []}
    reasons = {"pfl": "", "flower": ""}
    for seed in seeds:
        runs["ours"].append(ours(data, width, seed, rounds, CORES))
        start = data.with_name(f"start-{width}-{seed}.npz")
        write_start(start, cohort_scenario(data, rounds, width, seed, CORES))
        for name, script, launcher in (("pfl", "pfl_cohort.py", LAUNCHER), ("flower", "flower_cohort.py", ())):
            found, reason = peer(script, data, start, width, launcher=launcher)
            reasons[name] = reasons[name] or reason
            runs[name] += [found] if found else []
    return runs, reasons


def compare(data: Path, width: int, seeds: Sequence[int], rounds: int) -> list[Row]:
    """Seconds against pfl and against Flower, and accuracy, for one network."""
    runs, reasons = programs(data, width, seeds, rounds)
    case = f"width {width}, {rounds} rounds, {len(seeds)} seeds"
    mine, pfl, flower = (_seconds(runs[name]) for name in ("ours", "pfl", "flower"))
    assert mine is not None
    accuracies = [_accuracy(runs[name]) for name in ("ours", "pfl", "flower")]
    assert accuracies[0] is not None
    fifth = flower / 5 if flower else None
    rows = [
        Row(f"{case}: pfl-research, {CORES} processes", mine, pfl, "s/round", "lower", pfl, reasons["pfl"]),
        Row(f"{case}: flwr + Ray", mine, flower, "s/round", "lower", fifth, reasons["flower"]),
    ]
    for name, theirs in zip(("pfl", "flower"), accuracies[1:], strict=True):
        goal = theirs - POINTS if theirs else None
        rows.append(Row(f"{case}: accuracy, {name}", accuracies[0], theirs, "%", "higher", goal, reasons[name]))
    return rows


def _seconds(runs: list[Run]) -> float | None:
    return statistics.median(second for run in runs for second in run["seconds"][1:-1]) if runs else None


def _accuracy(runs: list[Run]) -> float | None:
    return 100 * statistics.mean(run["accuracy"] for run in runs) if runs else None


def speed_up(data: Path, width: int, rounds: int, repeats: int) -> Row:
    """One worker's seconds per round over two workers', beside what the same steps gain in plain loops.

    Both are medians of ``repeats`` pairs, taken in turns.
    """
    gains, plain = [], []
    for _ in range(repeats):
        one, two = (_seconds([ours(data, width, 1, rounds, workers)]) or 0.0 for workers in (1, CORES))
        gains.append(one / two)
        alone, together = (fresh("simulations.benchmarks.cohort_plain", width, STEPS, number) for number in (1, CORES))
        plain.append(together / alone)
    case = f"width {width}: {CORES} workers against 1 (peer: plain loops), median of {repeats}"
    return Row(case, statistics.median(gains), statistics.median(plain), "times", "higher", 1.8)


def main() -> None:
    """Run all, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--rounds", type=int, default=20, help="of the small network; at least 3")
    parser.add_argument("--repeats", type=int, default=5, help="pairs of runs with one and two workers; 0 for none")
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--cohort", type=int, default=50)
    parser.add_argument("--widths", type=int, nargs="+", default=[SMALL, PFL_WIDTH], help=f"{PFL_WIDTH} is pfl's")
    chosen = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MEDFED_CACHE"] = folder  # the decoded copies are of no use afterwards
        data = Path(folder) / "cohort.npz"
        write_data(data, chosen.users, chosen.cohort, IMAGES_PER_USER)
        for width in chosen.widths:
            small = width == SMALL
            rows += compare(
                data, width, chosen.seeds if small else chosen.seeds[:1], chosen.rounds if small else WIDE_ROUNDS
            )
        if chosen.repeats:
            rows.append(speed_up(data, max(chosen.widths), WIDE_ROUNDS, chosen.repeats))
    print_rows("cohort", rows)


if __name__ == "__main__":
    main()
