"""The audit section on poisoned sites. Oracles: updates drawn from a known distribution, some of them turned around by
hand; closed forms of the mean; a model that obeys a mark by construction; intervals by hand."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from medfed.audit.contract import AuditContext, NotTestedError
from medfed.audit.results import SectionResult
from medfed.audit.verdicts import clopper_pearson
from medfed.config import Scenario, parse_scenario
from medfed.data.dataset import Dataset
from medfed.data.table import Record
from medfed.models.initial import initial_model, trained_entries
from medfed.params import flatten, get_weights, save_weights, unflatten
from medfed.report.load import RunData
from medfed.results import Estimate, Failure, MeanSummary, RoundResult, RunResult, SiteRound, Status, Summary
from robustness.byzantine.backdoor import Backdoor
from robustness.detection.contract import Round
from robustness.poisoning import Poisoning
from robustness.poisoning_harm import marked, steps_kept
from robustness.poisoning_rounds import PLANTED, with_planted
from robustness.sections import SECTIONS

SITES = tuple(f"s{number:02d}" for number in range(20))
BAD = ("s00", "s07", "s13", "s19")
ROUNDS = (1, 2, 3)
SIDE = 8
SCENARIO = """
name = "poisoned"
task = {{ kind = "classification", classes = ["dark", "bright"] }}
data = {{ path = "none.csv", image_size = 8, partition = "natural" }}
model = {{ name = "small_cnn", width = 4 }}
training = {{ rounds = 3, local_epochs = 1, batch_size = 4, loss = "cross_entropy" }}
federation = {{ sites = {sites}, aggregator = {rule} }}
{adversary}
"""


def scenario_of(behaviour: str = "", rule: str = '"mean"', sites: tuple[str, ...] = SITES) -> Scenario:
    adversary = f"adversary = {{ sites = {list(BAD)}, behaviour = {behaviour} }}" if behaviour else ""
    return parse_scenario(SCENARIO.format(sites=list(sites), rule=rule, adversary=adversary))


def drawn(scenario: Scenario, change: Callable[[Tensor], Tensor] | None = None) -> list[dict[str, Tensor]]:
    """Site -> update, by round: a common direction and noise of each site's own; ``change`` on those of BAD."""
    names = sorted(trained_entries(scenario))
    size = sum(value.numel() for name, value in get_weights(initial_model(scenario)).items() if name in names)
    draws = torch.Generator().manual_seed(7)
    rounds = []
    for _ in ROUNDS:
        updates = {site: 1e-3 * (1 + 3 * torch.randn(size, generator=draws)) for site in scenario.federation.sites}
        rounds.append({s: change(u) if change and s in BAD else u for s, u in updates.items()})
    return rounds


def record(folder: Path, scenario: Scenario, rounds: list[dict[str, Tensor]]) -> None:
    """As a run records them."""
    weights = get_weights(initial_model(scenario))
    like = {name: weights[name] for name in sorted(trained_entries(scenario))}
    for number, updates in zip(ROUNDS, rounds, strict=True):
        at = folder / "recorded" / str(number)
        at.mkdir(parents=True)
        save_weights(at / "global.weights.safetensors", weights)
        for site, update in updates.items():
            save_weights(at / f"{site}.safetensors", unflatten(update, like), {"site": site})


def summary(accuracy: float | None = None) -> Summary:
    found = None if accuracy is None else {"auroc": Estimate(value=accuracy, low=0, high=1, n=50, se=0.01)}
    figures = {"rounds": 3, "seconds": 1.0, "bytes_up": 0, "bytes_down": 0, "sites": {}}
    mean = MeanSummary(federated=found)
    return Summary(name="x", status="COMPLETED", task="classification", headline_metric="auroc", mean=mean, **figures)


def context_of(folder: Path, scenario: Scenario, module: nn.Module | None = None, **fields: object) -> AuditContext:
    """Forty flat test images, dark and bright in turn."""
    sites, labels = scenario.federation.sites, np.arange(40) % 2
    levels = np.where(labels == 1, 200, 50).astype(np.uint8)
    images = np.broadcast_to(levels[:, None, None, None], (40, 1, SIDE, SIDE)).copy()
    owners = [sites[i % len(sites)] for i in range(40)]
    records = tuple(Record(f"{i}.png", None, None, owners[i], "test", f"p{i}", i + 1) for i in range(40))
    rows = {
        site: {"train": np.arange(0), "val": np.arange(0), "test": np.arange(s, 40, len(sites))}
        for s, site in enumerate(sites)
    }
    dataset = Dataset(Path("none.csv"), images, labels.astype(np.int64), records, rows, ())
    module = initial_model(scenario) if module is None else module
    run = fields.pop("run", RunData(folder, summary(0.7)))
    return AuditContext(scenario, run, dataset, module.eval(), seed=1, **fields)


def names(result: SectionResult) -> set[str]:
    """All that the table of detectors names."""
    return {site for row in result.tables[1].rows for cell in row[1:] for site in str(cell).split(", ")} - {"none"}


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
