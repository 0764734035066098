"""One run of the matrix: train, test, look for the backdoors, look for the malicious sites; what came of it as JSON."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from medfed.config import Scenario
from medfed.data.dataset import Dataset, pool
from medfed.errors import ScenarioError
from medfed.models.initial import initial_model
from medfed.params import load_weights, set_weights
from medfed.registry import build
from medfed.results import RunResult, write_json
from medfed.rng import numpy_generator
from medfed.training.evaluation import evaluate
from medfed.types import ImageSet, Weights
from robustness.byzantine.backdoor import Backdoor
from robustness.byzantine.success import backdoor_success
from robustness.detection import DETECTORS
from robustness.detection.recorded import recorded_rounds
from simulations.benchmarks.noniid import runs
from simulations.benchmarks.poisoning import plan
from simulations.benchmarks.poisoning.plan import ATTACKS, Pair
from simulations.benchmarks.poisoning.sources import code_digest
from simulations.inputs import check_inputs, check_together

_SERVER_IMAGES = 100
"""How many validation images the server has for its own; nobody trains on them."""

SERVER_CHECKS = "server checks"
"""Stands among the detectors: the sites whose updates were refused as they arrived."""


class Outcome(BaseModel):
    """What came of one run.

    Attributes:
        scenario: what was run, as TOML.
        code: digest of the plug-ins that ran, and of the detectors.
        refused: why the rule cannot serve; empty where it can.
        stopped: why the run ended before its last round; empty where it did not.
        accuracy: on the shared test images; None where there is no model.
        success: attack with a backdoor -> share of test images of other classes that its trigger turns, in every run.
        sites: all that trained.
        malicious: the adversary's.
        named: detector -> the sites that it names.
        epsilon: of the run's statement, sites added or removed; None where there is no noise.
        seconds: of the rounds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    scenario: str
    code: str
    refused: str = ""
    stopped: str = ""
    accuracy: float | None = None
    success: dict[str, float] = {}
    sites: tuple[str, ...] = ()
    malicious: tuple[str, ...] = ()
    named: dict[str, tuple[str, ...]] = {}
    epsilon: float | None = None
    seconds: float = 0.0


def stored(pair: Pair, out: Path) -> Outcome | None:
    """The outcome of a run that would come out the same today, if it is there."""
    path = _file(pair, out)
    if not path.is_file():
        return None
    try:
        found = Outcome.model_validate_json(path.read_bytes())
    except ValueError:  # of another form
        return None
    scenario = pair.scenario()
    same = found.code == code_digest(scenario, __name__) and runs.same_numbers(found.scenario, scenario)
    return found if same else None


def run(pair: Pair, out: Path) -> Outcome:
    """Run ``pair``; keep its outcome, and nothing else."""
    given = pair.scenario()
    prepared, dataset = _prepared(plan.base().replace(seed=pair.seed))
    federation = given.federation.model_copy(update={"sites": prepared.federation.sites})
    scenario = given.model_copy(update={"federation": federation})
    text, code = given.to_toml(), code_digest(given, __name__)
    try:
        check_together(scenario)
    except ScenarioError as refusal:
        reason = str(refusal).removeprefix('key "federation.aggregator": ').partition(";")[0]
        outcome = Outcome(scenario=text, code=code, refused=reason)
    else:
        shutil.rmtree(out / given.name, ignore_errors=True)  # what a killed process left
        runs.federate(scenario, out, "poisoning", "simulations.benchmarks.poisoning.sites:app")
        outcome = _outcome(scenario, dataset, out / scenario.name, text, code)
    write_json(_file(pair, out), outcome)
    shutil.rmtree(out / given.name, ignore_errors=True)
    return outcome


@lru_cache(maxsize=1)
def _prepared(scenario: Scenario) -> tuple[Scenario, Dataset]:
    """With its sites; the data of a seed are read and checked once, since no attack or rule changes them."""
    return check_inputs(scenario)


def _outcome(scenario: Scenario, dataset: Dataset, folder: Path, text: str, code: str) -> Outcome:
    result = RunResult.load(folder)
    rounds = result.rounds()
    everyone = pool([dataset.site(site) for site in scenario.training_sites])
    accuracy: float | None = None
    success: dict[str, float] = {}
    stopped = runs.failure(folder) or ""
    if not stopped:
        model = initial_model(scenario)
        set_weights(model, load_weights(folder / "model.safetensors"))
        accuracy = evaluate(model, everyone.test, scenario, (), intervals=False).metrics["accuracy"].value
        for name, fields in ATTACKS.items():
            behaviour = build("byzantine", fields)
            if isinstance(behaviour, Backdoor):
                success[name] = backdoor_success(model, everyone.test, behaviour) or 0.0
    refused = {failure.site for line in rounds for failure in line.failed if failure.code == "update"}
    return Outcome(
        scenario=text,
        code=code,
        stopped=stopped,
        accuracy=accuracy,
        success=success,
        sites=scenario.training_sites,
        malicious=scenario.malicious_sites,
        named={SERVER_CHECKS: tuple(sorted(refused)), **_named(scenario, everyone.val, folder)},
        epsilon=rounds[-1].epsilon if rounds else None,
        seconds=sum(line.seconds for line in rounds),
    )


def _named(scenario: Scenario, validation: ImageSet, folder: Path) -> dict[str, tuple[str, ...]]:
    """What each detector says of the recorded rounds; nobody is named where there is none."""
    generator = numpy_generator(scenario.seed, "server's own images")
    chosen = np.sort(generator.permutation(len(validation))[:_SERVER_IMAGES])
    rounds = list(recorded_rounds(folder, scenario, _server_loss(scenario, validation, chosen)))
    return {name: detector()(rounds).suspects if rounds else () for name, detector in DETECTORS.items()}


def _server_loss(scenario: Scenario, validation: ImageSet, chosen: np.ndarray) -> Callable[[Weights], float]:
    """The training loss of a model on the server's own images."""
    inputs, targets = replace(validation, rows=validation.rows[chosen]).batch(np.arange(len(chosen)))
    model = initial_model(scenario).eval().requires_grad_(False)

    def loss(weights: Weights) -> float:
        set_weights(model, weights)
        return float(scenario.training.loss(model(inputs), targets, None))

    return loss


def _file(pair: Pair, out: Path) -> Path:
    return out / f"{pair.label}.json"
