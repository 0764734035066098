"""What compressing updates costs in quality and saves in bytes: pneumonia-cnn with each method beside none.

Ours is the compressed run, the peer the uncompressed one of the same seed, both trained in this call. Quality is
measured on validation images after the last round (mean over sites, then over seeds); test figures are not looked at.

    python -m simulations.benchmarks.compression [--seeds 1 2 3] [--rounds 6] [--out runs/compression]
"""

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medfed.config import Scenario, load_scenario
from medfed.results import RoundResult
from simulations.benchmarks.report import Row, print_rows
from simulations.run import simulate

SCENARIO = Path(__file__).parents[1] / "scenarios" / "pneumonia-cnn.toml"

NONE: dict[str, Any] = {"name": "none"}
CASES: dict[str, tuple[dict[str, Any], float]] = {
    "float16": ({"name": "float16"}, 1 / 2),
    "int8": ({"name": "int8"}, 1 / 4),
    "top_k 0.1": ({"name": "top_k", "share": 0.1}, 2 * 0.1),
    "top_k 0.01": ({"name": "top_k", "share": 0.01}, 2 * 0.01),
}
"""Label -> the plug-in, and its share of the uncompressed bytes by its own arithmetic (docs/compression.md)."""

HEADER = 0.01
"""Goal on bytes: that share and one point more, for scales and headers; a small CNN has 20 tensors in 290 kB."""
TOLERANCE = 0.01
"""Goal on the headline metric: at most one point worse than uncompressed."""
LOSS_TOLERANCE = 1.1
"""Goal on the loss, which still tells where the metric is at its ceiling: at most 10 % more than uncompressed."""


@dataclass(frozen=True)
class Figures:
    """What one method came to, as means over seeds; ``bytes_up`` is of the whole run."""

    headline: float
    loss: float
    bytes_up: float


def prepared(seed: int, rounds: int, label: str, compression: dict[str, Any]) -> Scenario:
    """The bundled scenario, federated training only, with ``compression``."""
    changes = {
        "seed": seed,
        "name": f"{label.replace(' ', '-')}-seed{seed}",
        "training.rounds": rounds,
        "record.rounds": (),
        "baselines.local": False,
        "baselines.pooled": False,
        "evaluation.every": rounds,
        "federation.compression": compression,
    }
    return load_scenario(SCENARIO).replace(**changes)


def measured(seeds: Sequence[int], rounds: int, out: Path, label: str, compression: dict[str, Any]) -> Figures:
    """Train with every seed."""
    found = []
    for seed in seeds:
        scenario = prepared(seed, rounds, label, compression)
        result = simulate(scenario, out=out, overwrite=True)
        last = result.rounds()[-1]
        found.append(Figures(mean(last, scenario.headline), mean(last, "loss"), result.summary.bytes_up))
    return Figures(*(statistics.mean(getattr(f, part) for f in found) for part in ("headline", "loss", "bytes_up")))


def mean(last: RoundResult, metric: str) -> float:
    """Mean over the sites where the validation metric is defined."""
    return statistics.mean(value for site in last.sites.values() if (value := site.val.get(metric)) is not None)


def rows(figures: dict[str, Figures], plain: Figures, metric: str) -> list[Row]:
    """Three lines per method: quality twice, bytes once."""
    found = []
    for label, ours in figures.items():
        share = CASES[label][1] + HEADER
        found += [
            Row(f"{label}: val {metric}", ours.headline, plain.headline, "1", "higher", plain.headline - TOLERANCE),
            Row(f"{label}: val loss", ours.loss, plain.loss, "1", "lower", plain.loss * LOSS_TOLERANCE),
            Row(f"{label}: bytes_up", ours.bytes_up, plain.bytes_up, "bytes", "lower", plain.bytes_up * share),
        ]
    return found


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--rounds", type=int, default=6, help="of pneumonia-cnn as bundled")
    parser.add_argument("--out", type=Path, default=Path("runs/compression"))
    arguments = parser.parse_args()
    given = arguments.seeds, arguments.rounds, arguments.out
    plain = measured(*given, "none", NONE)
    figures = {label: measured(*given, label, compression) for label, (compression, _) in CASES.items()}
    print_rows("compression", rows(figures, plain, load_scenario(SCENARIO).headline))


if __name__ == "__main__":
    main()
