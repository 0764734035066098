"""Every strategy: the number of workers, and a cut, change no bit. Oracle: the bytes of the run in one process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medfed import events
from server.strategies import STRATEGIES
from simulations.run import resume, simulate

SMALL = {"training.local_steps": 2, "baselines.local": False, "baselines.pooled": False, "evaluation.every": 2}
BATCH_NORM = {"fedbn": {"model.norm": "batch", "federation.batch_norm": "local"}}


class Cut(BaseException):
    """What a power cut is to a program."""


def cut_in_round_2(event: events.Event) -> None:
    """Somebody has delivered in round 2, somebody has not."""
    if isinstance(event, events.SiteDone) and event.round == 2:
        raise Cut


def changes(strategy: str, **more: Any) -> dict[str, Any]:
    return SMALL | BATCH_NORM.get(strategy, {}) | {"federation.strategy": {"name": strategy}} | more


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_workers_and_a_cut_change_no_bit(strategy: str, tiny: Callable[..., Any], tmp_path: Path) -> None:
    def model(folder: Path) -> bytes:
        return (folder / "tiny" / "model.safetensors").read_bytes()

    simulate(tiny(**changes(strategy)), out=tmp_path / "whole")
    simulate(tiny(**changes(strategy, **{"engine.workers": 2})), out=tmp_path / "2 workers")
    cuts = {"cut": {"engine.spool": False}, "4 workers, cut, spool": {"engine.workers": 4, "engine.spool": True}}
    for name, more in cuts.items():
        with pytest.raises(Cut):
            simulate(tiny(**changes(strategy, **more)), out=tmp_path / name, listener=cut_in_round_2)
        resume(tmp_path / name / "tiny")
    expected = model(tmp_path / "whole")
    for name in ("2 workers", *cuts):
        assert model(tmp_path / name) == expected, name
