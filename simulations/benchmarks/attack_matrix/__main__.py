"""Head x attack: which attacks break a medical head, which raise, and which silently do nothing.

Every cell is the same measure, the mean error on the same images (wrong decisions, wrong findings, 1 - Dice): for
torchattacks as it comes -> behind the guard, and per head for ours and for a PGD-10 with the right loss.

    python -m simulations.benchmarks.attack_matrix [--markdown FILE] [--attacks PGD APGD ...]
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import torch

from robustness.attacks.torchattacks_guard.package import torchattacks
from simulations.benchmarks.attack_matrix.case import SIZE, cases
from simulations.benchmarks.attack_matrix.cells import ATTACKS, Cell, Line, line_of
from simulations.benchmarks.report import Row, print_rows

SHARE = 0.95
"""Goal: ours reaches this share of the best of peer and reference in every row."""

NORMS = {"linf": "Linf 8/255", "l2": "L2 1.0", "l0": "L0 4 pixels"}

Lines = Mapping[str, Line]


def summary(lines: Lines) -> str:
    """One row per head and norm: what the attacks of torchattacks come to, raw and guarded."""
    rows = [
        "| head and labels | bound | noise | PGD-10, right loss | ours | best torchattacks "
        "| silent, raw | silent, guarded |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for head, line in lines.items():
        for norm in line.ours:
            silent = [_count(cells, norm, "silent") for cells in (line.raw, line.guarded)]
            reference = f"{line.reference[norm]:.2f}" if norm in line.reference else "-"
            rows.append(
                f"| {head} | {NORMS[norm]} | {line.noise[norm]:.2f} | {reference} | {line.ours[norm]:.2f} | "
                f"{best_peer(line, norm):.2f} | {silent[0]} | {silent[1]} |"
            )
    return "\n".join(rows)


def matrix(lines: Lines) -> str:
    """One row per attack, one column per head: raw -> behind the guard."""
    names = list(next(iter(lines.values())).raw)
    rows = [f"| torchattacks | {' | '.join(lines)} |", f"| --- |{' --- |' * len(lines)}"]
    for name in names:
        shown = (f"{line.raw[name].text} -> {line.guarded[name].text}" for line in lines.values())
        rows.append(f"| {name} | {' | '.join(shown)} |")
    return "\n".join(rows)


def reasons(lines: Lines) -> str:
    """Every reason that the guard gave, once, with the cells it stands for."""
    found: dict[str, list[str]] = {}
    for head, line in lines.items():
        for cell in line.guarded.values():
            if cell.kind in ("refused", "flagged", "beyond"):
                found.setdefault(f"{cell.kind}: {cell.reason}", []).append(head)
    return "\n".join(f"- {reason} ({'; '.join(heads)})" for reason, heads in sorted(found.items()))


def best_peer(line: Line, norm: str) -> float:
    """The most damage that torchattacks does in this norm, raw or guarded."""
    cells = [cell for side in (line.raw, line.guarded) for cell in _of(side, norm).values()]
    return max((cell.damage for cell in cells), default=0.0)


def rows(lines: Lines) -> list[Row]:
    """The goals: no row where a peer or the reference does better, no silent cell behind the guard."""
    found = []
    for head, line in lines.items():
        for norm in line.ours:
            peer = best_peer(line, norm)
            goal = SHARE * max(peer, line.reference.get(norm, 0.0))
            found.append(Row(f"{head}, {NORMS[norm]}: error", line.ours[norm], peer, "1", "higher", goal))
    silent = [
        sum(_count(getattr(line, side), None, "silent") for line in lines.values()) for side in ("guarded", "raw")
    ]
    return [*found, Row("silent cells (ours: behind the guard)", silent[0], silent[1], "cells", "lower", 0)]


def _of(cells: Mapping[str, Cell], norm: str | None) -> dict[str, Cell]:
    return {name: cell for name, cell in cells.items() if norm is None or ATTACKS[name][0].norm == norm}


def _count(cells: Mapping[str, Cell], norm: str | None, kind: str) -> int:
    return sum(cell.kind == kind for cell in _of(cells, norm).values())


def page(lines: Lines, version: str) -> str:
    """All three parts as Markdown."""
    counts = sorted({line.num_images for line in lines.values()})
    number = " to ".join(dict.fromkeys((str(counts[0]), str(counts[-1]))))
    head = (
        f"Mean error per image, torchattacks {version}; n = {number} films of {SIZE} x {SIZE} pixels; raw -> behind "
        "the guard."
    )
    return "\n\n".join([summary(lines), head, matrix(lines), reasons(lines)])


def main() -> None:
    """Train, attack, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--attacks", nargs="+", default=list(ATTACKS), choices=list(ATTACKS))
    parser.add_argument("--markdown", type=Path, help="write the tables to this file too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    package = torchattacks()
    lines = {}
    for head, case in cases().items():
        lines[head] = line_of(package, case, arguments.attacks, lambda text: print(f"  {text}", file=sys.stderr))
    text = page(lines, package.__version__)
    if arguments.markdown:
        arguments.markdown.write_text(f"{text}\n", encoding="utf-8")
    print(text)
    print_rows("attack_matrix", rows(lines))


if __name__ == "__main__":
    main()
