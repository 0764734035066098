"""What is refused, in one line that says what was expected. Oracle: the issue's list of bad input; what is granted."""

import pytest
import torch
from torch import nn

from privacy.inversion.engine import run_inversion
from privacy.inversion.errors import InversionError
from privacy.inversion.first_layer import FirstLayer
from privacy.inversion.observation import Observation, require_sound
from privacy.inversion.threat import Knowledge
from tests.privacy.inversion.cases import convolutional, dense, gradient, pictures


def seen() -> Observation:
    return gradient(dense(), pictures(1), torch.tensor([1]))


def refused(observation: Observation, message: str) -> None:
    with pytest.raises(InversionError, match=message) as error:
        run_inversion(observation, attack=FirstLayer())
    assert "\n" not in str(error.value)


def test_a_sound_one_passes() -> None:
    require_sound(seen())


def test_an_update_of_another_architecture() -> None:
    refused(seen().replace(model=convolutional()), 'global weights: entry "1.bias" is missing, unknown or of another')
    refused(seen().replace(change={"2.weight": torch.ones(2, 2)}), r'entry "2.weight" of shape \(2, 2\) does not fit')
    refused(seen().replace(change={"9.weight": torch.ones(2)}), "expected one of the 4 names")


def test_missing_global_weights() -> None:
    refused(seen().replace(weights={}), "global weights: none are given; expected those that the round started from")


def test_the_update_of_a_masked_or_empty_round() -> None:
    refused(seen().replace(change={}), r"at least one parameter; got none \(a masked round\?\)")
    zeros = {name: torch.zeros_like(value) for name, value in seen().change.items()}
    refused(seen().replace(change=zeros), "expected a change that is not zero")
    broken = {name: value * float("nan") for name, value in seen().change.items()}
    refused(seen().replace(change=broken), "expected finite values")


def test_labels_that_do_not_fit() -> None:
    refused(seen().replace(labels=torch.tensor([1, 2])), r"integers of shape \(1,\); got int64 of shape \(2,\)")
    refused(seen().replace(labels=torch.tensor([4])), r"expected 0\.\.3; got 4")


@pytest.mark.parametrize("field", ["num_examples", "batch_size", "local_steps"])
def test_counts_below_one(field: str) -> None:
    refused(seen().replace(**{field: 0}), f"{field} expected 1 or more; got 0")


def test_a_step_of_one_image_is_too_little_for_batch_norm_on_maps_of_one_pixel() -> None:
    """As torch itself says of such a step; two images, or running statistics, will do."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 8), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 4))
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        gradient(model, pictures(1), torch.tensor([1]), train=True)
    frozen = gradient(model, pictures(1), torch.tensor([1]))
    require_sound(frozen)
    refused(frozen.replace(batch_norm="train"), "a step of one image, of which a BatchNorm layer sees one value")
    both = gradient(model, pictures(2), torch.tensor([1, 2]), train=True)
    require_sound(both)
    three = both.replace(num_examples=3, batch_size=2)
    require_sound(three)  # of the two images that come first
    refused(three.replace(local_steps=2), "a step of one image")


def test_what_is_not_granted_is_not_seen() -> None:
    full = gradient(convolutional(norm=True), pictures(2), torch.tensor([0, 1]), train=True)
    full = full.replace(labels=torch.tensor([0, 1]), class_counts=torch.tensor([5, 1, 1, 1]))
    assert "2.running_mean" in full.change
    nothing = Knowledge(batch_norm_statistics=False, hyper_parameters=False, class_counts=False).restrict(full)
    assert nothing.class_counts is None
    assert nothing.labels is None
    assert nothing.optimizer is None
    assert set(nothing.change) == {name for name, _ in full.model.named_parameters()}
    everything = Knowledge(labels=True, masks=True).restrict(full)
    assert everything.labels is full.labels
    assert everything.class_counts is full.class_counts
    assert set(everything.change) == set(full.change)
