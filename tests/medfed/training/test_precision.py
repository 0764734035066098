"""Mixed precision. Oracles: rounding to 8 bits of mantissa by hand; float32 training; the law that descent descends."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from medfed.config import Scenario, validate
from medfed.devices import CPU
from medfed.training import precision
from medfed.training.local import LocalResult, train_local
from medfed.training.precision import Precision, forward_in, has_bfloat16
from medfed.types import ImageSet

ABOVE_ONE = 1.0 + 2.0**-9
"""Lies between the neighbours 1 and 1 + 2**-7 of bfloat16, and rounds to 1."""


@pytest.fixture
def with_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any processor can emulate it, and a small test can wait."""
    monkeypatch.setattr(precision, "has_bfloat16", lambda: True)


def _product(name: Precision) -> Tensor:
    with forward_in(name, CPU):
        return nn.functional.linear(torch.tensor([[ABOVE_ONE]]), torch.ones(1, 1))


def test_bfloat16_rounds_to_eight_bits_by_hand(with_bfloat16):
    assert _product("bfloat16").item() == 1.0


def test_float32_does_not():
    assert _product("float32").item() == ABOVE_ONE


def test_a_processor_without_bfloat16_computes_in_float32(monkeypatch):
    monkeypatch.setattr(precision, "has_bfloat16", lambda: False)
    assert _product("bfloat16").item() == ABOVE_ONE


@pytest.mark.parametrize("found", [{}, {"avx512_f": True}, {"avx512_bf16": False, "amx_bf16": False}])
def test_avx512_alone_is_not_enough(monkeypatch, found):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    assert not has_bfloat16()


@pytest.mark.parametrize("unit", ["avx512_bf16", "amx_bf16"])
def test_either_unit_is(monkeypatch, unit):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {unit: True})
    assert has_bfloat16()


def test_nothing_stays_switched_on(with_bfloat16):
    with pytest.raises(RuntimeError, match="shapes"), forward_in("bfloat16", CPU):
        torch.ones(2, 3) @ torch.ones(2, 3)
    assert not torch.is_autocast_enabled("cpu")


def _scenario(name: Precision) -> Scenario:
    return validate(
        {
            "name": "test",
            "task": {"kind": "segmentation", "classes": ("background", "a")},
            "data": {"image_size": 16, "channels": 1},
            "model": {"name": "unet", "width": 4, "depth": 1},
            "training": {
                "rounds": 1,
                "local_steps": 1,
                "batch_size": 4,
                "loss": "dice_ce",
                "optimizer": {"name": "sgd", "lr": 0.1},
                "precision": name,
            },
        },
        "test",
    )


def _images() -> ImageSet:
    """One batch; what is brighter than grey is the object."""
    images = np.random.default_rng(0).integers(0, 256, (4, 1, 16, 16), dtype=np.uint8)
    names = tuple("abcd")
    return ImageSet(
        images=images, targets=(images[:, 0] > 127).astype(np.int64), rows=np.arange(4), patients=names, names=names
    )


def _trained(name: Precision, num_steps: int = 3) -> tuple[LocalResult, Tensor]:
    """What came of training, and all weights in one vector."""
    scenario = _scenario(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = scenario.model(scenario.model_task)
    result = train_local(model, _images(), scenario, "site", 1, num_steps)
    return result, nn.utils.parameters_to_vector(model.parameters()).detach()


def test_bfloat16_trains_close_to_float32_but_not_the_same(with_bfloat16):
    (exact, weights), (rounded, rounded_weights) = _trained("float32"), _trained("bfloat16")
    assert rounded_weights.dtype == torch.float32
    assert not torch.equal(rounded_weights, weights)
    assert rounded.loss == pytest.approx(exact.loss, rel=0.02)  # a few of 256 steps of the mantissa


def test_bfloat16_gives_the_same_bits_twice(with_bfloat16):
    (_, first), (_, second) = _trained("bfloat16"), _trained("bfloat16")
    assert torch.equal(first, second)


def test_each_step_sees_the_weights_of_the_step_before(with_bfloat16):
    """On one batch again and again the loss falls; with stale copies of the weights it would stay."""
    (one, _), (three, _) = _trained("bfloat16", 1), _trained("bfloat16", 3)
    assert three.loss < 0.99 * one.loss
