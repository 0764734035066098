"""Null-client rounds: what a round costs when training costs nothing.

Ours is the real round on the grid that ``medfed simulate`` uses. Beside it, in the same call: Flower's FedAvg on its
Ray runtime, from ``.venv-peers`` (``make peers``), and a plain loop of numpy copies and sums, which has no engine at
all. The client of each copies the weights once. Every case runs in a fresh process; reported is the median of the
seconds per round, the first round (start-up) not counted, and where it is asked for the peak of RssAnon + RssShmem
of the server's process above what it holds idle.

    python -m simulations.benchmarks.engine [--rounds 7] [--cases 0.5M-50/1000 ...]
"""

import argparse
import statistics
from dataclasses import dataclass
from typing import Any

from simulations.benchmarks.processes import MEGABYTE, fresh, peer
from simulations.benchmarks.report import Row, print_rows

NUM_TENSORS = 20


@dataclass(frozen=True)
class Case:
    """What is sent to whom, and the goals: seconds per round, megabytes (None: reported, not required)."""

    parameters: int
    cohort: int
    nodes: int
    goal: float | None = None
    memory_goal: float | None = None

    @property
    def name(self) -> str:
        """Short enough for a command line."""
        return f"{self.parameters / 1e6:g}M-{self.cohort}/{self.nodes}"


CASES = (
    Case(500_000, 10, 10),
    Case(500_000, 50, 1000, goal=0.10),
    Case(31_000_000, 6, 6, goal=1.0),
    Case(10_000_000, 100, 100, goal=4.0, memory_goal=300.0),
)


def rows(case: Case, rounds: int) -> list[Row]:
    """Ours against Flower on Ray, against the plain loop, and the memory where it has a goal."""
    sizes = (case.parameters, NUM_TENSORS, case.cohort, case.nodes, rounds)
    ours: dict[str, Any] = fresh("simulations.benchmarks.engine_case", *sizes)
    plain: list[float] = fresh("simulations.benchmarks.plain_loop", case.parameters, NUM_TENSORS, case.cohort, rounds)
    theirs, reason = peer("flower_ray.py", *sizes)
    mine, loop = _median(ours["seconds"]), _median(plain)
    flower = _median(theirs["seconds"]) if theirs else None
    goal = case.goal if case.goal is not None else flower
    found = [
        Row(f"{case.name}, flwr + Ray", mine, flower, "s/round", "lower", goal, reason),
        Row(f"{case.name}, plain loop", mine, loop, "s/round", "lower", case.goal),
    ]
    if case.memory_goal is not None:
        above = theirs["server_bytes"] / MEGABYTE if theirs else None
        mb = ours["server_bytes"] / MEGABYTE
        found.append(Row(f"{case.name}, server above idle", mb, above, "MB", "lower", case.memory_goal, reason))
        print(f"{case.name}: worker processes of ours hold {ours['worker_bytes'] / MEGABYTE:.0f} MB in all, at most")
    return found


def _median(seconds: list[float]) -> float:
    return statistics.median(seconds[1:])


def main() -> None:
    """Run all cases and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="rounds per case, the first not counted")
    names = [case.name for case in CASES]
    parser.add_argument("--cases", nargs="+", choices=names, default=names, help="which to run")
    chosen = parser.parse_args()
    print_rows("engine", [row for case in CASES if case.name in chosen.cases for row in rows(case, chosen.rounds)])


if __name__ == "__main__":
    main()
