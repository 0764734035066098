"""What recorded updates give away: over batches, local steps, weights and normalization; and with every defence.

    python -m simulations.benchmarks.leakage [--part grid defences scores] [--full] [--nets pneumonia skin nuclei]
        [--messages 3] [--iterations 300] [--seed 1] [--minutes 10] [--out runs/leakage] [--page FILE]

``grid`` and ``defences`` attack; ``scores`` trains a run with each defence, for what it costs. May be stopped at any
time: finished cells are kept, and the same command goes on. No peer attacks a run's messages, so that there is nothing
to compare with; `python -m simulations.benchmarks.inversion` compares the attack itself.
"""

import argparse
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from medfed.errors import DataError
from simulations.benchmarks.leakage.case import Limits, run
from simulations.benchmarks.leakage.figures import CONTROL, Leak, control_of, leak
from simulations.benchmarks.leakage.page import defences_table, estimate, grid_table
from simulations.benchmarks.leakage.plan import DEFENCES, NETS, Cell, defended, full, small
from simulations.benchmarks.leakage.store import Store
from simulations.benchmarks.leakage.utility import Utility, utility, weights_file
from simulations.benchmarks.report import Row, print_rows

NO_PEER = "no peer attacks the messages of a run"


def attacked(cells: Iterable[Cell], limits: Limits, out: Path, deadline: float) -> dict[Cell, Leak]:
    """Every cell: those that are done, then others until the time is up."""
    store, found = Store(out), {}
    for cell in dict.fromkeys(cells):
        result = store.get(cell, limits)
        if result is None and time.monotonic() < deadline:
            try:
                result = run(cell, limits, weights_file(cell, out))
            except DataError as reason:
                print(f"left out, {cell.net}: {str(reason).splitlines()[0]}", flush=True)
                continue
            store.add(cell, limits, result)
        if result is not None:
            found[cell] = leak(result)
            said = f"{estimate(found[cell].psnr, 1)} dB, named {estimate(found[cell].named, 2)}"
            print(f"{label(cell)}: {said}; {result['cpu_seconds']:.0f} CPU s", flush=True)
    return found


def label(cell: Cell) -> str:
    """A cell in a line."""
    trained = f"{cell.rounds} rounds" if cell.rounds else "untrained"
    where = f"{cell.net}, {cell.norm}, {trained}, batch {cell.batch}, steps {cell.steps}"
    defended = where if cell.defence == "none" else f"{where}, {cell.defence}"
    return defended if cell.attacker == "plain" else f"{defended}, {cell.attacker}"


def rows(leaks: dict[Cell, Leak]) -> list[Row]:
    """PSNR and naming of every cell; a goal where the attack must succeed: on one image and step, undefended."""
    found = []
    for cell, each in leaks.items():
        goal = CONTROL.named if cell == control_of(cell) else None
        found.append(Row(f"{label(cell)}: PSNR", each.psnr.value or 0.0, None, "dB", "higher", None, NO_PEER))
        found.append(Row(f"{label(cell)}: named", each.named.value or 0.0, None, "1", "higher", goal, NO_PEER))
    return found


def utilities(nets: Sequence[str], names: Sequence[str], out: Path, deadline: float) -> dict[tuple[str, str], Utility]:
    """The score of a run with each defence, until the time is up."""
    found = {}
    for net in nets:
        for name in names:
            if time.monotonic() < deadline:
                try:
                    found[net, name] = utility(net, name, out)
                except DataError as reason:
                    print(f"left out, {net}: {str(reason).splitlines()[0]}", flush=True)
                    break
    return found


def main() -> None:
    """Attack what is missing, print the tables, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", nargs="+", choices=("grid", "defences", "scores"), default=["grid"])
    parser.add_argument("--full", action="store_true", help="all combinations, in the place of each axis by itself")
    parser.add_argument("--nets", nargs="+", choices=list(NETS), default=["pneumonia"])
    parser.add_argument("--defences", nargs="+", choices=list(DEFENCES), default=list(DEFENCES), metavar="NAME")
    parser.add_argument("--messages", type=int, default=Limits.messages, help="attacked in each cell")
    parser.add_argument("--iterations", type=int, default=Limits.iterations, help="of each attack")
    parser.add_argument("--seed", type=int, default=Limits.seed)
    parser.add_argument("--minutes", type=float, default=60.0, help="no cell is begun afterwards")
    parser.add_argument("--out", type=Path, default=Path("runs/leakage"))
    parser.add_argument("--page", type=Path, help="file for the tables")
    given = parser.parse_args()
    torch.set_num_threads(1)
    limits = Limits(messages=given.messages, iterations=given.iterations, seed=given.seed)
    deadline, pages = time.monotonic() + 60.0 * given.minutes, []
    leaks: dict[Cell, Leak] = {}
    scores = utilities(given.nets, given.defences, given.out, deadline) if "scores" in given.part else {}
    if "grid" in given.part:
        cells = list((full if given.full else small)(given.nets))
        leaks |= attacked(cells, limits, given.out, deadline)
        pages.append(grid_table(leaks, cells))
    if "defences" in given.part:
        cells = [cell for net in given.nets for name in given.defences for cell in defended(net, name).values()]
        leaks |= attacked(cells, limits, given.out, deadline)
        pages.append(defences_table(leaks, scores, given.nets))
    text = "\n\n".join(pages)
    print(text)
    if given.page:
        given.page.write_text(text + "\n", encoding="utf-8")
    print_rows("leakage", rows(leaks))


if __name__ == "__main__":
    main()
