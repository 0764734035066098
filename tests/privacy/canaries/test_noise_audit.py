"""The noise audit, on responses and on the code of the mechanisms. Oracles: planted faults, the claim, closed form.

Planted: noise of half the deviation, and a site that counts for twice what the sensitivity allows, as a mean weighted
by images counts one that holds most of them. Each is to be found in 95 of 100 trials with 50 canaries, and a true claim
to be doubted in 5 at most, whatever the noise multiplier.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import norm

from medfed.types import Weights
from privacy.canaries.evidence import canary_evidence
from privacy.canaries.noise_audit import (
    FALSE_ALARMS,
    MISSED,
    MOST_RESPONSES,
    audit_noise,
    released_for_audit,
    responses_needed,
)
from privacy.canaries.release import release_canaries
from privacy.mechanisms.central import Central
from privacy.mechanisms.central_adaptive import CentralAdaptive
from privacy.mechanisms.contract import ClippedSum
from privacy.mechanisms.distributed import Distributed
from privacy.mechanisms.dp_sgd import DPSGD
from privacy.mechanisms.local import Local
from privacy.mechanisms.unprotected import Unprotected
from privacy.noise import Normal

TRIALS = 100
CANARIES = 50
EVERYONE = np.ones(CANARIES, dtype=bool)
MECHANISMS = [
    pytest.param(cls(clip=0.3, noise_multiplier=1.0), id=cls.__name__)
    for cls in (Central, CentralAdaptive, Local, DPSGD)
]
SHARED = Distributed(clip=0.3, noise_multiplier=1.0, honest=0.5)


class Heavy(Central):
    """A mean in which every canary counts twice, with noise for one that counts once."""

    def noisy_mean(self, clipped: ClippedSum, state: Weights, normal: Normal) -> tuple[Weights, Weights]:
        """Twice the total."""
        doubled = {name: 2.0 * value for name, value in clipped.total.items()}
        return super().noisy_mean(replace(clipped, total=doubled), state, normal)


class HeavyStep(DPSGD):
    """A step in which every canary counts twice."""

    def noisy_gradient(self, total: Weights, expected: float, normal: Normal) -> Weights:
        """Twice the total."""
        return super().noisy_gradient({name: 2.0 * value for name, value in total.items()}, expected, normal)


class Unclipped(Local):
    """A site that forgets to clip."""

    def protect(self, change: Weights, trained: set[str], normal: Normal) -> Weights:
        """Noise only, of the same deviation."""
        added = super().protect({name: torch.zeros_like(value) for name, value in change.items()}, trained, normal)
        return {name: value + change[name] for name, value in added.items()}


def _doubts(mechanism: object, claimed: float) -> int:
    """In how many trials the claim is doubted."""
    draws = np.random.default_rng(0)
    released = (released_for_audit(mechanism, CANARIES, draws.standard_normal).responses for _ in range(TRIALS))
    return sum(not audit_noise(found, claimed).holds for found in released)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_true_claim_is_hardly_ever_doubted(mechanism):
    assert _doubts(mechanism, 1.0) <= 5


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_noise_of_half_the_deviation_is_found(mechanism):
    assert _doubts(mechanism, 2.0) >= 95


def test_noise_that_sites_share_is_that_of_the_honest_alone():
    """Half of the sites are counted on. The claim holds, and that of all sites together would be found out."""
    draws = np.random.default_rng(0)
    found = [release_canaries(SHARED, EVERYONE, draws.standard_normal) for _ in range(20)]
    assert found[0].noise_multiplier == pytest.approx(0.5**0.5)
    assert sum(not audit_noise(each.responses, each.noise_multiplier).holds for each in found) <= 2
    assert sum(not audit_noise(each.responses, 1.0).holds for each in found) >= 10


@pytest.mark.parametrize(
    ("heavy", "honest", "noise"),
    [
        (Heavy, Central, 1.0),
        (Heavy, Central, 2.0),
        (HeavyStep, DPSGD, 0.5),
        (HeavyStep, DPSGD, 4.0),
    ],
)
def test_what_counts_twice_is_found_under_any_noise_and_what_counts_once_is_not_accused(heavy, honest, noise):
    assert _doubts(heavy(clip=0.3, noise_multiplier=noise), noise) >= 95
    assert _doubts(honest(clip=0.3, noise_multiplier=noise), noise) <= 5


@pytest.mark.parametrize("noise", [0.5, 1.0, 2.0, 4.0, 16.0])
def test_no_fewer_responses_would_find_a_doubled_weight_so_surely(noise):
    """The power of the Gaussian test of a mean, in closed form."""
    number, least = responses_needed(noise), norm.isf(FALSE_ALARMS / 2)
    power = [norm.cdf(np.sqrt(n) / noise - least) for n in (number - 1, number)]
    assert power[0] < 1 - MISSED <= power[1]
    assert responses_needed(1e3) == MOST_RESPONSES


def test_responses_of_more_than_one_release_are_independent():
    """A release whose noise came again would have the same numbers."""
    found = released_for_audit(
        Central(clip=0.3, noise_multiplier=4.0), CANARIES, np.random.default_rng(5).standard_normal
    )
    assert found.noise_multiplier == 4.0
    assert len(found.responses) == 8 * CANARIES  # (4 (2.576 + 2.326))^2 = 384.5
    assert len(np.unique(found.responses)) == len(found.responses)


def test_a_site_that_does_not_clip_is_found():
    assert _doubts(Unclipped(clip=0.3, noise_multiplier=1.0), 1.0) == TRIALS


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_responses_are_those_of_the_claim(mechanism):
    """N(1, z^2) of a canary that is included, N(0, z^2) of others."""
    included = np.arange(1000) < 500
    draws = np.random.default_rng(1)
    found, multiplier = release_canaries(mechanism, included, draws.standard_normal)
    assert multiplier == 1.0
    assert found[included].mean() == pytest.approx(1.0, abs=0.2)
    assert found[~included].mean() == pytest.approx(0.0, abs=0.2)
    assert found.std(where=included) == pytest.approx(1.0, abs=0.12)


def test_false_alarms_come_as_often_as_asked_for():
    draws = np.random.default_rng(2)
    alarms = [audit_noise(1 + draws.standard_normal(50), 1.0, false_alarms=0.2).holds for _ in range(2000)]
    assert np.mean(alarms) == pytest.approx(0.81, abs=0.03)  # (1 - 0.1)^2: mean and variance are independent


def test_evidence_shows_the_claim_beside_both_bounds_and_says_what_cannot_be_refuted():
    evidence = canary_evidence(Central(clip=1.0, noise_multiplier=0.6), 1e-5, 1000, np.random.default_rng(3))
    assert all(check.holds for check in evidence.checks)
    claim, shown, fitted, low = (row[1] for row in evidence.table.rows)
    assert claim == pytest.approx(8.0, abs=0.01)
    assert shown < low < claim
    assert fitted == pytest.approx(claim, rel=0.15)
    assert "cannot refute" in evidence.table.rows[1][2]
    heavy = canary_evidence(Heavy(clip=1.0, noise_multiplier=1.0), 1e-5, 1000, np.random.default_rng(3))
    assert [check.holds for check in heavy.checks] == [True, False]


def test_what_protects_nothing_has_no_claim():
    with pytest.raises(ValueError, match="no claim"):
        release_canaries(Unprotected(), EVERYONE, np.random.default_rng(0).standard_normal)
