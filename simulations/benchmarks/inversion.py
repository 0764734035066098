"""Gradient inversion beside breaching 0.1.2 at its best settings, on the five cases of shared/bench/privacy.

PSNR must reach the peer's, in at most half its CPU seconds. Both sides get the weights, the gradient and the value
range; the peer is told the labels, ours counts them from the gradient.

    python -m simulations.benchmarks.inversion [--cases FOLDER] [--only CASE ...] [--seeds N]
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulations.benchmarks.inversion_case import judged
from simulations.benchmarks.processes import fresh, peer
from simulations.benchmarks.report import Row, print_rows

CASES = Path(__file__).parents[3] / "shared" / "bench" / "privacy"
VARIABLE = "MEDFED_INVERSION_CASES"
SHARE = 0.5
"""The most of the peer's CPU seconds that ours may take."""


@dataclass(frozen=True)
class Peer:
    """The settings with which the peer came furthest, as found by the runs listed beside the cases."""

    attack: str
    iterations: int
    total_variation: str = "-"


PEERS: Mapping[str, Peer] = {
    "conv32_b1": Peer("invertinggradients", 1000, "0.001"),
    "conv32_b4": Peer("invertinggradients", 2000, "0.001"),
    "conv64_b1": Peer("invertinggradients", 1000, "0.001"),
    "lenet32_b1": Peer("deepleakage", 300),
    "res1832_b1": Peer("invertinggradients", 600, "0.001"),
}


def compared(folder: Path, name: str, scratch: Path, seeds: int) -> list[Row]:
    """Both sides on one case, each in a process of its own; ours once per seed, of which the medians count."""
    runs = [fresh("simulations.benchmarks.inversion_case", folder, name, seed) for seed in range(seeds)]
    for seed, run in enumerate(runs):
        print(f"{name}, ours, seed {seed}: {run['psnr']:.2f} dB, {run['seconds']:.1f} CPU s, labels {run['labels']}")
    settings, out = PEERS[name], scratch / f"{name}.npy"
    theirs, reason = peer(
        "breaching_case.py", folder, name, settings.attack, settings.iterations, settings.total_variation, out
    )
    if theirs is not None:
        theirs["psnr"] = judged(folder, name, out)
    return rows(
        name,
        statistics.median(run["psnr"] for run in runs),
        statistics.median(r["seconds"] for r in runs),
        theirs,
        reason,
    )


def rows(name: str, psnr: float, seconds: float, theirs: dict[str, Any] | None, reason: str) -> list[Row]:
    """Quality and cost; without the peer there is no goal."""
    best, cost = (theirs["psnr"], theirs["seconds"]) if theirs else (None, None)
    return [
        Row(f"{name}: PSNR", psnr, best, "dB", "higher", best, reason),
        Row(f"{name}: attack", seconds, cost, "CPU s", "lower", None if cost is None else SHARE * cost, reason),
    ]


def main() -> None:
    """Attack, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=Path, default=Path(os.environ.get(VARIABLE, CASES)), help="folder of cases.py")
    parser.add_argument("--only", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--seeds", type=int, default=1, help="runs of ours per case; the median counts")
    arguments = parser.parse_args()
    found: list[Row] = []
    if (arguments.cases / "cases.py").exists():
        with tempfile.TemporaryDirectory() as scratch:
            for name in arguments.only:
                found += compared(arguments.cases.resolve(), name, Path(scratch), arguments.seeds)
    else:
        print(f"left out, no cases.py in {arguments.cases}; name its folder by --cases or {VARIABLE}")
    print_rows("inversion", found)


if __name__ == "__main__":
    main()
