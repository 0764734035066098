"""Sensitivity and noise of the mechanisms. Oracles: chi-square, bounds over neighbours, closed forms, naive foils."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from medfed.params import difference, norm
from medfed.types import Weights
from privacy.gaussian import gaussian_epsilon
from privacy.mechanisms import MECHANISMS
from privacy.mechanisms.central import Central
from privacy.mechanisms.central_adaptive import CentralAdaptive
from privacy.mechanisms.contract import (
    Mechanism,
    ServerMechanism,
    SharedMechanism,
    SiteMechanism,
    TrainingMechanism,
)
from privacy.mechanisms.local import Local
from privacy.mechanisms.unprotected import Unprotected
from privacy.noise import seeded_normal
from server.private import PrivateSum, expected_weight


def silent(number: int) -> np.ndarray:
    """No noise: what is left is the query."""
    return np.zeros(number)


def update(seed: int, length: float, shapes: list[tuple[int, ...]]) -> Weights:
    draws = torch.Generator().manual_seed(seed)
    found = {f"t{i}": torch.randn(shape, generator=draws) for i, shape in enumerate(shapes)}
    return {name: value * (length / norm(found)) for name, value in found.items()}


def mean(mechanism, weights, sent, asked, normal, state=None):
    """What the server makes of the updates ``sent``, by site."""
    private = PrivateSum(mechanism, weights, asked, state or {}, normal)
    for site, change in sorted(sent.items()):
        private.add(site, change, 1.0)
    return private.noisy_mean()


COHORTS = st.fixed_dictionaries(
    {
        "counts": st.lists(st.integers(1, 10_000), min_size=2, max_size=8),
        "absent": st.integers(0, 6),
        "shapes": st.sampled_from([[(400,)], [(20, 3, 3), (220,)], [(1,), (399,)], [(10, 40), (), (7,)]]),
        "seed": st.integers(0, 2**32),
        "clip": st.floats(0.01, 100.0),
        "multiplier": st.floats(0.1, 20.0),
    }
)


def _pieces(cohort):
    weights = {f"s{i}": float(count) for i, count in enumerate(cohort["counts"])}
    there = list(weights)[: max(1, len(weights) - cohort["absent"])]
    sent = {
        site: update(cohort["seed"] + i, 10.0 ** (i - 2) * cohort["clip"], cohort["shapes"])
        for i, site in enumerate(there)
    }
    return weights, sent


@settings(max_examples=40)
@given(COHORTS)
def test_central_noise_is_what_is_claimed_whoever_answers(cohort):
    weights, sent = _pieces(cohort)
    mechanism = Central(clip=cohort["clip"], noise_multiplier=cohort["multiplier"])
    asked = len(weights)
    noised, _ = mean(mechanism, weights, sent, asked, seeded_normal(cohort["seed"], "noise"))
    query, _ = mean(mechanism, weights, sent, asked, silent)
    # the mean's sensitivity, from its definition
    sensitivity = cohort["clip"] * max(weights.values()) / sum(weights.values())
    draws = torch.cat([v.flatten() for v in difference(noised, query).values()]).double()
    square = float((draws / (cohort["multiplier"] * sensitivity)).square().sum())
    low, high = chi2.ppf([1e-6, 1 - 1e-6], draws.numel())
    assert low < square < high


@settings(max_examples=40)
@given(COHORTS, st.integers(0, 7))
def test_no_site_moves_the_mean_by_more_than_the_sensitivity(cohort, position):
    weights, sent = _pieces(cohort)
    mechanism = Central(clip=cohort["clip"], noise_multiplier=1.0)
    removed = list(sent)[position % len(sent)]
    whole, _ = mean(mechanism, weights, sent, len(weights), silent)
    rest = {site: change for site, change in sent.items() if site != removed}
    without = mean(mechanism, weights, rest, len(weights), silent)[0] if rest else {n: 0 * v for n, v in whole.items()}
    share = max(weights.values()) / expected_weight(weights, len(weights))
    assert norm(difference(whole, without)) <= cohort["clip"] * share * (1 + 1e-5)
    assert mechanism.release(1, share).sensitivity == pytest.approx(cohort["clip"] * share)


def test_a_mean_over_those_who_answered_would_be_moved_further():
    """Foil: two of ten answer; leaving one out changes the denominator as well."""
    weights = {f"s{i}": 1.0 for i in range(10)}
    up, down = {"a": torch.ones(1)}, {"a": -torch.ones(1)}
    sensitivity = 1.0 / 10.0
    naive_move = abs((up["a"] + down["a"]) / 2 - up["a"] / 1).item()
    assert naive_move == 1.0 > 9 * sensitivity
    mechanism = Central(clip=1.0, noise_multiplier=1.0)
    both, _ = mean(mechanism, weights, {"s0": up, "s1": down}, 10, silent)
    one, _ = mean(mechanism, weights, {"s0": up}, 10, silent)
    assert abs(both["a"] - one["a"]).item() == pytest.approx(sensitivity)
    assert one["a"].item() == pytest.approx(0.1)


def test_noise_grows_with_the_largest_weight():
    """Notes: one site with 10,000 of 10,900 images; noise of z C / n under weights by count is z = 0.109, not 1."""
    weights = {"large": 10_000.0} | {f"s{i}": 100.0 for i in range(9)}
    sent = {site: {"a": torch.zeros(20_000)} for site in weights}
    noised, _ = mean(Central(clip=1.0, noise_multiplier=1.0), weights, sent, 10, seeded_normal(1, "n"))
    largest_share = 10_000 / 10_900
    assert float(noised["a"].std()) == pytest.approx(largest_share, rel=0.03)
    naive = 1.0 / 10
    assert naive / largest_share == pytest.approx(0.109, abs=1e-3)
    assert gaussian_epsilon(math.sqrt(10) * largest_share / naive, 1e-5) > 25 * gaussian_epsilon(math.sqrt(10), 1e-5)


def test_a_zero_update_is_an_update_like_others():
    zero = {"a": torch.zeros(4)}
    found, _ = mean(Central(clip=1.0, noise_multiplier=1.0), {"s": 1.0}, {"s": zero}, 1, silent)
    assert found["a"].tolist() == [0.0] * 4
    private = PrivateSum(Central(clip=1.0, noise_multiplier=1.0), {"s": 1.0}, 1, {}, silent)
    private.add("s", zero, 1.0)
    assert private._num_within == 1


def test_sites_that_are_sampled_share_a_fixed_denominator():
    """Ten sites, four asked in a round: W is four average weights, whichever four."""
    weights = {f"s{i}": float(i + 1) for i in range(10)}
    assert expected_weight(weights, 4) == pytest.approx(4 * 5.5)
    one = {"a": torch.ones(1)}
    found, _ = mean(Central(clip=1.0, noise_multiplier=1.0), weights, {"s9": one, "s0": one}, 4, silent)
    assert found["a"].item() == pytest.approx(11 / 22)


@pytest.mark.parametrize(("length", "expected"), [(100.0, math.exp(0.1)), (0.0, math.exp(-0.1))])
def test_the_adaptive_bound_moves_the_right_way_and_is_state(length, expected):
    mechanism = CentralAdaptive(clip=1.0, noise_multiplier=1.0)
    shapes = [(5,)]
    sent = {f"s{i}": update(i, length, shapes) if length else {"t0": torch.zeros(5)} for i in range(4)}
    weights = dict.fromkeys(sent, 1.0)
    _, state = mean(mechanism, weights, sent, 4, silent)
    assert mechanism.bound({}) == 1.0
    assert mechanism.bound(state) == pytest.approx(expected)
    found, _ = mean(mechanism, weights, sent, 4, silent, state)
    assert norm(found) <= expected * (1 + 1e-6)


def test_the_share_within_is_of_those_asked_and_noised():
    """Nobody is clipped, but only one of four answers: b = 1/2 + (1/2) / 4, so that removing a site moves it by 1/8."""
    mechanism = CentralAdaptive(clip=1.0, noise_multiplier=1.0, rate=1.0)
    weights = {f"s{i}": 1.0 for i in range(4)}
    _, state = mean(mechanism, weights, {"s0": {"a": torch.zeros(2)}}, 4, silent)
    assert mechanism.bound(state) == pytest.approx(math.exp(-1 / 8))
    bounds = []
    for seed in range(800):
        normal = seeded_normal(seed, "b")
        _, state = mean(mechanism, weights, {"s0": {"a": torch.zeros(1)}}, 4, normal)
        bounds.append(math.log(mechanism.bound(state)))
    assert np.std(bounds) == pytest.approx(5.0 / 4, rel=0.1)  # rate x sigma_b / m


def test_adaptive_noise_on_the_mean_is_a_little_larger():
    mechanism = CentralAdaptive(clip=2.0, noise_multiplier=1.5, count_noise=1.0)
    sent = {"s": {"a": torch.zeros(40_000)}}
    noised, _ = mean(mechanism, {"s": 3.0, "t": 1.0}, sent, 2, seeded_normal(3, "n"))
    assert mechanism.sum_multiplier == pytest.approx(1.5 / math.sqrt(1 - 1 / 4))
    assert float(noised["a"].std()) == pytest.approx(mechanism.sum_multiplier * 2.0 * 3 / 4, rel=0.02)
    assert mechanism.release(1, 0.75).noise_multiplier == 1.5


@settings(max_examples=20)
@given(COHORTS)
def test_local_noise_is_what_is_claimed_and_buffers_are_not_told(cohort):
    change = update(cohort["seed"], 3.0 * cohort["clip"], cohort["shapes"])
    buffers = {"running_mean": torch.full((3,), 7.0), "num_batches_tracked": torch.tensor(9)}
    mechanism = Local(clip=cohort["clip"], noise_multiplier=cohort["multiplier"])
    given = change | buffers
    sent = mechanism.protect(given, change.keys(), seeded_normal(cohort["seed"], "noise"))
    query = mechanism.protect(given, change.keys(), silent)
    assert list(sent) == list(given)
    assert norm({name: query[name] for name in change}) == pytest.approx(cohort["clip"], rel=1e-5)
    draws = torch.cat([(sent[name] - query[name]).flatten() for name in change]).double()
    square = float((draws / (cohort["multiplier"] * cohort["clip"])).square().sum())
    low, high = chi2.ppf([1e-6, 1 - 1e-6], draws.numel())
    assert low < square < high
    for name, value in buffers.items():
        assert sent[name].dtype == value.dtype
        assert not sent[name].any(), "neither told nor noised"


def test_none_promises_nothing_and_changes_nothing():
    change = {"a": torch.ones(2), "count": torch.tensor(3)}
    assert Unprotected().protect(change, {"a"}, silent) is change
    assert Unprotected().release(1, 1.0) is None


@pytest.mark.parametrize("name", MECHANISMS)
def test_every_mechanism_keeps_one_of_the_four_contracts(name):
    given = {} if name == "none" else {"clip": 1.0, "noise_multiplier": 2.0}
    mechanism = MECHANISMS[name](**given)
    contracts = (ServerMechanism, SiteMechanism, SharedMechanism, TrainingMechanism)
    kinds = [kind for kind in contracts if isinstance(mechanism, kind)]
    assert len(kinds) == 1
    assert kinds == [TrainingMechanism] or isinstance(mechanism, Mechanism)
    assert mechanism.trusted
    if kinds == [TrainingMechanism]:
        release, unit = mechanism.steps_release(3, 0.5, 7), mechanism.unit
        assert (release.sampling_rate, release.steps) == (0.5, 7)
    else:
        release, unit = mechanism.release(3, 0.5), "site"
    assert (release is None) == (not getattr(mechanism, "protects", True))
    if release is not None:
        found = release.round, release.noise_multiplier, release.unit, release.relation
        assert found == (3, 2.0 * math.sqrt(getattr(mechanism, "honest", 1.0)), unit, "add_remove")
