"""Every strategy on three real non-IID data sets: values chosen on validation images, then three seeds.

    python -m simulations.benchmarks.noniid run [--sets pneumonia skin nuclei] [--out runs/noniid]
    python -m simulations.benchmarks.noniid page [--markdown docs/results.md]

``run`` may be stopped at any time and goes on where it was; several of them share the work. ``page`` reads what is
there and writes its section of the page anew.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from simulations.benchmarks.noniid.choose import best, tried
from simulations.benchmarks.noniid.figures import gap_closed, summaries
from simulations.benchmarks.noniid.page import replace_section, section
from simulations.benchmarks.noniid.plan import SEEDS, SETS, base, strategies
from simulations.benchmarks.noniid.work import work
from simulations.benchmarks.report import Row, print_rows

GOAL = 0.8
"""Share of the gap from the best single model to the pooled one that at least one strategy shall close."""


def rows(sets: Sequence[str], out: Path) -> list[Row]:
    """Per set, the largest mean share that a strategy closes; 0 where some seed has no gap or no run."""
    found = []
    for name in sets:
        shares = {}
        for strategy in strategies():
            figures = tried(name, strategy, out)
            chosen = best(figures) if figures else None
            runs = summaries(chosen, out) if chosen else {}
            share = gap_closed(runs, base(name).headline).value
            if share is not None and len(runs) == len(SEEDS):
                shares[strategy] = share
        most = max(shares, key=shares.__getitem__) if shares else "none (no gap in some seed)"
        found.append(Row(f"{name}, gap closed by {most}", shares.get(most, 0.0), None, "1", "higher", GOAL, "no peer"))
    return found


def main() -> None:
    """Run, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["run", "page"])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--out", type=Path, default=Path("runs/noniid"))
    parser.add_argument("--markdown", type=Path, help="page whose section between the two markers is written anew")
    arguments = parser.parse_args()
    if arguments.action == "run":
        work(arguments.sets, arguments.out)
        return
    text = section(arguments.sets, arguments.out)
    if arguments.markdown:
        arguments.markdown.write_text(replace_section(arguments.markdown.read_text(), text))
    print(text)
    print_rows("noniid", rows(arguments.sets, arguments.out))


if __name__ == "__main__":
    main()
