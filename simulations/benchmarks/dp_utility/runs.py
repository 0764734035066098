"""One run and what came of it: a line of JSON, so that a benchmark that was cut goes on where it was."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

from pydantic import BaseModel, ConfigDict

from medfed.config import Scenario
from medfed.data.dataset import open_dataset
from medfed.data.location import resolve_path
from medfed.models.initial import initial_model
from medfed.params import load_weights, num_values, set_weights
from medfed.results import RunResult
from medfed.training.evaluation import evaluate
from simulations.benchmarks.dp_utility.plan import METRICS, Job
from simulations.benchmarks.noniid import runs


class Outcome(BaseModel):
    """What came of one run.

    Attributes:
        key: of the job.
        scenario: what was run, as TOML.
        failure: why there is no model; empty where there is one.
        noise: noise multiplier; None where there is none.
        epsilon: of one image or patient added or removed, of the site that pays most; None where there is no noise.
        replaced: the same of one replaced by another, which is what holds where counts are told.
        num_values: trained values.
        validation: metric -> mean over the sites.
        test: metric -> mean over the sites; of a run for tuning, used where the table has the same run.
        seconds: of the rounds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    scenario: str
    failure: str = ""
    noise: float | None = None
    epsilon: float | None = None
    replaced: float | None = None
    num_values: int = 0
    validation: dict[str, float] = {}
    test: dict[str, float] = {}
    seconds: float = 0.0


def stored(file: Path) -> dict[str, Outcome]:
    """Key -> outcome, of all whole lines of ``file``."""
    found: dict[str, Outcome] = {}
    for line in file.read_text().splitlines() if file.is_file() else []:
        try:
            outcome = Outcome.model_validate_json(line)
        except ValueError:  # a line that was cut
            continue
        found[outcome.key] = outcome
    return found


def run(job: Job, file: Path) -> Outcome:
    """Run ``job`` and add its outcome to ``file``."""
    scenario, place = job.scenario(), file.parent / "work"
    shutil.rmtree(place / scenario.name, ignore_errors=True)
    runs.federate(scenario, place, "dp_utility")
    outcome = _outcome(job, scenario, place / scenario.name)
    with file.open("a") as lines:
        lines.write(json.dumps(outcome.model_dump()) + "\n")
    shutil.rmtree(place / scenario.name, ignore_errors=True)
    return outcome


def _outcome(job: Job, scenario: Scenario, folder: Path) -> Outcome:
    result = RunResult.load(folder)
    rounds, private = result.rounds(), scenario.privacy.is_on
    stated = result.summary.privacy
    found = {each.relation: each.epsilon for each in stated.guarantees} if stated else {}
    weights = load_weights(folder / "model.safetensors")
    failure = runs.failure(folder) or ""
    return Outcome(
        key=job.key,
        scenario=scenario.to_toml(),
        failure=failure,
        noise=scenario.privacy.mechanism.noise_multiplier if private else None,
        epsilon=found.get("add_remove"),
        replaced=found.get("replace"),
        num_values=num_values(weights),
        validation={} if failure else _validation(job, scenario, folder),
        test={} if failure else _test(job, result),
        seconds=sum(line.seconds for line in rounds),
    )


def _test(job: Job, result: RunResult) -> dict[str, float]:
    mean = result.summary.mean.federated or {}
    values = {metric: mean[metric].value for metric in METRICS[job.set_name] if metric in mean}
    return {metric: value for metric, value in values.items() if value is not None}


def _validation(job: Job, scenario: Scenario, folder: Path) -> dict[str, float]:
    """Of the model that the run ended with, which for an average no round has scored."""
    model = initial_model(scenario)
    set_weights(model, load_weights(folder / "model.safetensors"))
    dataset = open_dataset(resolve_path(scenario.data.path), scenario.data, scenario.model_task, scenario.seed)
    found: Mapping[str, list[float]] = {metric: [] for metric in METRICS[job.set_name]}
    for site in scenario.training_sites:
        metrics = evaluate(model, dataset.site(site).val, scenario, (), intervals=False).metrics
        for metric, values in found.items():
            if (value := metrics[metric].value) is not None:
                values.append(value)
    return {metric: fmean(values) for metric, values in found.items() if values}
