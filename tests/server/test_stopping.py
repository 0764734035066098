"""Early stopping. Oracle: by hand."""

import pytest

from medfed.results import RoundResult, SiteRound
from server.stopping import best_round, mean_validation, stale_evaluations


def rounds(*scores: float | None) -> list[RoundResult]:
    """One round per score; two sites whose validation metric is a little above and below it; None: not evaluated."""
    return [
        RoundResult(
            round=number,
            seconds=1.0,
            bytes_up=0,
            bytes_down=0,
            sites={
                site: SiteRound(val={} if score is None else {"dice": score + shift})
                for site, shift in (("a", 0.1), ("b", -0.1))
            },
        )
        for number, score in enumerate(scores, start=1)
    ]


def test_the_mean_is_over_sites_that_have_the_metric() -> None:
    assert mean_validation(rounds(0.5)[0], "dice") == pytest.approx(0.5)
    assert mean_validation(rounds(None)[0], "dice") is None


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
    assert best_round(rounds(*scores), "dice") == best
    assert stale_evaluations(rounds(*scores), "dice") == stale
