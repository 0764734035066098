"""kill -9 at random moments: the run that is resumed ends with the bits of the run that nobody touched.

A short model, with every place where a run keeps something (:mod:`simulations.benchmarks.chaos_cases`), is started as a
user starts it. At a moment drawn between the making of its folder and its end, the main process is killed, or one of
its workers; the former is then resumed, the latter goes on by itself. Looked at afterwards: the bytes of the model and
of the baselines, the lines of ``rounds.jsonl``, which site was trained in which round how often, processes and files
that were left over. Moments are drawn one from each of as many equal parts of the run as there are kills; a run that
had ended before its kill counts for nothing, and another moment is drawn.

    python -m simulations.benchmarks.chaos [--kills 50] [--seed 1] [--minutes 60]
"""

import argparse
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import kill
from pathlib import Path
from typing import Literal

from simulations.benchmarks.chaos_cases import CASES, WORKERS, Case
from simulations.benchmarks.chaos_run import Run, Whole, more_than
from simulations.benchmarks.report import Row, print_rows

_DRAWS = 20  # of a moment, for one kill
Victim = Literal["main", "worker"]


@dataclass(frozen=True)
class Killed:
    """What came of one kill; ``problems`` is empty where all is as it must be."""

    case: Case
    victim: Victim
    second: float
    rounds_done: int
    again: Sequence[tuple[int, str]]
    bit_equal: bool
    processes: int
    files: Sequence[str]
    problems: Sequence[str]

    @property
    def lost_rounds(self) -> int:
        """In how many rounds a site was trained again."""
        return len({number for number, _ in self.again})

    def __str__(self) -> str:
        again = ", ".join(f"{site} in round {number}" for number, site in self.again) or "nobody"
        said = "; ".join(self.problems) or ("bit-equal" if self.bit_equal else "OTHER BITS")
        where = f"after {self.rounds_done} rounds, second {self.second:5.2f}"
        return f"{self.case.name:<36} {self.victim:<6} killed {where}; trained again: {again}; {said}"


def strike(whole: Whole, victim: Victim, fraction: float, place: Path, seed: int) -> Killed | None:
    """Run the case of ``whole``, kill ``victim`` after ``fraction`` of its time, and see the run to its end.

    Returns:
        What came of it; None where the run had ended before, or had no worker at that moment.
    """
    run = Run(whole.case, place)
    run.wait_until(run.await_folder() + fraction * whole.seconds)
    targets = run.workers() if victim == "worker" else [run.process.pid]
    if run.process.poll() is not None or not targets:
        run.end()
        return None
    rounds_done = len(run.rounds())
    try:
        kill(random.Random(seed).choice(targets), signal.SIGKILL)
    except ProcessLookupError:
        run.end()
        return None
    left = 0
    if victim == "main":
        run.end()
        left = len(run.processes())
        run.resume()
    code = run.end()
    return _look(whole, run, victim, fraction * whole.seconds, rounds_done, left, code)


def _look(whole: Whole, run: Run, victim: Victim, second: float, rounds_done: int, left: int, code: int) -> Killed:
    expected, found = whole.run.files(), run.files()
    allowed = {name for name in found if victim == "worker" and name.startswith("baselines/helper-")}
    files = sorted((found - allowed) ^ expected)
    left += len(run.processes())
    problems = [
        problem
        for problem, holds in (
            (f"exit code {code}", code == 0),
            ("rounds.jsonl differs", run.rounds() == whole.run.rounds()),
            (f"{left} processes left over", left == 0),
            (f"files differ: {', '.join(files[:5])}", not files),
        )
        if not holds
    ]
    equal = run.models() == whole.run.models()
    again = more_than(run, whole.run)
    return Killed(whole.case, victim, second, rounds_done, again, equal, left, files, problems)


def kills(cases: Sequence[Case], count: int, seed: int, folder: Path, end: float) -> Iterator[Killed]:
    """``count`` kills, cases in turn; fewer where :func:`time.monotonic` passes ``end``."""
    draws = random.Random(seed)
    wholes: list[Whole] = []
    order = draws.sample(range(count), count)
    both: list[Victim] = ["main", "worker"]
    victims = (both * count)[:count]
    draws.shuffle(victims)
    for number, part in enumerate(order):
        if number < len(cases):
            wholes.append(Whole.of(cases[number], folder / f"whole-{number}"))
        fraction, found = (part + draws.random()) / count, None
        for attempt in range(_DRAWS):
            if time.monotonic() > end:
                return
            place = folder / f"kill-{number}-{attempt}"
            found = strike(wholes[number % len(wholes)], victims[number], fraction, place, draws.randrange(2**32))
            if found is not None:
                yield found
                if found.bit_equal and not found.problems:
                    shutil.rmtree(place)
                break
            shutil.rmtree(place)
            fraction = draws.random()


def rows(found: Sequence[Killed], count: int) -> list[Row]:
    """What the kills must show; all of them."""
    spooled = [len(killed.again) for killed in found if killed.case.spool]
    figures: list[tuple[str, float, str, Literal["lower", "higher"], float]] = [
        ("kills", len(found), "kills", "higher", count),
        ("ended bit-equal", sum(killed.bit_equal for killed in found), "kills", "higher", count),
        ("ended as they must", sum(not killed.problems for killed in found), "kills", "higher", count),
        ("rounds lost by a kill, at most", max((k.lost_rounds for k in found), default=0), "rounds", "lower", 1),
        ("with spool: sites trained again, at most", max(spooled, default=0), "sites", "lower", WORKERS),
        ("processes left over", sum(killed.processes for killed in found), "processes", "lower", 0),
        ("files left over or missing", sum(len(killed.files) for killed in found), "files", "lower", 0),
    ]
    return [
        Row(name, float(ours), None, unit, better, float(goal), "no peer") for name, ours, unit, better, goal in figures
    ]


def main() -> None:
    """Kill, and print a line per kill, the table and the closing line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1, help="of moments and victims")
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no kill after this time")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="medfed-chaos-"))
    found = []
    for killed in kills(CASES, chosen.kills, chosen.seed, folder, time.monotonic() + 60.0 * chosen.minutes):
        found.append(killed)
        print(f"{len(found):>3} {killed}", flush=True)
    kept = [killed for killed in found if killed.problems or not killed.bit_equal]
    if kept:
        print(f"the folders of {len(kept)} kills that did not end as they must: {folder}")
    else:
        shutil.rmtree(folder)
    print_rows("chaos", rows(found, chosen.kills))


if __name__ == "__main__":
    main()
