"""The time budget of an audit. Oracles: sums by hand, and the plan that has no budget."""

import shlex
from itertools import pairwise
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

import pytest

from medfed.audit.budget import fit, parse_budget
from medfed.audit.contract import AuditContext
from medfed.audit.costs import Cost, num_tests, pass_seconds, training_passes
from medfed.audit.opening import open_run
from medfed.audit.plan import as_command, make_plan
from medfed.audit.results import Finding, SectionResult, census
from medfed.audit.run import audit
from medfed.cli import COMMANDS, run
from medfed.errors import ScenarioError
from medfed.registry import plugin
from tests.medfed.report.html_page import Page

HERE = f"{__name__}:SECTIONS"


@plugin
class Counting:
    """Costs a second per image."""

    title: ClassVar[str] = "Counting"
    images: int = 100
    threshold: float = 0.5
    idle: int = 7

    def __call__(self, context: AuditContext) -> SectionResult:
        finding = Finding(what="images", estimate=census(1, 1), threshold=self.threshold, kind="census")
        return SectionResult(tried=f"{self.images} images", findings=(finding,))


@plugin
class Fixed:
    """Costs ten seconds."""

    title: ClassVar[str] = "Fixed"

    def __call__(self, context: AuditContext) -> SectionResult:
        return SectionResult()


@plugin
class Unknown:
    """Says nothing of its cost."""

    title: ClassVar[str] = "Unknown"

    def __call__(self, context: AuditContext) -> SectionResult:
        return SectionResult()


SECTIONS = {"counting": Counting, "fixed": Fixed, "unknown": Unknown}
COSTS = {
    "counting": Cost(lambda section, context: float(section.images), ({"images": 40}, {"images": 5, "idle": 1})),
    "fixed": Cost(lambda section, context: 10.0),
}


@pytest.fixture
def context(small_run: Path, monkeypatch: pytest.MonkeyPatch) -> AuditContext:
    from medfed.audit import tables

    monkeypatch.setattr(tables, "TABLES", (HERE,))
    return open_run(small_run, None, lambda what, done: None)[0]


def _fitted(context: AuditContext, budget: float | None, overrides=(), asked=()) -> dict[str, object]:
    plan = fit(make_plan((), overrides), context, budget, overrides, asked)
    return {each.name: each.reason or each.section for each in plan}


def test_without_a_budget_everything_runs_as_it_is(context: AuditContext):
    assert _fitted(context, None) == {"counting": Counting(), "fixed": Fixed(), "unknown": Unknown()}


@pytest.mark.parametrize(("budget", "images"), [(110.0, 100), (109.0, 40), (50.0, 40), (49.0, 5), (15.0, 5)])
def test_a_section_does_less_until_the_sum_fits(context: AuditContext, budget: float, images: int):
    found = _fitted(context, budget)
    assert found["counting"] == Counting(images=images)
    assert found["fixed"] == Fixed()


def test_the_dearest_is_left_out_where_nothing_else_helps(context: AuditContext):
    found = _fitted(context, 14.0)
    assert found["counting"] == Counting(images=5)
    assert found["fixed"] == "not within the budget of 14 s: at its cheapest it takes about 10 s"
    assert "budget" in _fitted(context, 4.0)["counting"]


def test_what_the_user_set_is_not_touched(context: AuditContext):
    found = _fitted(context, 50.0, ("counting.images=90",))
    assert found["counting"].startswith("not within the budget")
    assert _fitted(context, 50.0, ("counting.threshold=0.9",))["counting"] == Counting(images=40, threshold=0.9)


def test_a_section_without_a_cost_runs_only_where_it_is_asked_for(context: AuditContext):
    assert "it states no cost" in _fitted(context, 1000.0)["unknown"]
    assert _fitted(context, 1000.0, asked=("unknown",))["unknown"] == Unknown()


def test_the_plan_does_not_depend_on_what_was_kept(small_run: Path, context: AuditContext):
    plans = []
    for _ in range(2):
        audit(small_run, budget=49.0, on_plan=lambda plan, kept: plans.append((plan, kept)))
    assert plans[0][0] == plans[1][0]
    assert [sorted(kept) for _, kept in plans] == [[], ["counting"]]  # the other came to no verdict


def test_the_report_says_why_a_section_is_missing_and_how_to_repeat_it(small_run: Path, context: AuditContext):
    report = audit(small_run, budget=14.0).report
    assert {part.name: part.reason for part in report.missing}["fixed"].startswith("not within the budget of 14 s")
    assert report.command == "medfed audit small --seed 3 --budget 14s"
    cut = report.budget.reduced[0]
    assert (report.budget.seconds, report.budget.planned_seconds) == (14.0, 5.0)
    assert (cut.section, cut.setting, cut.used, cut.full) == ("counting", "images", 5, 100)
    again = audit(small_run, sections=("counting",), overrides=("counting.images=5",), budget=None).report
    assert again.command == "medfed audit small --seed 3 --budget none --sections counting --set counting.images=5"
    assert again.sections == report.sections
    assert again.budget.reduced == ()


