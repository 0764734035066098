"""What malicious sites train on. Oracles: by hand, pixel by pixel; the arguments stay as they were."""

import numpy as np
import pytest
import torch
from torch import nn

from robustness.byzantine.backdoor import Backdoor
from robustness.byzantine.contract import Cast
from robustness.byzantine.label_flip import LabelFlip
from robustness.byzantine.lazy import Lazy
from robustness.byzantine.success import backdoor_success
from robustness.byzantine.trigger import mask, stamped
from tests.robustness.byzantine.views import BINARY, MASKS, films, view


def draws() -> np.random.Generator:
    return np.random.default_rng(3)


def labels(images) -> np.ndarray:
    return images.targets[images.rows]


def test_flipped_labels_are_the_others_and_the_films_stay() -> None:
    honest = films(10)
    flipped = LabelFlip().poison(honest, BINARY, draws())
    assert (labels(flipped) == 1 - labels(honest)).all()
    assert (flipped.images[flipped.rows] == honest.images[honest.rows]).all()
    assert len(flipped) == len(honest)
    half = LabelFlip(share=0.5).poison(honest, BINARY, draws())
    assert int((labels(half) != labels(honest)).sum()) == 5


def test_flipped_masks_change_every_pixel() -> None:
    honest = films(4, MASKS)
    flipped = LabelFlip().poison(honest, MASKS, draws())
    assert (labels(flipped) == 1 - labels(honest)).all()


def test_a_lazy_site_has_as_many_images_and_few_different_ones() -> None:
    lazy = Lazy(share=0.2).poison(films(10), BINARY, draws())
    assert len(lazy) == len(lazy.names) == len(lazy.patients) == 10
    assert len(set(lazy.rows.tolist())) == 2
    assert set(lazy.rows.tolist()) <= set(films(10).rows.tolist())
    assert [f"n{row}" for row in lazy.rows] == list(lazy.names)
    assert len(set(Lazy(share=0.001).poison(films(10), BINARY, draws()).rows.tolist())) == 1


def test_the_patch_and_the_letter_by_hand() -> None:
    square = mask("patch", 2, 6, 6)
    assert np.argwhere(square).tolist() == [[3, 3], [3, 4], [4, 3], [4, 4]]
    letter = mask("letter", 4, 8, 8)
    drawn = ["".join("#" if dot else "." for dot in row) for row in letter]
    assert drawn == [
        "........",
        "....#...",
        "....#...",
        "....#...",
        "....###.",
        "........",
        "........",
        "........",
    ]
    with pytest.raises(ValueError, match="a trigger of 7 pixels does not fit into an image of 8 x 8"):
        mask("patch", 7, 8, 8)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_stamp_is_as_bright_as_can_be_and_touches_nothing_else(dtype) -> None:
    pixels = np.full((2, 3, 10, 10), 7, dtype)
    marked = stamped(pixels, "patch", 3)
    inside = mask("patch", 3, 10, 10)
    assert (marked[..., inside] == np.iinfo(dtype).max).all()
    assert (marked[..., ~inside] == 7).all()
    assert (pixels == 7).all()


def test_a_backdoor_marks_and_relabels_its_share_of_other_classes_alone() -> None:
    honest = films(20)
    poisoned = Backdoor(target=0, share=0.5, size=4).poison(honest, BINARY, draws())
    changed = (poisoned.images != honest.images[honest.rows]).any(axis=(1, 2, 3))
    assert int((labels(honest) == 1).sum()) == 10
    assert int(changed.sum()) == 5
    assert (labels(honest)[changed] == 1).all()
    assert (labels(poisoned)[changed] == 0).all()
    assert (labels(poisoned)[~changed] == labels(honest)[~changed]).all()


@pytest.mark.parametrize("behaviour", [Backdoor(), LabelFlip(), Lazy()])
def test_the_data_set_that_all_sites_share_is_not_written_to(behaviour) -> None:
    honest, same = films(12), films(12)
    honest.images.flags.writeable = honest.targets.flags.writeable = False
    behaviour.poison(honest, BINARY, draws())
    assert (honest.images == same.images).all()
    assert (honest.targets == same.targets).all()


def test_replacement_makes_the_mean_the_backdoored_model() -> None:
    """f sites send n / f times their update; honest sites have converged and send nothing: the mean is theirs."""
    update = torch.tensor([[0.5, -1.0]])
    seen = view(update.repeat(4, 1), num_sites=20)
    sent = Backdoor(replacement=True)(seen, draws())
    torch.testing.assert_close(4 * sent / 20, update[0])
    assert torch.equal(Backdoor()(seen, draws()), update[0])


class SeesTheCorner(nn.Module):
    """Says class 0 where the patch is, else class 1."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        marked = (images[:, 0, -3:-1, -3:-1].amin(dim=(1, 2)) == 1.0).float()
        return torch.stack([marked, 1.0 - marked], dim=1)


def test_success_is_counted_on_images_of_other_classes() -> None:
    images = films(20)
    assert backdoor_success(SeesTheCorner(), images, Backdoor(size=4)) == 1.0
    assert backdoor_success(SeesTheCorner(), images, Backdoor(trigger="letter", size=6)) == 0.0
    only_target = films(1)
    assert labels(only_target).tolist() == [0]
    assert backdoor_success(SeesTheCorner(), only_target, Backdoor()) is None


@pytest.mark.parametrize(
    ("backdoor", "task", "said"),
    [
        (Backdoor(), MASKS, "expected a classification task"),
        (Backdoor(target=2), BINARY, "expected a class below 2, got 2"),
        (Backdoor(size=27), BINARY, "expected at most 26 pixels, got 27"),
        (Backdoor(size=26, target=1), BINARY, ""),
    ],
)
def test_a_backdoor_says_what_it_cannot_serve(backdoor, task, said) -> None:
    misfit = backdoor.misfit(task, Cast(5, 2, 2))
    assert said in misfit
    assert bool(misfit) == bool(said)
