"""Who is named. Oracles: the normal distribution, false alarms counted on honest draws, colluders made by hand."""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import pytest
import torch

from robustness.byzantine.alie import ALIE
from robustness.byzantine.contract import View
from robustness.byzantine.ipm import IPM
from robustness.byzantine.min_max import MinMax
from robustness.detection import DETECTORS
from robustness.detection.contract import Detector, Round
from robustness.detection.cosine import Cosine
from robustness.detection.distance import Distance
from robustness.detection.outliers import over_rounds, robust_scores, threshold
from robustness.detection.validation import ServerValidation

NUM_SITES, NUM_VALUES, NUM_ROUNDS = 20, 200, 4
MALICIOUS = ("s00", "s07", "s13", "s19")


def honest_updates(seed: int, num_sites: int = NUM_SITES) -> torch.Tensor:
    """A common direction, and noise of each site's own."""
    draws = torch.Generator().manual_seed(seed)
    return 0.1 + 0.3 * torch.randn(num_sites, NUM_VALUES, generator=draws)


def loss(change: torch.Tensor) -> float:
    """A bowl whose lowest point lies where the honest sites are going."""
    return float((change - 0.1).square().mean())


def rounds_with(behaviour=None, seed: int = 0) -> list[Round]:
    names = tuple(f"s{number:02d}" for number in range(NUM_SITES))
    found = []
    for number in range(1, NUM_ROUNDS + 1):
        updates = honest_updates(1000 * seed + number)
        if behaviour is not None:
            rows = [names.index(site) for site in MALICIOUS]
            known = updates[rows].clone()
            for row, own in zip(rows, known, strict=True):
                view = View(own, known, NUM_SITES, len(rows), number)
                updates[row] = behaviour(view, np.random.default_rng([number, row]))
        found.append(Round(number, names, updates, loss))
    return found


@pytest.mark.parametrize("name", DETECTORS)
def test_keeps_the_protocol_and_does_not_depend_on_the_order_of_sites(name: str) -> None:
    detector = DETECTORS[name]()
    assert isinstance(detector, Detector)
    rounds = rounds_with(IPM(scale=1.0))
    order = torch.randperm(NUM_SITES, generator=torch.Generator().manual_seed(1)).tolist()
    moved = [Round(r.number, tuple(r.sites[i] for i in order), r.updates[order], r.loss) for r in rounds]
    one, other = detector(rounds), detector(moved)
    assert one.suspects == other.suspects
    assert one.scores == pytest.approx(dict(other.scores), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", DETECTORS)
def test_no_round_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="round"):
        DETECTORS[name]()([])


def alarms(detector: Detector, runs: Sequence[int]) -> float:
    return sum(len(detector(rounds_with(seed=run)).suspects) for run in runs) / (len(runs) * NUM_SITES)


@pytest.mark.parametrize("detector", [Distance(false_alarms=0.05), Cosine(false_alarms=0.05)])
def test_honest_sites_are_suspected_at_about_the_stated_rate(detector: Detector) -> None:
    """Of 1,200 honest sites 5 % are 60; four standard deviations of the binomial are 30, sites of a run not counted
    as independent."""
    assert 0.01 < alarms(detector, range(60)) < 0.09


def test_validation_suspects_honest_sites_at_about_the_stated_rate() -> None:
    assert 0.01 < alarms(ServerValidation(false_alarms=0.05), range(60)) < 0.09


@pytest.mark.parametrize("behaviour", [ALIE(), MinMax(), IPM(scale=0.5)])
def test_colluders_who_send_one_vector_are_named_by_their_angle_and_nobody_else_is(behaviour) -> None:
    assert Cosine()(rounds_with(behaviour)).suspects == MALICIOUS


def test_who_sends_too_much_or_hides_in_the_middle_is_named_by_the_distance() -> None:
    for behaviour in (lambda view, draws: 10.0 * view.own, lambda view, draws: view.known.mean(dim=0)):
        assert Distance()(rounds_with(behaviour)).suspects == MALICIOUS


def test_who_turns_around_is_named_by_the_angle_and_by_the_servers_images() -> None:
    turned = rounds_with(lambda view, draws: -view.own)
    assert Cosine()(turned).suspects == MALICIOUS
    assert ServerValidation()(turned).suspects == MALICIOUS


def test_an_update_that_makes_the_loss_infinite_is_named() -> None:
    rounds = rounds_with(lambda view, draws: torch.full_like(view.own, 1e30))
    finding = ServerValidation()(rounds)
    assert finding.suspects == MALICIOUS
    assert all(finding.scores[site] == np.inf for site in MALICIOUS)


def test_validation_without_images_is_refused() -> None:
    blind = [Round(1, r.sites, r.updates) for r in rounds_with()]
    with pytest.raises(ValueError, match="round 1: the server has no images"):
        ServerValidation()(blind)


def test_a_site_that_sat_a_round_out_keeps_its_score_of_the_others() -> None:
    values = [{"a": 1.0, "b": 2.0, "c": 6.0}, {"a": 10.0, "b": 20.0}]
    assert over_rounds(values) == {"a": (-1.0 - 5.0) / 2, "b": (0.0 + 5.0) / 2, "c": 4.0}


def test_robust_scores_by_hand() -> None:
    """Median 3, absolute deviations 2, 1, 0, 1, 97: their median is 1."""
    scores = robust_scores(np.array([1.0, 2.0, 3.0, 4.0, 100.0]))
    np.testing.assert_allclose(scores, np.array([-2.0, -1.0, 0.0, 1.0, 97.0]) / 1.4826)
    assert robust_scores(np.array([5.0, 5.0, 5.0, 6.0])).tolist() == [0.0, 0.0, 0.0, np.inf]


def test_the_threshold_tends_to_the_normal_quantile_and_is_larger_for_few_sites() -> None:
    assert threshold(4000, 0.01) == pytest.approx(NormalDist().inv_cdf(0.99), rel=0.02)
    assert threshold(10, 0.01) > threshold(20, 0.01) > threshold(100, 0.01)
    assert threshold(20, 0.005) > threshold(20, 0.01)
