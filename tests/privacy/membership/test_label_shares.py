"""Shares of labels of a run's recorded updates. Oracles: faults planted in its files; what each site holds."""

from pathlib import Path
from typing import Any

import pytest
import torch

from medfed.audit.contract import NotTestedError
from medfed.params import load_metadata, load_weights, save_weights
from privacy.membership.properties import label_shares
from tests.privacy.leakage.recorded_run import recorded_run, scenario_of


@pytest.mark.parametrize("kept", [{}, {"model.norm": "batch", "federation.batch_norm": "local"}], ids=["all", "local"])
def test_every_update_has_a_row_also_where_entries_stay_at_the_sites(tmp_path: Path, kept: dict[str, Any]) -> None:
    """Site a holds the first class alone, site b the second."""
    context = recorded_run(tmp_path, scenario_of(**kept, **{"training.batch_size": 3}))
    found = label_shares(context, 3)
    assert [row[:3] for row in found.rows[:-1]] == [
        ("a", "1", "100%, 0%"),
        ("b", "1", "0%, 100%"),
        ("a", "2", "100%, 0%"),
        ("b", "2", "0%, 100%"),
    ]


def _masked(path: Path) -> None:
    save_weights(path, {n: v.to(torch.int32) for n, v in load_weights(path).items()}, load_metadata(path))


def _masked_in_part(path: Path) -> None:
    values = load_weights(path)
    name = next(iter(values))
    save_weights(path, values | {name: values[name].to(torch.int32)}, load_metadata(path))


def _without_global(path: Path) -> None:
    path.with_name("global.weights.safetensors").unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_masked, "is masked"),
        (_masked_in_part, "is masked"),
        (_without_global, "global weights of round 1 are missing"),
    ],
)
def test_what_cannot_be_read_by_itself_is_not_tested(tmp_path: Path, spoil: Any, message: str) -> None:
    context = recorded_run(tmp_path, scenario_of(), rounds=(1,))
    spoil(tmp_path / "recorded" / "1" / "a.safetensors")
    with pytest.raises(NotTestedError, match=message) as error:
        label_shares(context, 2)
    assert "\n" not in str(error.value)
