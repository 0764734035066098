"""How far malicious sites move what the server makes of a round. Oracle: closed forms of the mean."""

from pathlib import Path

import pytest
import torch

from medfed.report.load import RunData
from medfed.results import RoundResult, SiteRound
from robustness.detection.contract import Round
from robustness.poisoning_harm import steps_kept
from robustness.poisoning_rounds import PLANTED, with_planted
from tests.robustness.poisoned_run import BAD, SITES, context_of, scenario_of, summary


def test_the_planted_site_sends_the_opposite_and_the_malicious_are_gone() -> None:
    updates = torch.arange(6.0).reshape(3, 2)
    (found,) = with_planted([Round(1, ("a", "b", "c"), updates), Round(2, ("a",), updates[:1])], "b", ("a",))
    assert found.sites == ("b", "c", PLANTED)
    torch.testing.assert_close(found.updates, torch.stack([updates[1], updates[2], -5 * updates[1]]))


@pytest.mark.parametrize(
    ("rule", "used"),
    [
        ('"mean"', (-0.2, 0.0)),
        ('{ name = "norm_clipped_mean", max_norm = 5.0 }', (0.6, 0.0)),
        ('"median"', (1.0, 0.0)),
        ('{ name = "krum", num_byzantine = 4 }', (1.0, 0.0)),
    ],
    ids=str,
)
def test_the_step_that_is_left_is_that_of_the_closed_form(tmp_path: Path, rule: str, used: tuple[float, float]) -> None:
    """16 sites send h, whose length is 5, and 4 send -5 h: their mean is -0.2 h; cut to that length, it is 0.6 h."""
    honest = torch.tensor([3.0, 4.0])
    rows = torch.stack([-5 * honest if site in BAD else honest for site in SITES])
    context = context_of(tmp_path, scenario_of('{ name = "sign_flip" }', rule))
    plain, found = steps_kept(context, Round(1, SITES, rows))
    assert plain == pytest.approx((-0.2, 0.0))
    assert found == pytest.approx(used)


@pytest.mark.parametrize("rule", ['"mean"', '{ name = "norm_clipped_mean", max_norm = 10.0 }'])
def test_a_server_that_clips_for_privacy_is_told_of(tmp_path: Path, rule: str) -> None:
    """As above with the bound 5: -5 h is cut to -h, whatever longer bound came first; 12 of 20 parts of h are left."""
    honest = torch.tensor([3.0, 4.0])
    rows = torch.stack([-5 * honest if site in BAD else honest for site in SITES])
    mechanism = {"name": "central", "clip": 5.0, "noise_multiplier": 1.0}
    scenario = scenario_of('{ name = "sign_flip" }', rule).replace(**{"privacy.mechanism": mechanism})
    plain, found = steps_kept(context_of(tmp_path, scenario), Round(1, SITES, rows))
    assert plain == pytest.approx((-0.2, 0.0))
    assert found == pytest.approx((0.6, 0.0))


def test_claimed_counts_weigh_in_the_plain_mean_and_not_in_a_robust_rule(tmp_path: Path) -> None:
    """4 sites claim 1000 images each and send -h, 16 have 10: (160 - 4000) / 4160."""
    honest = torch.tensor([3.0, 4.0])
    rows = torch.stack([-honest if site in BAD else honest for site in SITES])
    sites = {site: SiteRound(num_examples=1000 if site in BAD else 10, num_steps=1) for site in SITES}
    line = RoundResult(round=1, seconds=1, bytes_up=0, bytes_down=0, sites=sites)
    scenario = scenario_of('{ name = "oversized_count" }', '"median"')
    context = context_of(tmp_path, scenario, run=RunData(tmp_path, summary(), [line]))
    plain, used = steps_kept(context, Round(1, SITES, rows))
    assert plain == pytest.approx((-3840 / 4160, 0.0), abs=1e-3)
    assert used == pytest.approx((1.0, 0.0))
