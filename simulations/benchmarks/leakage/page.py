"""The tables, as Markdown."""

from collections.abc import Iterator, Mapping, Sequence

from medfed.results import Estimate
from simulations.benchmarks.leakage.figures import Leak, control_of, said_of
from simulations.benchmarks.leakage.plan import DEFENCES, Cell, defended
from simulations.benchmarks.leakage.utility import Utility

Leaks = Mapping[Cell, Leak]


def grid_table(leaks: Leaks, cells: Sequence[Cell]) -> str:
    """A line for each cell of the grid that is done."""
    head = (
        "| net | norm | rounds trained | batch | steps | simulated | PSNR, dB | best | registered | SSIM "
        "| named of 100 | classes right | control |"
    )
    lines = [head, "|" + " --- |" * 13]
    for cell in cells:
        found = leaks.get(cell)
        if found is not None:
            shown = (cell.net, cell.norm, cell.rounds, cell.batch, cell.steps, "whole" if found.whole else "one step")
            lines.append(_line(*shown, *_figures(found), said_of(leaks.get(control_of(cell)))))
    return "\n".join(lines)


def defences_table(leaks: Leaks, utilities: Mapping[tuple[str, str], Utility], nets: Sequence[str]) -> str:
    """A line for each defence and network: unaware attackers, those who know, the worst of them, and what it costs."""
    head = "| net | defence | unaware: dB | named | aware: dB | named | most: dB | named | score of the run | epsilon |"
    return "\n".join([head, "|" + " --- |" * 10, *_defence_lines(leaks, utilities, nets)])


def _defence_lines(leaks: Leaks, utilities: Mapping[tuple[str, str], Utility], nets: Sequence[str]) -> Iterator[str]:
    for net in nets:
        for name in DEFENCES:
            found = [leaks[cell] for cell in defended(net, name).values() if cell in leaks]
            if not found:
                continue
            first, *_ = defended(net, name).values()
            unaware, aware = found[:1] if first in leaks else [], found[1:] if first in leaks else found
            cells = [_most(group) for group in (unaware, aware, found)]
            utility = utilities.get((net, name))
            epsilon = "" if utility is None or utility.epsilon is None else f"{utility.epsilon:.3g}"
            score = "" if utility is None else f"{utility.metric} {estimate(utility.score, 3)}"
            yield _line(net, name, *(value for cell in cells for value in cell), score, epsilon)


def _most(found: Sequence[Leak]) -> tuple[str, str]:
    """The best of several attackers by PSNR, and by naming."""
    if not found:
        return "", ""
    psnr = max(found, key=lambda leak: leak.psnr.value or 0.0).psnr
    named = max(found, key=lambda leak: leak.named.value or 0.0).named
    return estimate(psnr, 1), estimate(named, 2)


def _figures(found: Leak) -> tuple[str, ...]:
    return (
        estimate(found.psnr, 1),
        f"{found.best:.1f}",
        f"{found.registered:.1f}",
        "" if found.ssim is None else f"{found.ssim:.2f}",
        f"{estimate(found.named, 2)}, n {found.named.n}",
        "" if found.labels is None else f"{found.labels:.2f}",
    )


def estimate(value: Estimate, digits: int) -> str:
    """``0.50 (0.10-0.90)``."""
    if value.value is None:
        return ""
    if value.low is None or value.high is None:
        return f"{value.value:.{digits}f}"
    return f"{value.value:.{digits}f} ({value.low:.{digits}f}-{value.high:.{digits}f})"


def _line(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"
