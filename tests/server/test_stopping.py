"""Early stopping. Oracle: by hand."""

import pytest
import torch

from medfed.config import parse_scenario
from medfed.results import RoundResult, SiteRound
from server.stopping import best_round, is_over, kept_weights, mean_validation, notes, stale_evaluations

SCENARIO = parse_scenario("""
    name = "stopping"
    model = "small_cnn"
    task = { kind = "classification", classes = ["a", "b"] }
    data = { image_size = 28 }
    training = { rounds = 9, local_steps = 1, batch_size = 1, loss = "cross_entropy" }
    evaluation = { headline = "accuracy", keep = "best", patience = 2 }
""")


def rounds(*scores: float | None) -> list[RoundResult]:
    """One round per score; two sites whose validation metric is a little above and below it; None: not evaluated."""
    return [
        RoundResult(
            round=number,
            seconds=1.0,
            bytes_up=0,
            bytes_down=0,
            sites={
                site: SiteRound(val={} if score is None else {"accuracy": score + shift})
                for site, shift in (("a", 0.1), ("b", -0.1))
            },
        )
        for number, score in enumerate(scores, start=1)
    ]


def test_the_mean_is_over_sites_that_have_the_metric() -> None:
    assert mean_validation(rounds(0.5)[0], "accuracy") == pytest.approx(0.5)
    assert mean_validation(rounds(None)[0], "accuracy") is None


@pytest.mark.parametrize(
    ("scores", "best", "stale"),
    [
        ((), None, 0),
        ((None, None), None, 0),
        ((0.3, 0.5, 0.4), 2, 1),
        ((0.5, None, 0.5, None, 0.4), 1, 2),  # the first of equals; rounds without evaluation do not count
        ((0.1, 0.2, 0.3), 3, 0),
    ],
)
def test_best_round_and_patience(scores, best, stale) -> None:
    assert best_round(SCENARIO, rounds(*scores)) == best
    assert stale_evaluations(SCENARIO, rounds(*scores)) == stale


def by_site(*scores: dict[str, float], metric: str = "accuracy") -> list[RoundResult]:
    """One round per dict of site -> validation metric; a site that failed is not in it."""
    return [
        RoundResult(
            round=number,
            seconds=1.0,
            bytes_up=0,
            bytes_down=0,
            sites={site: SiteRound(val={metric: value}) for site, value in sorted(found.items())},
        )
        for number, found in enumerate(scores, start=1)
    ]


@pytest.mark.parametrize(
    ("scores", "best", "stale"),
    [
        # the easy site alone has the higher mean (0.9 against 0.7), but got worse
        (({"easy": 0.92, "hard": 0.48}, {"easy": 0.9}), 1, 1),
        # the hard site alone has the lower mean (0.5 against 0.7), but got better
        (({"easy": 0.92, "hard": 0.48}, {"hard": 0.5}), 2, 0),
        # no site in common says nothing: neither better nor a step towards the end
        (({"easy": 0.92}, {"hard": 0.99}, {"easy": 0.9, "hard": 0.99}), 1, 1),
        # equal over common sites: the first stays
        (({"easy": 0.9, "hard": 0.5}, {"easy": 0.9}, {"easy": 0.9, "hard": 0.5}), 1, 2),
    ],
)
def test_rounds_are_compared_over_the_sites_that_both_have(scores, best, stale) -> None:
    assert best_round(SCENARIO, by_site(*scores)) == best
    assert stale_evaluations(SCENARIO, by_site(*scores)) == stale


@pytest.mark.parametrize(
    ("scores", "best", "stale"),
    [
        # one site alone, then gone: its round must not stay the best for ever
        (({"a": 0.9}, {"b": 0.6, "c": 0.6}, {"b": 0.7, "c": 0.8}), 3, 0),
        # nor may one site of three make its round the best by a hair
        (({"a": 0.6, "b": 0.6, "c": 0.6}, {"a": 0.61}, {"a": 0.6, "b": 0.9, "c": 0.9}), 3, 0),
        (({"a": 0.6, "b": 0.6, "c": 0.6}, {"a": 0.5}, {"a": 0.5, "b": 0.6}), 1, 1),
    ],
)
def test_a_comparison_needs_a_quorum_of_sites(scores, best, stale) -> None:
    scenario = SCENARIO.replace(**{"federation.sites": ("a", "b", "c"), "federation.quorum": 0.5})
    assert best_round(scenario, by_site(*scores)) == best
    assert stale_evaluations(scenario, by_site(*scores)) == stale


def test_whether_a_round_is_the_best_so_far_depends_on_no_later_one() -> None:
    """Only the weights of the best round so far are kept. Law: over prefixes, the best changes only to the last."""
    found = by_site({"a": 0.5, "b": 0.5}, {"a": 0.6}, {"b": 0.9}, {"a": 0.55, "b": 0.95}, {"a": 0.7, "b": 0.1})
    best = [best_round(SCENARIO, found[:count]) for count in range(1, len(found) + 1)]
    assert best == [1, 2, 2, 2, 5]


def test_the_summary_says_that_rounds_were_compared_over_fewer_sites() -> None:
    whole = by_site({"a": 0.5, "b": 0.4}, {"a": 0.6, "b": 0.4}, metric="accuracy")
    assert notes(SCENARIO, whole) == ["the model is that of round 2, the best by validation accuracy (evaluation.keep)"]
    missing = by_site({"a": 0.5, "b": 0.4}, {"a": 0.6}, {"b": 0.3}, {"a": 0.6, "b": 0.3}, metric="accuracy")
    assert not is_over(SCENARIO, missing)
    (_, said) = notes(SCENARIO, missing)
    assert said.startswith("validation accuracy is missing at some sites in round 2, 3: two rounds are compared over")


def test_an_average_over_the_rounds_by_hand() -> None:
    """d = 3/12, 4/13, ... in the first rounds, then 0.4; a count is that of the last round."""
    scenario = SCENARIO.replace(**{"evaluation": {"keep": "average", "decay": 0.4}})
    kept: dict[str, torch.Tensor] = {}
    expected = 0.0
    for done in range(1, 7):
        weights = {"a": torch.tensor([float(done)]), "n": torch.tensor(done)}
        kept = kept_weights(scenario, kept, weights, rounds(*[None] * done))
        decay = 0.0 if done == 1 else min(0.4, (1 + done) / (10 + done))
        expected = (1 - decay) * done + decay * expected
        assert float(kept["a"]) == pytest.approx(expected, rel=1e-6)
        assert int(kept["n"]) == done
    assert 5.0 < expected < 6.0
    assert notes(scenario, rounds(0.5)) == [
        "the model is an average over the rounds, whose validation is each round's own (evaluation.keep)"
    ]


def test_the_last_and_the_best_round_are_kept_as_they_are() -> None:
    before, weights = {"a": torch.zeros(1)}, {"a": torch.ones(1)}
    last = SCENARIO.replace(**{"evaluation": {"keep": "last"}})
    assert kept_weights(last, {}, weights, rounds(0.5)) == {}
    assert kept_weights(SCENARIO, before, weights, rounds(0.5, 0.6)) is weights
    assert kept_weights(SCENARIO, before, weights, rounds(0.6, 0.5)) is before
