"""What differential privacy costs on three real data sets: epsilon 8, 3, 1 and none, images and patients, three seeds.

Learning rates are chosen on validation images first. Every run is a line of ``runs.jsonl``: what was cut goes on where
it was, and a changed plan runs what it changed.

    python -m simulations.benchmarks.dp_utility [--sets pneumonia skin nuclei] [--units record patient]
                                                [--minutes 600] [--out runs/dp_utility]
                                                [--markdown docs/results-privacy.md]
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from simulations.benchmarks.dp_utility.page import Outcomes, chosen_rates, page, rows
from simulations.benchmarks.dp_utility.plan import SETS, Job, ablation, table, tuning
from simulations.benchmarks.dp_utility.runs import run, stored
from simulations.benchmarks.report import print_rows

_ABLATED = ("pneumonia",)


def jobs(sets: Sequence[str], units: Sequence[str], found: Outcomes) -> Iterator[Job]:
    """What is to be run now: the table once rates are chosen, ablations last."""
    rates = {set_name: chosen_rates(set_name, found) for set_name in sets}
    for set_name, chosen in rates.items():
        planned = tuning(set_name) if chosen is None else table(set_name, *chosen)
        yield from (job for job in planned if job.unit in units)
        if chosen is not None and set_name in _ABLATED:
            yield from ablation(set_name, chosen[0])


def work(sets: Sequence[str], units: Sequence[str], file: Path, end: float) -> None:
    """Run what is not done; no run begins after ``end`` of :func:`time.monotonic`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    while time.monotonic() < end:
        found = stored(file)
        job = next((job for job in jobs(sets, units, found) if job.key not in found), None)
        if job is None:
            return
        outcome = run(job, file)
        scores = {
            name: round(value, 3)
            for name, value in (outcome.validation if job.purpose == "tuning" else outcome.test).items()
        }
        print(f"{time.strftime('%H:%M:%S')} {job.purpose} {job.key}: {outcome.failure or scores}", flush=True)


def main() -> None:
    """Run, write the page, print the table and the closing line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--units", nargs="+", choices=("record", "patient"), default=["record", "patient"])
    parser.add_argument("--minutes", type=float, default=600.0, help="begin no run after this time")
    parser.add_argument("--out", type=Path, default=Path("runs/dp_utility"))
    parser.add_argument("--markdown", type=Path, help="page that is written anew")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    file = chosen.out / "runs.jsonl"
    work(chosen.sets, chosen.units, file, time.monotonic() + 60.0 * chosen.minutes)
    found = stored(file)
    if chosen.markdown:
        chosen.markdown.write_text(page(chosen.sets, found))
    print_rows("dp_utility", rows(chosen.sets, found))


if __name__ == "__main__":
    main()
