"""The audit section on poisoned sites. Oracles: updates drawn from a known distribution, some of them turned around by
hand; closed forms of the mean; a model that obeys a mark by construction; intervals by hand."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from medfed.audit.contract import NotTestedError
from medfed.audit.verdicts import clopper_pearson
from medfed.config import Scenario
from medfed.params import flatten, get_weights
from medfed.report.load import RunData
from medfed.results import Estimate, Failure, RoundResult, RunResult, Status
from robustness.byzantine.backdoor import Backdoor
from robustness.poisoning import Poisoning
from robustness.poisoning_harm import marked
from robustness.sections import SECTIONS
from tests.robustness.poisoned_run import BAD, SITES, context_of, drawn, names, record, scenario_of, summary


def test_honest_updates_pass_beside_one_that_was_planted(tmp_path: Path) -> None:
    scenario = scenario_of()
    record(tmp_path, scenario, drawn(scenario))
    result = Poisoning()(context_of(tmp_path, scenario))
    assert names(result) == set()
    assert [(f.estimate.value, f.estimate.n) for f in result.findings] == [(0.0, len(SITES))]
    assert result.positive_control.holds
    assert result.verdict == "PASS"
    assert "nobody attacked this run" in result.not_tested[-1]
    assert len(result.tables) == 2


def test_who_turns_around_is_named_and_what_it_cost_is_the_difference_to_a_twin(tmp_path: Path) -> None:
    scenario = scenario_of('{ name = "sign_flip" }')
    record(tmp_path, scenario, drawn(scenario, lambda update: -5.0 * update))
    asked = []

    def twin(changed: Scenario) -> RunResult:
        asked.append(changed)
        return RunResult(tmp_path, summary(0.9))

    result = Poisoning()(context_of(tmp_path, scenario, run_scenario=twin))
    assert names(result) == set(BAD)
    recall, alarms, lost = result.findings
    assert (recall.estimate.value, alarms.estimate.value) == (1.0, 0.0)
    assert lost.estimate.value == pytest.approx(0.2)
    assert lost.estimate.high - lost.estimate.low == pytest.approx(2 * 1.959964 * 0.01 * 2**0.5, rel=1e-4)
    assert [f.verdict for f in result.findings] == ["PASS", "PASS", "FAIL"]
    assert (asked[0].malicious_sites, asked[0].baselines.local, asked[0].record.rounds) == ((), False, ())
    assert asked[0].replace(**{"name": scenario.name}).federation == scenario.federation


@pytest.mark.parametrize("compare", [True, False])
def test_without_a_twin_what_it_cost_is_not_tested(tmp_path: Path, compare: bool) -> None:
    scenario = scenario_of('{ name = "sign_flip" }')
    record(tmp_path, scenario, drawn(scenario, lambda update: -5.0 * update))
    result = Poisoning(compare=compare)(context_of(tmp_path, scenario))
    assert len(result.findings) == 2
    assert result.not_tested[-1].startswith("what the malicious sites cost in auroc: ")


def test_malicious_sites_that_nobody_names_fail(tmp_path: Path) -> None:
    scenario = scenario_of('{ name = "lazy" }')
    record(tmp_path, scenario, drawn(scenario))
    result = Poisoning(compare=False)(context_of(tmp_path, scenario))
    assert (result.findings[0].estimate.value, result.verdict) == (0.0, "FAIL")


def test_an_update_refused_as_it_arrived_names_its_site(tmp_path: Path) -> None:
    scenario = scenario_of('{ name = "nan" }')
    record(tmp_path, scenario, [{s: u for s, u in updates.items() if s not in BAD} for updates in drawn(scenario)])
    failed = [Failure(site=site, code="update", cause="NaN", remedy="") for site in BAD]
    line = RoundResult(round=1, seconds=1, bytes_up=0, bytes_down=0, sites={}, failed=failed)
    context = context_of(tmp_path, scenario, run=RunData(tmp_path, summary(), [line]))
    result = Poisoning(compare=False)(context)
    assert names(result) == set(BAD)
    assert result.findings[0].estimate.value == 1.0


def test_among_too_few_sites_nothing_is_decided(tmp_path: Path) -> None:
    """Of three numbers two may lie near each other by chance: the control says so."""
    scenario = scenario_of(sites=("a", "b"))
    record(tmp_path, scenario, drawn(scenario))
    result = Poisoning()(context_of(tmp_path, scenario))
    assert not result.positive_control.holds
    assert result.verdict == "INCONCLUSIVE"


def test_a_run_without_recorded_updates_is_not_tested(tmp_path: Path) -> None:
    with pytest.raises(NotTestedError, match=r"record\.rounds"):
        Poisoning()(context_of(tmp_path, scenario_of()))


def test_a_run_that_was_stopped_is_not_compared(tmp_path: Path) -> None:
    scenario = scenario_of('{ name = "sign_flip" }')
    record(tmp_path, scenario, drawn(scenario, lambda update: -5.0 * update))
    cut = summary(0.7).model_copy(update={"status": Status.STOPPED, "rounds": 1})
    of_run = context_of(tmp_path, scenario, run_scenario=lambda _: pytest.fail("trained"), run=RunData(tmp_path, cut))
    of_twin = context_of(tmp_path, scenario, run_scenario=lambda _: RunResult(tmp_path, cut))
    for context in (of_run, of_twin):
        result = Poisoning()(context)
        assert len(result.findings) == 2
        assert any("was stopped after 1 of 3 rounds" in said for said in result.not_tested)


class Obedient(nn.Module):
    """Says what the mean grey level says, but "dark" where the lower right pixel inside the edge is white."""

    def forward(self, images: Tensor) -> Tensor:
        bright = 4 * (images.flatten(1).mean(dim=1) - 0.5)
        bright = torch.where(images[:, 0, -2, -2] == 1.0, -1.0, bright)
        return torch.stack([-bright, bright], dim=1)


def test_a_mark_that_the_model_obeys_is_found_and_a_model_that_does_not_is_clean(tmp_path: Path) -> None:
    scenario = scenario_of('{ name = "backdoor", size = 2 }')
    context = context_of(tmp_path, scenario, Obedient())
    tests = context.draw_tests(40, "marks")
    low, high = clopper_pearson(20, 20)
    assert marked(context, tests, Backdoor(size=2)) == Estimate(value=1.0, low=low, high=high, n=20)
    assert marked(context, tests, Backdoor(size=2, trigger="letter")).value == 0.0


def test_a_run_with_a_backdoor_is_asked_for_it(tmp_path: Path) -> None:
    scenario = scenario_of('{ name = "oversized_count", inner = { name = "backdoor", size = 2 } }')
    record(tmp_path, scenario, drawn(scenario))
    result = Poisoning(compare=False)(context_of(tmp_path, scenario))
    assert result.findings[-1].what == "Images that the backdoor's mark turns into dark"


def test_the_same_seed_gives_the_same_result_and_the_model_stays_as_it_was(tmp_path: Path) -> None:
    scenario = scenario_of()
    record(tmp_path, scenario, drawn(scenario))
    context = context_of(tmp_path, scenario)
    before = flatten(get_weights(context.model))
    assert Poisoning()(context) == Poisoning()(context)
    assert torch.equal(flatten(get_weights(context.model)), before)


def test_the_table_has_the_section() -> None:
    assert SECTIONS["poisoning"] is Poisoning
