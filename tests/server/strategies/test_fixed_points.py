"""Where strategies end on sites with different bowls h / 2 (w - b)^2. Oracles: closed forms.

n local steps of length lr bring w to b + (1 - lr h)^n (w - b), so that the mean change is zero where
sum_k p_k (1 - (1 - lr h_k)^n_k) (b_k - w) = 0. The optimum of sum_k p_k F_k is where sum_k p_k h_k (b_k - w) = 0.
"""

from typing import Any

import pytest

from server.strategies.ditto import Ditto
from server.strategies.fedavg import FedAvg
from server.strategies.fedavgm import FedAvgM
from server.strategies.fednova import FedNova
from server.strategies.fedprox import FedProx
from server.strategies.scaffold import Scaffold
from tests.client.strategies.bowls import Site, federate

LR = 0.2
SITES = [Site(0.5, -1.0, 5), Site(2.0, 0.0, 5), Site(4.0, 3.0, 5)]
UNEQUAL = [Site(0.5, -1.0, 2, num_examples=3), Site(2.0, 2.0, 16, num_examples=1)]
OPTIMUM = sum(s.curvature * s.minimum for s in SITES) / sum(s.curvature for s in SITES)


def _fixed_point(sites: list[Site], pulls: list[float]) -> float:
    """Where the pulls of the sites towards their minima cancel."""
    return sum(p * s.minimum for p, s in zip(pulls, sites, strict=True)) / sum(pulls)


def _reach(site: Site, lr: float = LR) -> float:
    return 1.0 - (1.0 - lr * site.curvature) ** site.num_steps


@pytest.mark.parametrize(
    "strategy", [FedAvg(), FedAvgM(momentum=0.5), FedAvgM(momentum=0.2, lr=0.5), FedProx(mu=0.0), Ditto()]
)
def test_averaging_with_many_local_steps_is_biased(strategy: Any) -> None:
    expected = _fixed_point(SITES, [_reach(site) for site in SITES])
    assert federate(strategy, SITES, 50, LR)[0] == pytest.approx(expected, abs=1e-8)
    assert abs(expected - OPTIMUM) > 0.4


@pytest.mark.parametrize("lr", [1.0, 0.5])
def test_scaffold_reaches_the_optimum(lr: float) -> None:
    assert federate(Scaffold(lr=lr), SITES, 100, LR)[0] == pytest.approx(OPTIMUM, abs=1e-6)


def test_scaffold_reaches_it_with_a_part_of_the_sites_in_each_round() -> None:
    found, _ = federate(Scaffold(lr=0.5), SITES, 150, LR, asked=lambda number: [number % 3, (number + 1) % 3])
    assert found == pytest.approx(OPTIMUM, abs=1e-6)


def test_scaffold_keeps_each_site_s_gradient_at_the_optimum() -> None:
    """There all corrected steps are zero, so that c_i is h_i (w - b_i), and their mean is zero."""
    found, kept = federate(Scaffold(), SITES, 100, LR)
    gradients = [site.curvature * (found - site.minimum) for site in SITES]
    assert [float(state["w"]) for state in kept] == pytest.approx(gradients, abs=1e-5)
    assert sum(gradients) == pytest.approx(0.0, abs=1e-5)


def test_fednova_weighs_by_images_and_not_by_steps() -> None:
    pulls = [site.num_examples * _reach(site) / site.num_steps for site in UNEQUAL]
    assert federate(FedNova(), UNEQUAL, 50, LR)[0] == pytest.approx(_fixed_point(UNEQUAL, pulls), abs=1e-8)


@pytest.mark.parametrize(("momentum", "lr"), [(0.0, 0.01), (0.9, 0.003)])
def test_with_short_steps_fednova_tends_to_the_optimum_and_averaging_does_not(momentum: float, lr: float) -> None:
    sites = [Site(0.5, -1.0, 1, num_examples=3), Site(2.0, 2.0, 6, num_examples=1)]
    optimum = _fixed_point(sites, [site.num_examples * site.curvature for site in sites])
    nova, average = (federate(s, sites, 250, lr, momentum)[0] for s in (FedNova(), FedAvg()))
    assert nova == pytest.approx(optimum, abs=0.1)
    assert abs(average - optimum) > 0.5


def test_fednova_is_averaging_where_all_take_as_many_steps() -> None:
    nova, average = (federate(strategy, SITES, 3, LR)[0] for strategy in (FedNova(), FedAvg()))
    assert nova == pytest.approx(average, rel=1e-12)


def test_fedprox_trained_to_the_end_pulls_by_h_over_h_plus_mu() -> None:
    """Then a site ends at (h b + mu w) / (h + mu), which is h / (h + mu) of the way to b."""
    sites = [Site(site.curvature, site.minimum, 60) for site in SITES]
    expected = _fixed_point(sites, [site.curvature / (site.curvature + 1.5) for site in sites])
    assert federate(FedProx(mu=1.5), sites, 40, LR)[0] == pytest.approx(expected, abs=1e-6)
