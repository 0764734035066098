"""What is sent in the place of an update. Oracles: closed forms, the papers' bounds, the normal distribution."""

import math
from statistics import NormalDist

import numpy as np
import pytest
import torch

from robustness.byzantine import BYZANTINE
from robustness.byzantine.alie import ALIE, largest_unseen
from robustness.byzantine.contract import Cast
from robustness.byzantine.free_rider import FreeRider
from robustness.byzantine.gaussian import Gaussian
from robustness.byzantine.ipm import IPM
from robustness.byzantine.min_max import MinMax, largest_step
from robustness.byzantine.oversized_count import OversizedCount
from robustness.byzantine.scaled import Scaled
from robustness.byzantine.sign_flip import SignFlip
from tests.robustness.byzantine.views import BINARY, normal, view


def draws() -> np.random.Generator:
    return np.random.default_rng(3)


def test_a_flipped_update_is_its_negative_and_a_scaled_one_its_multiple() -> None:
    seen = view(torch.tensor([[1.0, -2.0, 0.5]]))
    assert SignFlip(scale=3.0)(seen, draws()).tolist() == [-3.0, 6.0, -1.5]
    assert Scaled(scale=10.0)(seen, draws()).tolist() == [10.0, -20.0, 5.0]


def test_the_mean_turns_around_where_the_docstring_says() -> None:
    """16 honest sites send x, 4 send -s x: the mean is (16 - 4 s) / 20 x."""
    x = torch.tensor([[1.0, -2.0, 0.5]])
    for scale, sign in ((3.9, 1.0), (4.1, -1.0)):
        sent = SignFlip(scale=scale)(view(x), draws())
        mean = (16 * x[0] + 4 * sent) / 20
        assert torch.sign(mean @ x[0]) == sign


def test_z_of_alie_by_hand() -> None:
    """n = 50, f = 24: s = 26 - 24 = 2, z = Phi^-1((50 - 24 - 2) / 26)."""
    assert largest_unseen(50, 24) == pytest.approx(NormalDist().inv_cdf(24 / 26))
    assert largest_unseen(20, 4) == pytest.approx(NormalDist().inv_cdf(9 / 16))
    assert largest_unseen(3, 1) == 0.0  # (2 - 1) / 2 = 1 / 2


@pytest.mark.parametrize("num_malicious", range(1, 9))
def test_z_of_alie_grows_with_the_number_of_malicious_sites(num_malicious: int) -> None:
    assert largest_unseen(20, num_malicious) <= largest_unseen(20, num_malicious + 1) < math.inf
    assert (largest_unseen(20, num_malicious) > 0.0) == (num_malicious > 2)


def test_what_would_do_nothing_is_refused_with_the_reason() -> None:
    """n = 20: s = 11 - f supporters of 20 - f; for f = 2 that is one half, for f = 10 the formula has no bound."""
    assert "not above 0 for 2 of 20 sites" in ALIE().misfit(BINARY, Cast(20, 2, 2))
    assert "fewer than half of the sites, got 10 of 20 sites" in ALIE().misfit(BINARY, Cast(20, 10, 10))
    assert ALIE(z=1.0).misfit(BINARY, Cast(20, 2, 2)) == ALIE().misfit(BINARY, Cast(20, 3, 3)) == ""
    for behaviour in (ALIE(z=1.0), MinMax(), OversizedCount(inner=MinMax())):
        assert "expected two or more" in behaviour.misfit(BINARY, Cast(20, 1, 1))
        assert behaviour.misfit(BINARY, Cast(20, 1, 19)) == ""
    with pytest.raises(ValueError, match="fewer than half of 20 sites, got 10"):
        largest_unseen(20, 10)


def test_alie_sends_the_mean_less_z_standard_deviations() -> None:
    known = torch.tensor([[1.0, 0.0], [3.0, 4.0]])
    assert ALIE(z=0.5)(view(known), draws()).tolist() == [2.0 - 0.5 * 1.0, 2.0 - 0.5 * 2.0]
    z = largest_unseen(20, 2)
    torch.testing.assert_close(ALIE()(view(known), draws()), torch.tensor([2.0 - z, 2.0 - 2.0 * z]))


def test_the_inner_product_of_ipm_with_the_true_mean_is_negative() -> None:
    for scale in (0.1, 0.5, 5.0):
        known = normal(6, 50) + 1.0
        sent = IPM(scale=scale)(view(known), draws())
        mean = known.mean(dim=0)
        torch.testing.assert_close(sent @ mean, -scale * mean.square().sum())
        assert sent @ mean < 0


@pytest.mark.parametrize("direction", ["std", "unit", "sign"])
@pytest.mark.parametrize("num_known", [2, 4, 16])
def test_min_max_stays_within_the_largest_honest_distance_and_reaches_it(direction: str, num_known: int) -> None:
    known = normal(num_known, 30) + 0.2
    sent = MinMax(direction=direction)(view(known), draws())
    largest = torch.cdist(known, known).max()
    torch.testing.assert_close((known - sent).norm(dim=1).max(), largest, rtol=1e-4, atol=0.0)


def test_the_step_of_min_max_is_that_of_the_papers_search() -> None:
    """Halving, as in the paper's algorithm, on the bound itself."""
    known = normal(5, 40, seed=2)
    p = -known.std(dim=0, correction=0)
    mean, largest = known.mean(dim=0), torch.cdist(known, known).max()
    low, high = 0.0, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        inside = (mean + middle * p - known).norm(dim=1).max() <= largest
        low, high = (middle, high) if inside else (low, middle)
    assert largest_step(known, p) == pytest.approx(low, rel=1e-4)


def test_min_max_with_one_known_update_or_equal_ones_sends_it() -> None:
    for known in (normal(1, 9), normal(1, 9).repeat(3, 1)):
        torch.testing.assert_close(MinMax()(view(known), draws()), known[0])


def test_noise_has_its_standard_deviation_and_the_free_riders_shrinks() -> None:
    seen = view(torch.zeros(1, 40_000))
    assert Gaussian(std=0.3)(seen, draws()).std() == pytest.approx(0.3, rel=0.02)
    for number in (1, 2, 8):
        later = view(torch.zeros(1, 40_000), round_number=number)
        assert FreeRider(std=0.1, decay=1.0)(later, draws()).std() == pytest.approx(0.1 / number, rel=0.02)


@pytest.mark.parametrize(("name", "kind"), [("nan", torch.isnan), ("inf", torch.isinf)])
def test_one_value_is_no_number(name: str, kind) -> None:
    sent = BYZANTINE[name]()(view(normal(1, 100)), draws())
    assert int(kind(sent).sum()) == int((~sent.isfinite()).sum()) == 1


def test_an_oversized_count_is_a_multiple_and_the_rest_is_the_inner_behaviour() -> None:
    known = normal(3, 8)
    wrapped = OversizedCount(factor=50, inner=IPM(scale=2.0))
    assert wrapped.claim(7) == 350
    assert wrapped.colludes
    assert torch.equal(wrapped(view(known), draws()), IPM(scale=2.0)(view(known), draws()))
    assert not OversizedCount().colludes