def test_what_a_report_is_about_is_never_left_out(small_run: Path):
    context = open_run(small_run, None, lambda what, done: None)[0]
    planned = {each.name: each for each in fit(make_plan(("identity", "performance")), context, 1e-9)}
    assert [name for name, each in planned.items() if each.section is not None] == ["identity"]
    assert planned["identity"].seconds > 1e-9
    assert planned["identity"].reduced == ()


def test_what_the_budget_left_out_is_not_tested_for_a_ci_server(small_run: Path, context: AuditContext, capsys):
    folder = audit(small_run, budget=14.0).folder
    suites = {suite.get("name"): suite for suite in ElementTree.parse(folder / "junit.xml").getroot()}
    assert set(suites) == {"counting", "fixed", "unknown"}  # and none that is not part of this version
    assert [suites["fixed"].get(key) for key in ("tests", "failures", "errors", "skipped")] == ["1", "0", "0", "1"]
    skipped = suites["fixed"].find("testcase/skipped")
    assert skipped.get("type") == "NOT_TESTED"
    assert skipped.get("message").startswith("not within the budget of 14 s")
    audits = ["audit", str(small_run), "--no-pdf", "--fail-on", "NOT_TESTED"]
    assert run([*audits, "--budget", "14s"], COMMANDS) == 1
    assert run([*audits, "--sections", "counting"], COMMANDS) == 0  # nobody asked for the others
    capsys.readouterr()


def test_a_section_that_was_asked_for_is_made_cheaper_and_never_left_out(context: AuditContext):
    asked = ("counting", "fixed")
    found = {each.name: each.section for each in fit(make_plan(asked), context, 4.0, (), asked)}
    assert found == {"counting": Counting(images=5), "fixed": Fixed()}
    assert "fixed" not in {each.name for each in fit(make_plan(asked), context, 6.0, (), ("counting",)) if each.section}


def test_the_page_says_what_the_budget_cost(small_run: Path, context: AuditContext):
    folder = audit(small_run, budget=14.0).folder
    text = Page(folder / "report.html").text
    assert "planned for 14 s" in text
    assert "images = 5 (100 without the budget)" in text


def test_whoever_says_nothing_gets_ten_minutes(small_run: Path, context: AuditContext):
    assert audit(small_run).report.budget.seconds == 600.0


def test_the_command_takes_values_as_the_command_line_does():
    overrides = ("adversarial.curve=[4.0, 8.0]", 'identity.intended_use="a \\"b\\""')
    plan = make_plan(("identity", "adversarial"), overrides)
    typed = shlex.split(as_command("RUN", plan, 7, 90.0, ("identity", "adversarial")))
    sets = tuple(value for option, value in pairwise(typed) if option == "--set")
    assert make_plan(("identity", "adversarial"), sets) == plan


def test_a_command_says_what_it_will_do(small_run: Path, context: AuditContext, capsys):
    assert run(["audit", str(small_run), "--budget", "14s", "--no-pdf"], COMMANDS) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "plan: about 5.0 s of 14 s" in said
    assert "counting about 5.0 s; with less: images = 5 (full: 100)" in said
    assert "fixed left out: not within the budget of 14 s" in said


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90.0), ("10m", 600.0), ("1.5h", 5400.0), ("none", None)])
def test_durations(text: str, seconds: float | None):
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "0m", "-5m", "ten minutes", "1m30s"])
def test_what_is_no_duration_is_refused(text: str):
    with pytest.raises(ScenarioError, match="such as 10m"):
        parse_budget(text)


def test_an_image_s_pass_is_counted_and_never_timed(context: AuditContext):
    assert pass_seconds(context) == pass_seconds(context) > 0
    assert num_tests(context) == 24
    assert num_tests(context, 100) == 12  # one of a patient, and each has two
    assert num_tests(context, 5) == 5


def test_sections_cost_what_their_counts_say(small_run: Path):
    """By hand: twelve patients, four levels and a control of 0.3 (2 (40 x 2 + 2 x 20) + 40) passes, 100 of checks."""
    context = open_run(small_run, None, lambda what, done: None)[0]
    found = {each.name: each.seconds for each in fit(make_plan(), context)}
    passes = 12 * (4 + 1) * 84 + 12 * 100
    assert found["adversarial"] == pytest.approx(passes * pass_seconds(context))
    assert found["shortcuts"] == pytest.approx(3 * 12 * pass_seconds(context))
    assert found["membership"] == 0.0  # three patients whom nobody trained on are too few, and no shadow is trained


def test_training_is_counted_in_passes(small_run: Path):
    scenario = open_run(small_run, None, lambda what, done: None)[0].scenario
    sizes = {"a": 10, "b": 30.0}
    assert training_passes(scenario, sizes) == pytest.approx(1 * 40 * 2.5)
    fewer = scenario.replace(**{"training.precision": "bfloat16", "training.rounds": 3})
    assert training_passes(fewer, sizes) == pytest.approx(3 * 40 * 1.3)
    steps = scenario.replace(**{"training.local_steps": 5, "training.local_epochs": None})
    assert training_passes(steps, sizes) == pytest.approx(2 * 5 * 4 * 2.5)  # two sites, batches of four


def test_every_section_of_this_version_fits_a_budget(small_run: Path):
    context = open_run(small_run, None, lambda what, done: None)[0]
    for each in fit(make_plan(), context, 1e6):
        assert each.section is not None, each
