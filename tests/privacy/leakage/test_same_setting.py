"""The second control: recorded updates as they were before noise. Oracles: the client without noise, to the bit; an
attack that has every image; noise of norm far above the updates'."""

from pathlib import Path

import pytest
import torch

from privacy.leakage.campaign import attack_ready, prepare
from privacy.leakage.same_setting import AGAIN, before_noise
from privacy.leakage.section import GradientInversion
from tests.privacy.leakage.attackers import Blind, Dictionary
from tests.privacy.leakage.recorded_run import LOOSE, NOISED, add_noise, recorded_run, scenario_of


@pytest.mark.parametrize("batch_size", [1, 2])
def test_noise_clears_an_update_only_where_the_attack_succeeds_without_it(tmp_path: Path, batch_size: int) -> None:
    """The dictionary solves any update of one image, and none of two: it shows nothing there by failing under noise."""
    context = recorded_run(tmp_path, scenario_of(**NOISED, **{"training.batch_size": batch_size}), rounds=(1,))
    add_noise(tmp_path)
    result = GradientInversion(inversion=Dictionary(), control_images=2, decoys=20, **LOOSE)(context)
    assert result.positive_control.holds
    assert any("carries the noise" in said for said in result.not_tested)
    assert result.findings[1].estimate.value == 0.0
    assert [row[3] for row in result.tables[2].rows] == [AGAIN] * 2
    assert all((row[4] > 99.0) is (batch_size == 1) for row in result.tables[2].rows)
    assert result.verdict == ("PASS" if batch_size == 1 else "INCONCLUSIVE")
    assert batch_size == 1 or "does not succeed on the same updates without noise" in result.findings[0].what


@pytest.mark.parametrize("compression", ["none", "float16"])
def test_an_update_before_noise_is_what_the_client_sends_without_any(tmp_path: Path, compression: str) -> None:
    """Bit for bit; the fixture's recorded updates have no noise, whatever the scenario says."""
    changes = {"training.transforms": ("affine",), "training.local_steps": 3, "federation.compression": compression}
    context = recorded_run(tmp_path, scenario_of(**NOISED, **changes), rounds=(1,))
    bounds, attack = GradientInversion(decoys=20).bounds, Blind()
    message = attack_ready(context, bounds, attack, prepare(context, bounds, 1, "b", set()))
    expected = message.recorded.change
    message.full.model.load_state_dict({n: v + 1 for n, v in message.recorded.weights.items()})
    before = before_noise(context, message, context.site("b"))
    assert before.keys() == expected.keys()
    assert all(torch.equal(before[name], value) for name, value in expected.items())


def test_what_a_client_strategy_does_is_not_repeated_and_clears_nothing(tmp_path: Path) -> None:
    changes = {"federation.strategy": {"name": "fedprox"}}
    context = recorded_run(tmp_path, scenario_of(**NOISED, **changes), rounds=(1,))
    add_noise(tmp_path)
    result = GradientInversion(inversion=Dictionary(), control_images=2, decoys=20, **LOOSE)(context)
    assert result.positive_control.holds
    assert result.tables[2].rows[0][3:] == (
        "not attacked: what the client strategy does is not repeated here",
        None,
        None,
    )
    assert result.verdict == "INCONCLUSIVE"
