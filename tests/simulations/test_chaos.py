"""A sample of the chaos benchmark: runs that are killed with signal 9 at drawn moments.

Oracle: the same run when nobody kills it: its bytes, its rounds, its files, how often each site was trained.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medfed import events
from simulations.benchmarks.chaos import kills, rows, strike
from simulations.benchmarks.chaos_cases import CASES, WORKERS
from simulations.benchmarks.chaos_run import LIMIT_SECONDS, Run, Whole
from simulations.run import resume, simulate

NUM_KILLS = 2


class Cut(BaseException):
    """What a power cut is to a program."""


def test_killed_runs_end_with_the_same_bits(tmp_path: Path) -> None:
    found = list(kills(CASES[:1], NUM_KILLS, 1, tmp_path, float("inf")))
    assert len(found) == NUM_KILLS
    for killed in found:
        assert killed.bit_equal, str(killed)
        assert not killed.problems, str(killed)
        assert killed.lost_rounds <= 1, str(killed)
    assert {killed.victim for killed in found} == {"main", "worker"}
    names = {row.case: row.holds for row in rows(found, NUM_KILLS)}
    assert len(names) == 7
    assert all(holds for name, holds in names.items() if "with spool" not in name)


def test_a_kill_after_the_end_is_no_kill(tmp_path: Path) -> None:
    never_looked_at = Run.__new__(Run)
    later = Whole(CASES[0], never_looked_at, seconds=LIMIT_SECONDS)
    assert strike(later, "main", 1.0, tmp_path / "late", 1) is None
    assert WORKERS == 2


def test_what_arrived_before_its_turn_is_not_lost(tiny: Callable[..., Any], tmp_path: Path) -> None:
    """The site with the most images is asked first; replies are handed on by name. Cut when the last one begins."""
    changes = {
        "training.rounds": 1,
        "training.local_steps": None,
        "training.local_epochs": 1,
        "baselines.local": False,
        "baselines.pooled": False,
        "engine.spool": True,
    }
    asked: list[str] = []

    def listen(event: events.Event) -> None:
        if isinstance(event, events.SiteStarted) and event.purpose == "train":
            asked.append(event.site)
            if len(asked) == 3:
                raise Cut

    with pytest.raises(Cut):
        simulate(tiny(**changes), out=tmp_path, listener=listen)
    assert asked != sorted(asked)  # so that one was waiting for its turn
    again: list[str] = []

    def count(event: events.Event) -> None:
        if isinstance(event, events.SiteStarted) and event.purpose == "train":
            again.append(event.site)

    resume(tmp_path / "tiny", listener=count)
    assert again == asked[2:]
