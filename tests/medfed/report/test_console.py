"""The closing table. Oracle: by hand, on the text that rich prints."""

from typing import Any

from rich.console import Console

from medfed.report.console import caption, summary_table
from medfed.results import MeanSummary, Summary


def printed(summary: Summary, width: int = 140) -> str:
    console = Console(width=width, record=True, force_terminal=False)
    with console.capture() as capture:
        console.print(summary_table(summary))
    return capture.get()


def test_rows_mean_and_gap(build: Any):
    text = printed(build.summary())
    first = next(line for line in text.splitlines() if "fluo_256" in line)
    assert "0.861" in first
    assert "no clear" in first  # its second line is below
    assert "0.831\N{EN DASH}0.891" in text
    assert "Mean over sites" in text
    assert "gap closed: 87" in text
    assert max(map(len, printed(build.summary(), 80).splitlines())) <= 80
    assert "histo_purple_bg" in printed(build.summary(), 80)


def test_names_are_shown_literally(build: Any):
    summary = build.summary(
        ["[red]a[/red]", "[/nonsense]", "x" * 10_000], best_local_site={"dice": "[/b]"}, left_out=["[/nonsense]"]
    )
    text = printed(summary, 160)
    assert "[red]a[/red]" in text
    assert "[/nonsense] (left out)" in text
    assert "[/b]" in text


def test_an_empty_run(build: Any):
    summary = build.summary(
        [], status="STOPPED", rounds=0, cross_site={}, mean=MeanSummary(), gap_closed={}, best_local_site={}
    )
    assert "gap closed: not known" in caption(summary)
    assert "STOPPED" in printed(summary)


def test_no_gap_has_a_reason_that_is_true(build: Any):
    none, summary = {"dice": None}, build.summary()
    assert "none to close" in caption(build.summary(gap_closed=none))
    undefined = summary.mean.model_copy(update={"pooled": {"dice": build.estimate(None)}})
    said = caption(build.summary(gap_closed=none, mean=undefined))
    assert "not known, as Dice is undefined for one of the models" in said
    assert "none to close" not in said
