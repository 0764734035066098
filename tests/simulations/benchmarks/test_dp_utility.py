"""The plan and the page of the benchmark of private training. Oracles: by hand, Student's t, the accountant."""

from pathlib import Path

import pytest

from privacy.accountants import TIGHTEST
from privacy.planning.noise import Schedule
from simulations.benchmarks.dp_utility.page import chosen_rates, page, rows
from simulations.benchmarks.dp_utility.plan import ABLATED, EPSILONS, SETS, UNITS, Job, _least, ablation, table, tuning
from simulations.benchmarks.dp_utility.runs import Outcome, stored

AUROC = {1: 0.80, 2: 0.82, 3: 0.90}


def outcome(job: Job, validation: float, test: float | None = None) -> Outcome:
    scores = {"auroc": validation, "balanced_accuracy": 0.5}
    noise = 2.0 if job.epsilon else None
    return Outcome(
        key=job.key,
        scenario="",
        noise=noise,
        replaced=None if noise is None else 6.0 + job.seed / 30,
        num_values=100,
        validation=scores,
        test={} if test is None else {"auroc": test, "balanced_accuracy": 0.6},
    )


def pneumonia() -> dict[str, Outcome]:
    """The middle rate is the best with noise, the first without; tests of epsilon 3, and of one ablation."""
    tried = list(tuning("pneumonia"))
    found = [outcome(job, 0.9 if job.rate in (1.0, 0.1) else 0.8) for job in tried]
    found += [outcome(job, 0.9, AUROC[job.seed]) for job in table("pneumonia", 1.0, 0.1) if job.epsilon == 3.0]
    last = [job for job in ablation("pneumonia", 1.0) if "average" in job.variant]
    found += [outcome(job, 0.9, AUROC[job.seed] - 0.1) for job in last]
    return {each.key: each for each in found}


def test_every_set_has_every_epsilon_unit_and_seed_once() -> None:
    for name in SETS:
        jobs = list(table(name, 1.0, 0.1))
        assert len(jobs) == len({job.key for job in jobs}) == 3 * (len(UNITS[name]) * (len(EPSILONS) - 1) + 1)
        assert {job.rate for job in jobs if job.epsilon is None} == {0.1}
        assert len(list(ablation(name, 1.0))) == 3 * len(ABLATED)


def test_the_noise_costs_the_epsilon_and_no_more() -> None:
    schedule = Schedule(0.25, 2)
    noise = _least(schedule, 3.0, 1e-4, 24)
    assert 2.98 < TIGHTEST(schedule.composition(noise, 24, "add_remove"), 1e-4) <= 3.0


def test_rates_are_chosen_on_validation_once_all_are_tried() -> None:
    found = pneumonia()
    assert chosen_rates("pneumonia", found) == (1.0, 0.1)
    first = next(tuning("pneumonia")).key
    assert chosen_rates("pneumonia", {key: each for key, each in found.items() if key != first}) is None


def test_the_page_has_means_intervals_and_what_was_tried() -> None:
    """0.84 +- 4.303 x 0.0529 / sqrt(3); without the average 0.1 less at every seed."""
    text = page(["pneumonia", "skin"], pneumonia())
    assert "| record | 3 | 6.1 | 2.00 | 0.840 [0.709, 0.971] | 0.600 [0.600, 0.600] | 3 |" in text
    assert "| last round's weights, no average | 0.740 [0.609, 0.871] | 0.100 [0.100, 0.100] | 3 |" in text
    assert "| record | 8 | - | - | - | - | 0 |" in text
    assert "1 (noise): 0.900 / 0.500" in " ".join(text.split())
    assert "## skin" not in text
    assert all(len(line) <= 120 for line in text.splitlines() if not line.startswith("|"))
    (row,) = rows(["pneumonia", "skin"], pneumonia())
    assert (row.case, row.ours) == ("pneumonia, record, epsilon 3, 3 seeds", pytest.approx(0.84))


def test_a_line_that_was_cut_is_run_again(tmp_path: Path) -> None:
    found = list(pneumonia().values())
    lines = [each.model_dump_json() for each in found[:2]]
    (tmp_path / "runs.jsonl").write_text(f"{lines[0]}\n{lines[1][:-9]}")
    assert list(stored(tmp_path / "runs.jsonl")) == [found[0].key]
    assert stored(tmp_path / "none.jsonl") == {}
