"""Every attack by malicious sites under every aggregation rule, and noise beside three of them, on PneumoniaMNIST.

    python -m simulations.benchmarks.poisoning [--malicious 2 4 6] [--seeds 3] [--workers 2] [--out runs/poisoning]

May be stopped at any time: what is finished is kept, and the same command goes on. One such command at a time may work
in a folder. ``--attacks`` and ``--rules`` take a part of the matrix; ``--page`` says where the tables are written;
``--minutes 0`` writes them from what is finished.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from simulations.benchmarks.poisoning import figures
from simulations.benchmarks.poisoning.figures import Outcomes
from simulations.benchmarks.poisoning.page import (
    LEAST_CLEAN,
    LEAST_RECALL,
    MOST_ALARMS,
    MOST_LOST,
    WAYS,
    candidates,
    page,
)
from simulations.benchmarks.poisoning.pair import Outcome
from simulations.benchmarks.poisoning.plan import ATTACKS, CLEAN, FEDAVG, Pair, columns, pairs
from simulations.benchmarks.poisoning.work import work
from simulations.benchmarks.report import Row, print_rows

PAGE = Path("docs/results-poisoning.md")


def report(outcomes: Outcomes, attacks: Sequence[str], names: Sequence[str], malicious: Sequence[int]) -> list[Row]:
    """The figures that have goals; an attack that can be played but has no figure counts as lost altogether."""
    none = "no federated framework ships these attacks"
    found = []
    for number in malicious:
        clean = figures.accuracy(figures.chosen(outcomes, CLEAN, FEDAVG, number)).value or 0.0
        at, tried = f"{number} malicious", figures.played(outcomes, attacks, number)
        found.append(Row(f"{at}: clean FedAvg, accuracy", clean, None, "1", "higher", LEAST_CLEAN, none))
        for attack in tried:
            best = figures.least_lost(outcomes, attack, candidates(names), number)
            rule, lost = best or ("no rule", 100.0)
            found.append(Row(f"{at}: {attack}, {rule}", lost, None, "points lost", "lower", MOST_LOST, none))
        for attack in tried:
            told = figures.named(figures.of_attack(outcomes, attack, number), WAYS)
            found.append(Row(f"{at}: {attack}, named", told.recall or 0.0, None, "1", "higher", LEAST_RECALL, none))
        for attack in (CLEAN, *tried):
            alarms = figures.named(figures.of_attack(outcomes, attack, number), WAYS).false_alarms or 0.0
            found.append(Row(f"{at}: {attack}, honest sites named", alarms, None, "1", "lower", MOST_ALARMS, none))
    return found


def _tell(pair: Pair, outcome: Outcome, done: int, total: int) -> None:
    said = outcome.refused or outcome.stopped or f"accuracy {outcome.accuracy:.3f}"
    print(f"{time.strftime('%H:%M:%S')} {done}/{total} {pair.label}: {said[:100]}", flush=True)


def main() -> None:
    """Run what is missing, print the tables, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--malicious", nargs="+", type=int, default=[4], help="how many of the 20 sites")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--attacks", nargs="+", choices=list(ATTACKS), default=list(ATTACKS))
    parser.add_argument("--rules", nargs="+", choices=list(columns(1)), default=list(columns(1)))
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="processes, one run each")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no run after this time")
    parser.add_argument("--out", type=Path, default=Path("runs/poisoning"))
    parser.add_argument("--page", type=Path, default=PAGE)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    wanted = list(pairs(arguments.attacks, arguments.rules, arguments.malicious, arguments.seeds))
    outcomes: dict[Pair, Outcome] = {}
    try:
        end = time.monotonic() + 60.0 * arguments.minutes
        for pair, outcome in work(wanted, arguments.out, arguments.workers, end):
            outcomes[pair] = outcome
            _tell(pair, outcome, len(outcomes), len(wanted))
    except KeyboardInterrupt:
        print(f"stopped at {len(outcomes)} of {len(wanted)}; the same command goes on", file=sys.stderr)
        sys.exit(130)
    numbers = " ".join(map(str, arguments.malicious))
    command = f"python -m simulations.benchmarks.poisoning --malicious {numbers} --seeds {arguments.seeds}"
    missing = len(wanted) - len(outcomes)
    text = page(outcomes, arguments.attacks, arguments.rules, arguments.malicious, command, missing)
    arguments.page.write_text(text)
    print(text)
    print_rows("poisoning", report(outcomes, arguments.attacks, arguments.rules, arguments.malicious))


if __name__ == "__main__":
    main()
