"""Weights in channels-last order. Oracles: the same forward pass in the usual order; identity of the tensors."""

import pytest
import torch
from torch import nn

from robustness.attacks.layout import channels_last, suits_channels_last


def _model(norm: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), norm, nn.ReLU(), nn.Conv2d(8, 2, 3)).eval()


def test_inside_the_order_changes_and_the_scores_do_not():
    model, images = _model(nn.BatchNorm2d(8)), torch.rand(4, 3, 9, 9)
    with torch.no_grad():
        before = model(images)
        with channels_last(model):
            assert model[0].weight.is_contiguous(memory_format=torch.channels_last)
            assert torch.allclose(model(images), before, atol=1e-6)


def test_afterwards_the_very_tensors_are_back():
    model = _model(nn.BatchNorm2d(8))
    before = [(parameter, parameter.data_ptr(), parameter.stride()) for parameter in model.parameters()]
    with channels_last(model):
        pass
    assert all(p.data_ptr() == place and p.stride() == stride for p, place, stride in before)


def test_what_the_model_writes_to_a_weight_is_carried_over():
    model = _model(nn.BatchNorm2d(8))
    with channels_last(model):
        model[0].weight.data[1, 2, 0, 1] = 7.0
    assert model[0].weight[1, 2, 0, 1].item() == 7.0


def test_weights_that_share_their_memory_keep_their_order():
    """Carried back one by one, the old values of one would cover what was written through the other."""
    model = nn.Sequential(nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3))
    model[1].weight.data = model[0].weight.data
    with channels_last(model):
        model[0].weight.data[1, 2, 0, 1] = 7.0
    assert model[0].weight[1, 2, 0, 1].item() == model[1].weight[1, 2, 0, 1].item() == 7.0


@pytest.mark.parametrize("norm", [nn.GroupNorm(2, 8), nn.InstanceNorm2d(8)], ids=["group", "instance"])
def test_a_network_whose_norm_is_slow_in_that_order_keeps_its_own(norm):
    model = _model(norm)
    assert not suits_channels_last(model)
    with channels_last(model):
        assert model[0].weight.is_contiguous()
