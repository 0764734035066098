"""One federated training: join, rounds, final evaluation, summary.

However it ends, what was finished is in the folder: too few replies or a wish to stop end the rounds with
status STOPPED and the weights of the last complete round.
"""

import time
from dataclasses import dataclass, field

import torch
from flwr.serverapp import Grid

from medfed import events
from medfed.config import Scenario
from medfed.determinism import deterministic
from medfed.params import get_weights, num_bytes
from medfed.results import RoundResult, Summary
from medfed.rng import derive_seed, numpy_generator
from medfed.run_folder import RunFolder
from medfed.types import Weights
from server.evaluation import Evaluations, add_validation, evaluate_sites, mean_validation
from server.roster import Roster, join
from server.rounds import run_round
from server.summary import summarize


@dataclass
class Progress:
    """What a run has reached: global weights and strategy state after the last complete round."""

    weights: Weights
    state: Weights = field(default_factory=dict)
    roster: Roster = field(default_factory=Roster)
    rounds: list[RoundResult] = field(default_factory=list)
    tests: Evaluations = field(default_factory=dict)


def federate(grid: Grid, scenario: Scenario, folder: RunFolder) -> None:
    """Run ``scenario`` over ``grid`` and write rounds, model and summary into ``folder``.

    Raises:
        QuorumError: too few sites came, or delivered; the summary then says STOPPED.
        StopRequested: a listener asked for the end; the summary then says STOPPED.
    """
    started = time.monotonic()
    with deterministic(scenario.engine.deterministic):
        progress = Progress(initial_weights(scenario))
        stopped_because = ""
        try:
            _train(grid, scenario, folder, progress)
        except BaseException as reason:
            stopped_because = str(reason) or type(reason).__name__
            raise
        finally:
            seconds = time.monotonic() - started
            folder.finish(progress.weights, _summary(scenario, progress, stopped_because, seconds))


def _summary(scenario: Scenario, progress: Progress, stopped_because: str, seconds: float) -> Summary:
    test_bytes = num_bytes(progress.weights) * sum(site in progress.roster.nodes for site in progress.tests)
    return summarize(scenario, progress.roster, progress.rounds, progress.tests, stopped_because, seconds, test_bytes)


def initial_weights(scenario: Scenario) -> Weights:
    """The model's weights before round 1; they depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(scenario.seed, "initial weights"))
        return get_weights(scenario.model(scenario.model_task))


def training_sites(scenario: Scenario) -> list[str]:
    """All sites that train, sorted: those expected without those left out."""
    return sorted(set(scenario.federation.sites) - set(scenario.federation.leave_out))


def sampled_sites(scenario: Scenario, round_number: int) -> list[str]:
    """Who is asked to train in this round: by name, so that node ids and arrival order do not matter."""
    sites = training_sites(scenario)
    wanted = scenario.federation.sites_per_round
    if wanted == 0 or wanted >= len(sites):
        return sites
    generator = numpy_generator(scenario.seed, round_number, "sample sites")
    return sorted(sites[i] for i in generator.choice(len(sites), size=wanted, replace=False))


def _train(grid: Grid, scenario: Scenario, folder: RunFolder, progress: Progress) -> None:
    progress.roster = join(grid, scenario)
    total = scenario.training.rounds
    for number in range(1, total + 1):
        _advance(grid, scenario, folder, progress, number)
    progress.tests = _final_tests(grid, scenario, progress)


def _final_tests(grid: Grid, scenario: Scenario, progress: Progress) -> Evaluations:
    """Test metrics of every expected site; a site that is not there is a failure as well."""
    roster, number = progress.roster, scenario.training.rounds
    nodes = {site: roster.nodes[site] for site in scenario.federation.sites if site in roster.nodes}
    found = evaluate_sites(grid, scenario, nodes, progress.weights, "test", intervals=True, round_number=number)
    absent = {site: roster.absence(site) for site in scenario.federation.sites if site not in nodes}
    return dict(sorted((found | absent).items()))


def _advance(grid: Grid, scenario: Scenario, folder: RunFolder, progress: Progress, number: int) -> None:
    """Run round ``number``; ``progress`` moves only once it is complete."""
    started = time.monotonic()
    total = scenario.training.rounds
    roster = progress.roster
    roster.retry_faults()
    roster.refresh(grid, scenario)
    chosen = sampled_sites(scenario, number)
    events.emit(events.RoundStarted(number, total, len(chosen)))
    outcome = run_round(grid, scenario, roster, chosen, number, progress.weights, progress.state, folder)
    result = outcome.result
    if number % scenario.evaluation.every == 0 or number == total:
        nodes = {site: roster.nodes[site] for site in training_sites(scenario) if site in roster.nodes}
        found = evaluate_sites(grid, scenario, nodes, outcome.weights, "val", intervals=False, round_number=number)
        result = add_validation(result, found, outcome.weights)
    result = result.model_copy(update={"seconds": time.monotonic() - started})
    progress.weights, progress.state = outcome.weights, outcome.state
    progress.rounds.append(result)
    folder.add_round(result)
    folder.checkpoint(number, progress.weights, progress.state)
    losses = [site.loss for site in result.sites.values() if site.loss is not None]
    loss = sum(losses) / len(losses)
    metric = mean_validation(result, scenario.headline)
    events.emit(events.RoundDone(number, total, loss, scenario.headline, metric, result.seconds))
