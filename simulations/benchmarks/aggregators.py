"""Robust aggregators: seconds and memory of every rule on updates that lie in the server's spool.

Every case runs in a process of its own, ours on one thread; memory is RssAnon + RssShmem above the idle process, pages
of the spooled files not counted. The peer is Flower's own function where it has the rule, on the smaller number of
sites (it holds all updates, and copies of them, in memory).

    python -m simulations.benchmarks.aggregators [--values 10000000] [--rules median krum]
"""

import argparse
import tempfile
from pathlib import Path

import torch

from medfed.messages import Delivery
from medfed.types import Update
from server.spool import Spool
from simulations.benchmarks.aggregator_case import FLOWER, RULES, site_names
from simulations.benchmarks.processes import fresh
from simulations.benchmarks.report import Row, print_rows

WITH_PEER, FULL = 20, 100
NO_PEER = "Flower lacks the rule"
TOO_LARGE = "not run: Flower holds several copies"
CASE = "simulations.benchmarks.aggregator_case"


def memory_goal(num_values: int) -> float:
    """Three models of float32 and 100 MB, in megabytes."""
    return 3 * 4 * num_values / 1e6 + 100.0


def write_updates(folder: Path, num_values: int) -> None:
    """Spool normal updates of all sites."""
    spool, generator = Spool(folder, durable=False), torch.Generator().manual_seed(0)
    for site in site_names(FULL):
        tensors = {"w": 0.01 * torch.randn(num_values, generator=generator)}
        spool.add(Delivery(Update(site, tensors, 1, 1, {}), 0.0, 4 * num_values))


def rows_of(rule: str, num_values: int, folder: Path) -> list[Row]:
    """Beside Flower on few sites, where it has the rule; and on all."""
    goal, found = memory_goal(num_values), []
    for num_sites in (WITH_PEER, FULL) if rule in FLOWER else (FULL,):
        seconds, megabytes = fresh(CASE, "ours", rule, num_sites, num_values, folder)
        case = f"{rule}, {num_sites} x {num_values / 1e6:g} M"
        if num_sites == WITH_PEER:
            their_seconds, their_megabytes = fresh(CASE, "flower", rule, num_sites, num_values, folder)
            found.append(Row(case, seconds, their_seconds, "s", "lower", their_seconds))
            found.append(Row(case, megabytes, their_megabytes, "MB", "lower", goal))
        else:
            reason = TOO_LARGE if rule in FLOWER else NO_PEER
            found.append(Row(case, seconds, None, "s", "lower", None, reason))
            found.append(Row(case, megabytes, None, "MB", "lower", goal, reason))
    return found


def main() -> None:
    """Run all cases and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--values", type=int, default=10_000_000, help="values per update")
    parser.add_argument("--rules", nargs="+", choices=RULES, default=list(RULES))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_updates(Path(folder), asked.values)
        rows = [row for rule in asked.rules for row in rows_of(rule, asked.values, Path(folder))]
    print_rows("aggregators", rows)


if __name__ == "__main__":
    main()
