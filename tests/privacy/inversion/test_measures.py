"""PSNR and matching. Oracle: by hand (an error of 0.1 everywhere is 20 dB); a shuffle, undone."""

import torch

from privacy.inversion.measures import assignment, psnr
from tests.privacy.inversion.cases import pictures


def test_psnr_by_hand() -> None:
    truth = torch.full((2, 1, 4, 4), 0.5)
    found = torch.stack([truth[0] + 0.1, truth[1]])
    torch.testing.assert_close(psnr(found, truth), torch.tensor([20.0, 120.0], dtype=torch.float64), rtol=0, atol=1e-4)


def test_psnr_clips_what_was_found_to_the_range() -> None:
    assert psnr(torch.full((1, 1, 2, 2), 7.0), torch.ones(1, 1, 2, 2)).tolist() == [120.0]


def test_the_assignment_undoes_a_shuffle() -> None:
    truth, order = pictures(6), torch.tensor([3, 1, 5, 0, 4, 2])
    found = truth[order] + 0.01
    torch.testing.assert_close(found[assignment(found, truth)], truth + 0.01)
