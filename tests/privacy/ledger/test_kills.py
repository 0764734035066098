"""kill -9 at random moments of a site that releases, seeded. Oracles: what had left, the site nobody killed."""

import json
import subprocess
import sys
from pathlib import Path

from simulations.benchmarks.ledger_kills import Killed, cost, rows

KILLS = 12


def test_what_left_is_in_the_ledger_and_nothing_is_counted_twice() -> None:
    """In a process of its own, which forks: ``make kills`` does the same 50 times."""
    command = [sys.executable, "-m", "simulations.benchmarks.ledger_kills", "--kills", str(KILLS), "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, done.stderr
    figures = {row["case"]: row for row in json.loads(done.stdout.splitlines()[-1])["rows"]}
    assert all(row["holds"] is not False for row in figures.values())
    assert figures["of them, some rounds had left and some had not"]["ours"] >= KILLS / 3


def test_a_ledger_that_forgets_or_counts_twice_would_be_seen() -> None:
    fine = Killed(0.1, 3, cost(3), cost(8), 8)
    assert fine.covered
    assert fine.exact
    assert not Killed(0.1, 3, cost(2), cost(8), 8).covered
    assert not Killed(0.1, 3, cost(3), cost(9), 9).exact
    assert [row.holds for row in rows([fine, Killed(0.1, 3, cost(2), cost(9), 9)])] == [True, None, False, False]
