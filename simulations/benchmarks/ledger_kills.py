"""kill -9 at random moments of a site that releases: what it spent is never less than what left it, and never more.

A site's account (:mod:`privacy.ledger.account`) releases round after round, in a process of its own that tells what has
left it. At a random moment it is killed; another goes on until all rounds are released. Looked at after the kill and at
the end: epsilon of the ledger against that of the rounds that had left, and against that of a site nobody killed. Every
round's noise is drawn anew by the operating system, so that a round released twice would be two releases. Moments are
drawn one from each of as many equal parts of the time that the rounds take.

    python -m simulations.benchmarks.ledger_kills [--kills 50] [--seed 1]
"""

import argparse
import os
import random
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from medfed.types import Update
from privacy.ledger.account import Account
from privacy.ledger.budget import spent
from privacy.ledger.outbox import Outbox
from privacy.ledger.store import Ledger
from privacy.noise import system_normal
from privacy.release import Release
from simulations.benchmarks.report import Row, print_rows

ROUNDS = 8
DELTA = 1e-5
_VALUES = 50_000
_SITE, _RUN = "north", "run"


@dataclass(frozen=True)
class Killed:
    """What came of one kill: rounds that had left before, epsilon after it and at the end, rows at the end."""

    second: float
    left: int
    epsilon_then: float
    epsilon: float
    rows: int

    @property
    def covered(self) -> bool:
        """Whether what the ledger said after the kill is at least what left."""
        return self.epsilon_then >= cost(self.left) * (1.0 - 1e-12)

    @property
    def exact(self) -> bool:
        """Whether the site ends at what it spends when nobody kills it."""
        return abs(self.epsilon - cost(ROUNDS)) <= 1e-9 * cost(ROUNDS)


def cost(rounds: int) -> float:
    """Epsilon of the first rounds."""
    return spent([_release(number) for number in range(1, rounds + 1)], "site", DELTA)


def kills(count: int, seed: int, folder: Path) -> list[Killed]:
    """``count`` kills of sites below ``folder``.

    Raises:
        RuntimeError: a site ends by itself, without all rounds.
    """
    draws = random.Random(seed)
    torch.set_num_threads(1)
    _finish(folder / "warm-up")
    started = time.monotonic()
    _finish(folder / "whole")
    whole = time.monotonic() - started
    moments = [whole * (part + draws.random()) / count for part in range(count)]
    return [_strike(folder / f"kill-{number}", second) for number, second in enumerate(moments)]


def rows(found: list[Killed]) -> list[Row]:
    """What the kills must show, all of them."""
    inside = sum(0 < killed.left < ROUNDS for killed in found)
    figures = (
        ("kills", len(found), len(found)),
        ("of them, some rounds had left and some had not", inside, None),
        ("epsilon after the kill at least that of what left", sum(killed.covered for killed in found), len(found)),
        ("epsilon at the end as if nobody had killed", sum(killed.exact for killed in found), len(found)),
    )
    return [
        Row(case, float(ours), None, "kills", "higher", None if goal is None else float(goal), "no peer")
        for case, ours, goal in figures
    ]


def _release(number: int) -> Release:
    return Release("gaussian", 1.0, 4.0, 1.0, 1, "site", "add_remove", number)


def _releases(folder: Path) -> None:
    """Release what is not released yet, as a site that is asked for every round from the first that it has not sent."""
    ledger = Ledger(folder, _SITE)
    account = Account(ledger, Outbox(folder, _RUN), _RUN, ())
    weights = {"w": torch.zeros(_VALUES)}

    def work() -> tuple[Update, float]:
        noise = torch.from_numpy(system_normal(_VALUES)).float()
        return Update(_SITE, {"w": noise}, 1, 1, {"loss": 0.0}), 0.0

    sent = folder / "sent"
    for number in range(1, ROUNDS + 1):
        if sent.exists() and len(sent.read_bytes()) >= number:
            continue  # the server has it
        account.released(_release(number), weights, work)
        with sent.open("ab", buffering=0) as file:  # the file is the server: a byte there has left the site
            file.write(b".")


def _start(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    pid = os.fork()  # this process has one thread; to start another would take seconds of imports
    if pid == 0:
        code = 1
        try:
            _releases(folder)
            code = 0
        finally:
            os._exit(code)
    return pid


def _finish(folder: Path) -> None:
    _, status = os.waitpid(_start(folder), 0)
    if status:
        raise RuntimeError(f"{folder}: the site ended with status {status}")


def _strike(folder: Path, second: float) -> Killed:
    pid = _start(folder)
    time.sleep(second)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    sent = folder / "sent"
    left = len(sent.read_bytes()) if sent.exists() else 0
    then = _spent(folder)
    _finish(folder)
    return Killed(second, left, then, _spent(folder), len(Ledger(folder, _SITE).entries()))


def _spent(folder: Path) -> float:
    return spent(Ledger(folder, _SITE).releases(), "site", DELTA)


def main() -> None:
    """Kill, and print the table and the closing line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="medfed-ledger-") as folder:
        print_rows("ledger_kills", rows(kills(chosen.kills, chosen.seed, Path(folder))))


if __name__ == "__main__":
    main()
