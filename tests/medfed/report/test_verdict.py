"""Was federating worth it? Oracles: intervals compared by hand; no gain is claimed where they overlap."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medfed.report.comparison import Difference, compare, own_mean
from medfed.report.verdict import best_local, elsewhere_mean, own_site, verdict
from medfed.results import Estimate, MeanSummary


def of(value: float, low: float | None, high: float | None) -> Estimate:
    return Estimate(value=value, low=low, high=high, n=10, se=0.01)


@pytest.mark.parametrize(
    ("ours", "theirs", "metric", "expected"),
    [
        (of(0.9, 0.85, 0.95), of(0.7, 0.6, 0.8), "dice", Difference.BETTER),
        (of(0.7, 0.6, 0.8), of(0.9, 0.85, 0.95), "dice", Difference.WORSE),
        (of(0.9, 0.8, 0.95), of(0.7, 0.6, 0.8), "dice", Difference.UNCLEAR),
        (of(0.9, None, None), of(0.1, 0.0, 0.2), "dice", Difference.UNCLEAR),
        (of(0.1, 0.05, 0.15), of(0.4, 0.3, 0.5), "ece", Difference.BETTER),
        (None, of(0.4, 0.3, 0.5), "dice", Difference.UNKNOWN),
    ],
)
def test_compare_by_hand(ours: Any, theirs: Any, metric: str, expected: Difference):
    assert compare(ours, theirs, metric) is expected


@given(*[st.floats(0, 1, allow_nan=False)] * 4)
def test_compare_is_antisymmetric_and_silent_on_overlap(a: float, b: float, c: float, d: float):
    ours, theirs = of((a + b) / 2, min(a, b), max(a, b)), of((c + d) / 2, min(c, d), max(c, d))
    forth, back = compare(ours, theirs, "dice"), compare(theirs, ours, "dice")
    opposite = {Difference.BETTER: Difference.WORSE, Difference.WORSE: Difference.BETTER}
    assert back is opposite.get(forth, forth)
    overlap = max(min(a, b), min(c, d)) <= min(max(a, b), max(c, d))
    assert (forth is Difference.UNCLEAR) == overlap


def with_own(build: Any, federated: list[float], local: list[float], half: float) -> Any:
    summary = build.summary([f"s{k}" for k in range(len(federated))])
    sites = {
        name: site.model_copy(
            update={"federated": {"dice": build.estimate(f, half)}, "local": {"dice": build.estimate(o, half)}}
        )
        for (name, site), f, o in zip(summary.sites.items(), federated, local, strict=True)
    }
    return summary.model_copy(update={"sites": sites})


def test_own_site_counts_gains_losses_and_unclear(build: Any):
    summary = with_own(build, [0.9, 0.7, 0.8], [0.7, 0.9, 0.81], 0.02)
    assert list(own_site(summary).values()) == [Difference.BETTER, Difference.WORSE, Difference.UNCLEAR]
    found = verdict(summary)
    assert "1 of 3 sites clearly gains and 1 clearly loses" in found.answer
    assert "clearly better at 1 of 3 sites (s0)" in " ".join(found.sentences)


def test_no_gain_is_claimed_when_intervals_overlap(build: Any):
    summary = with_own(build, [0.82, 0.83], [0.80, 0.81], 0.2)
    found = verdict(summary)
    own = found.answer.split("On a site's own images")[1]
    assert "gain" not in own
    assert "better" not in own
    assert "no clear difference" in own


def test_a_mean_that_differs_is_said_even_if_no_site_does(build: Any):
    summary = with_own(
        build, [0.80 + k / 1000 for k in range(9)], [0.84] * 9, 0.03
    )  # sites overlap; means +- 0.03 / 3 do not
    assert set(own_site(summary).values()) == {Difference.UNCLEAR}
    assert own_mean(summary, "dice").difference is Difference.WORSE
    assert "worse on average" in verdict(summary).answer


def test_others_names_best_local_gap_and_cross_site_mean(build: Any):
    e = build.estimate
    cross = {"a": {"a": {"dice": e(0.9)}, "b": {"dice": e(0.2)}}, "b": {"a": {"dice": e(0.6)}, "b": {"dice": e(0.8)}}}
    summary = build.summary(["a", "b"], cross_site=cross, gap_closed={"dice": 0.87}, best_local_site={})
    name, mean = best_local(summary)
    assert (name, mean.value) == ("b", pytest.approx(0.7))  # (0.6 + 0.8) / 2 against (0.9 + 0.2) / 2
    assert elsewhere_mean(summary).value == pytest.approx(0.4)  # (0.2 + 0.6) / 2
    text = verdict(summary).sentences[0]
    assert "trained at b) 0.700" in text
    assert "87\N{NO-BREAK SPACE}% of the gap" in text
    assert "averages 0.400 on sites that it was not trained at" in text


def test_a_common_test_set_widens_the_mean(build: Any):
    summary = with_own(build, [0.8, 0.8], [0.7, 0.75], 0.02)
    summary = summary.model_copy(update={"shared_test": True})
    mean = own_mean(summary, "dice").federated
    assert mean.high - mean.value == pytest.approx(0.02, rel=1e-3)  # the same images twice teach nothing new
    assert "same images" in verdict(summary).sentences[0]


def test_left_out_sites_get_their_sentence(build: Any):
    summary = build.summary(["a", "b", "c"], left_out=["c"])
    assert "left out of training" in verdict(summary).sentences[-1]
    assert "at c" in verdict(summary).sentences[-1]


@pytest.mark.parametrize(
    "changes", [{"cross_site": {}}, {"gap_closed": {}}, {"gap_closed": {"dice": None}}, {"gap_closed": {"dice": -0.4}}]
)
def test_partial_summaries_still_get_an_answer(build: Any, changes: dict[str, Any]):
    assert verdict(build.summary(**changes)).sentences


def test_nothing_scored_says_so(build: Any):
    found = verdict(build.summary([], status="STOPPED", cross_site={}, mean=MeanSummary(), gap_closed={}))
    assert found.answer == "Not known."
    assert "stopped before" in found.sentences[0]
