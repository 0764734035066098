"""Noise that sites share under secure aggregation: on integers, in the sum, in whole runs.

Oracles: the exact probabilities of the discrete Gaussian, chi-square, bounds over neighbours, closed forms, the run
without noise, and each site adding all of the noise, or everyone's counted on, as foils.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Context, RecordDict
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from client.private import protected
from client.strategies.contract import Outcome
from medfed.config import Scenario, parse_scenario
from medfed.errors import QuorumError, ScenarioError
from medfed.messages import Request
from medfed.models.initial import initial_weights
from medfed.params import difference, flatten, load_weights, norm
from medfed.training.local import LocalResult
from medfed.types import Weights
from privacy.accountants.contract import Composition, Steps
from privacy.accountants.rdp import Rdp
from privacy.discrete_gaussian import discrete_gaussian
from privacy.ledger.store import Ledger
from privacy.mechanisms.distributed import Distributed
from privacy.noise import seeded_normal, system_normal
from privacy.release import Release, total_epsilon
from privacy.secure_aggregation import wire
from privacy.secure_aggregation.quantisation import encode, steps_of
from simulations.inputs import check_inputs
from simulations.run import simulate
from tests.privacy.secure_aggregation.test_runs import ON, sites, tiny  # noqa: F401 - sites is a fixture

SHARED = {"name": "distributed", "clip": 0.5, "noise_multiplier": 0.5}
UNIFORM = {"federation.strategy": {"name": "fedavg", "weighting": "uniform"}}
ZEROS: Weights = {"a": torch.zeros(4000), "n": torch.tensor(3)}


def silent(number: int) -> np.ndarray:
    return np.zeros(number)


@pytest.mark.parametrize("sigma", [0.4, 1.0, 3.7])
def test_integers_come_with_the_probabilities_of_a_gaussian(sigma):
    number, reach = 40_000, math.ceil(4 * sigma)
    draws = discrete_gaussian(number, sigma, seeded_normal(1, "d"))
    assert draws.dtype == np.int64
    values = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (np.arange(-200, 201) / sigma) ** 2)
    expected = number * np.exp(-0.5 * (values / sigma) ** 2) / weights.sum()
    counts = np.array([(draws == value).sum() for value in values])
    square = float(((counts - expected) ** 2 / expected).sum())
    assert square < chi2.ppf(1 - 1e-6, len(values))


def test_rounded_noise_alone_would_have_other_probabilities():
    """Foil: the variance of a rounded Gaussian is larger by about a twelfth."""
    sigma, number = 0.4, 40_000
    at_zero = 1.0 / np.exp(-0.5 * (np.arange(-20, 21) / sigma) ** 2).sum()
    normal = seeded_normal(2, "d")
    naive = float((np.rint(sigma * normal(number)) == 0).mean())
    ours = float((discrete_gaussian(number, sigma, normal) == 0).mean())
    assert abs(naive - at_zero) > 0.04 > 10 * abs(ours - at_zero)


@pytest.mark.parametrize("multiplier", [0.01, 1.0, 1e4])
def test_the_excess_of_a_sum_over_a_gaussian_is_none(multiplier):
    """Proposition 14 of Kairouz et al.: tau = 10 sum exp(-2 pi^2 sigma^2 k / (k + 1)), for up to 1000 sites."""
    mechanism = Distributed(clip=1.0, noise_multiplier=multiplier)
    sigma = multiplier * (1.0 / mechanism.step) / math.sqrt(1000)
    assert sigma >= 0.5
    assert 10.0 * sum(math.exp(-2 * math.pi**2 * sigma**2 * k / (k + 1)) for k in range(1, 1000)) == 0.0


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 300), st.floats(0.01, 100.0), st.floats(0.01, 50.0), st.integers(0, 2**32))
def test_no_site_moves_the_integers_by_more_than_the_sensitivity(length, clip, multiplier, seed):
    """Neighbours: the update is there, or zero; rounding may lengthen it by sqrt(d) / 2."""
    mechanism = Distributed(clip=clip, noise_multiplier=multiplier)
    change = {"a": 10.0 * clip * torch.randn(length, generator=torch.Generator().manual_seed(seed))}
    integers = mechanism.share(change, {"a"}, 5, silent)["a"].double().numpy() / mechanism.step
    assert np.abs(integers - np.rint(integers)).max() < 0.25, "float32 holds every multiple of a step"
    assert np.linalg.norm(np.rint(integers)) <= clip / mechanism.step * (1 + 1e-6) + math.sqrt(length) / 2


@pytest.mark.parametrize("bits", [32, 64])
def test_masking_neither_rounds_nor_cuts_what_was_noised(bits):
    mechanism = Distributed(clip=0.1, noise_multiplier=3.0)
    sent = mechanism.share({"a": torch.randn(1000)}, {"a"}, 3, seeded_normal(1, "n"))["a"].numpy()
    steps = steps_of(bits, 1e-9, (2**31 - 1) // 1000, mechanism.step)  # whatever the range of the scenario
    integers = encode(sent, 1, steps).view(np.int32 if bits == 32 else np.int64)
    assert integers[-1] == 0, "no value was cut, and none is told to be"
    assert np.array_equal(integers[:-2], np.rint(sent.astype(np.float64) / mechanism.step))


@pytest.mark.parametrize("num_sites", [4, 20])
def test_the_noise_of_the_sum_is_what_is_claimed_and_of_the_honest_no_less(num_sites):
    mechanism = Distributed(clip=0.3, noise_multiplier=2.0, honest=0.7)
    shares = [
        mechanism.share(ZEROS, {"a"}, num_sites, seeded_normal(seed, "share"))["a"].double()
        for seed in range(num_sites)
    ]

    def multiplier(noise: torch.Tensor) -> float:
        return float(noise.std()) / 0.3

    assert multiplier(sum(shares)) == pytest.approx(2.0, rel=0.05)
    honest = math.ceil(0.7 * num_sites)
    claimed = mechanism.release(1, 1.0).noise_multiplier
    assert claimed == pytest.approx(2.0 * math.sqrt(0.7))
    left = multiplier(sum(shares[:honest]))
    assert claimed * 0.95 < left < 2.0, "who counts on everyone's noise promises more than is there"
    foil = [seeded_normal(seed, "all")(4000) * 0.3 * 2.0 for seed in range(num_sites)]
    assert multiplier(torch.from_numpy(np.sum(foil, axis=0))) == pytest.approx(2.0 * math.sqrt(num_sites), rel=0.05)


def test_buffers_are_not_told_and_the_system_draws_too():
    found = Distributed(clip=1.0, noise_multiplier=1.0).share(ZEROS, {"a"}, 3, system_normal)
    assert list(found) == ["a", "n"]
    assert (found["n"].dtype, int(found["n"])) == (torch.int64, 0)
    assert float(found["a"].std()) == pytest.approx(1.0 / math.sqrt(3), rel=0.1)


def test_renyi_accounts_for_it_whoever_is_asked():
    """The bound is one of Renyi divergences; the tighter figure of a continuous Gaussian is not claimed."""
    releases = [Release("discrete_gaussian", 1.0, 4.0, 1.0, 1, "site", "add_remove", number) for number in range(1, 6)]
    expected = Rdp()(Composition((Steps(4.0, 1.0, 5),), replace=False), 1e-5)
    assert total_epsilon(releases, 1e-5) == pytest.approx(expected, rel=1e-12)
    continuous = [Release("gaussian", *tuple(vars(release).values())[1:]) for release in releases]
    assert total_epsilon(continuous, 1e-5) < expected


def private(**changes: Any) -> Scenario:
    return tiny(**({"privacy.mechanism": SHARED, "training.rounds": 1} | UNIFORM | ON | changes))


def test_a_run_has_the_noise_rows_and_statement_that_are_claimed(tmp_path: Path) -> None:
    """Three sites; beside it the same run with hardly any noise."""
    three = private(**{"data.partition.num_sites": 3})
    run = simulate(three, out=tmp_path / "noised")
    quiet = simulate(three.replace(**{"privacy.mechanism.noise_multiplier": 0.01}), out=tmp_path / "quiet")
    noised, query = (load_weights(each.folder / "model.safetensors") for each in (run, quiet))
    noise = flatten(difference(noised, query)).double()
    square = float((noise / (math.hypot(0.5, 0.01) * 0.5 / 3)).square().sum())  # z C / K
    low, high = chi2.ppf([1e-6, 1 - 1e-6], len(noise))
    assert low < square < high
    (entry,) = Ledger(run.folder / "sites" / "site-01", "site-01").entries()
    assert (entry.release.mechanism, entry.release.noise_multiplier) == ("discrete_gaussian", 0.5 * math.sqrt(0.6))
    epsilon = total_epsilon([entry.release], 1e-5)
    (line,) = run.rounds()
    assert line.epsilon == run.summary.privacy.guarantees[0].epsilon == epsilon
    assert line.cut_values == 0
    assert run.summary.privacy.covered.startswith("the sum of each round's updates")
    assert norm(difference(noised, query)) > 0.1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"federation.secure_aggregation": "none"},
            'expected federation.secure_aggregation = { name = "secagg_plus" }',
        ),
        ({"federation.strategy": {"name": "fedavg", "weighting": "examples"}}, "privacy.mechanism|weighting"),
        ({"privacy.mechanism": SHARED | {"honest": 1.0}, "data.partition.num_sites": 10}, "privacy.mechanism.honest"),
    ],
)
def test_what_would_not_be_private_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ScenarioError, match=said):
        check_inputs(private(**changes))


def test_the_sum_is_not_opened_where_too_little_noise_is_in_it(sites, tmp_path: Path) -> None:  # noqa: F811
    """All five are counted on, and one is gone: secure aggregation alone would let it go."""
    sites("site-02", wire.MASKED)
    with pytest.raises(QuorumError, match="4 sites delivered, expected 5 at least"):
        simulate(private(**{"privacy.mechanism": SHARED | {"honest": 1.0}}), out=tmp_path)


def test_it_survives_toml() -> None:
    assert parse_scenario(private().to_toml()) == private()


def test_a_simulation_s_share_is_of_the_seed_and_of_how_often_it_was_released(tmp_path: Path) -> None:
    """The same before each release, another after it, and the same for whoever repeats all of it."""
    scenario = private(**{"federation.sites": ("a", "b", "c")})
    request = Request(scenario, "run", 1, initial_weights(scenario))
    result = LocalResult(1, 1, 0.5)
    outcome = Outcome(result, {name: torch.zeros_like(value) for name, value in request.weights.items()})

    def shares(home: Path) -> list[torch.Tensor]:
        context, found = Context(1, 1, {"site": "a", "simulated": True, "home": str(home)}, RecordDict(), {}), []
        for number in range(3):
            found += [flatten(protected(outcome, request, context).change) for _ in range(2)]
            release = Release("discrete_gaussian", 0.5, 0.5, 1.0, 1, "site", "add_remove", 1)
            Ledger(home, "a").add("run", release, "m", f"u{number}", lambda before: None)
        return found

    one, other = shares(tmp_path / "one"), shares(tmp_path / "other")
    assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))
    assert all(torch.equal(one[number], one[number + 1]) for number in (0, 2, 4))
    assert not any(torch.equal(one[number], one[number + 1]) for number in (1, 3))
