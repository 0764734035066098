"""One federated training: join, rounds, final evaluation, summary.

However it ends, what was finished is in the folder: too few replies or a wish to stop end the rounds with
status STOPPED and the weights of the last complete round, from which the run can be resumed.
"""

import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace

from flwr.serverapp import Grid

from medfed import events
from medfed.checkpoints import Checkpoint
from medfed.config import Scenario
from medfed.determinism import deterministic
from medfed.errors import WriteError
from medfed.models.initial import initial_model, personal_entries, trained_entries
from medfed.params import get_weights, num_values
from medfed.results import RoundResult, Summary
from medfed.rng import numpy_generator
from medfed.run_folder import RunFolder
from medfed.tracking.contract import TrackedRun
from medfed.tracking.enforcer import Tracking, check_trackers
from medfed.types import Weights
from server.asked import Asked, AskedLog
from server.evaluation import Evaluations, add_validation, evaluate_sites
from server.releases import privacy_statement, spent, split_warnings
from server.roster import Roster, join
from server.round_state import Federation, Outcome
from server.rounds import run_round
from server.scenario_checks import check_federation
from server.secure import cut_warnings
from server.stopping import is_over, kept_weights, mean_validation
from server.summary import summarize


@dataclass
class Progress:
    """What a run has reached: global weights and strategy state after the last complete round.

    ``simulated``: all sites are in one machine or cluster of ours. ``begun``: the last round that was begun.
    """

    weights: Weights
    personal: frozenset[str]
    simulated: bool
    begun: int = 0
    state: Weights = field(default_factory=dict)
    best: Weights = field(default_factory=dict)
    roster: Roster = field(default_factory=Roster)
    rounds: list[RoundResult] = field(default_factory=list)
    unstacked: tuple[int, ...] = ()
    tests: Evaluations = field(default_factory=dict)
    test_bytes: int = 0
    tracking: Tracking | None = None

    @property
    def shared(self) -> Weights:
        """The entries of the model that travel."""
        return {name: value for name, value in self.weights.items() if name not in self.personal}


def federate(grid: Grid, scenario: Scenario, folder: RunFolder, simulated: bool = False) -> None:
    """Run ``scenario`` over ``grid``, from the last checkpoint in ``folder`` on, and write what comes of it there.

    ``simulated``: all sites are in one machine or cluster of ours.

    Raises:
        RunFolderError: the checkpoint is damaged, or of another scenario.
        WriteError: the disk is full; the last checkpoint is there.
        QuorumError: too few sites came, or delivered; the summary then says STOPPED.
        StopRequested: a listener, or the folder's stop file, asked for the end; the summary then says STOPPED.
    """
    started = time.monotonic()
    with deterministic(scenario.engine.deterministic):
        progress = _start(scenario, folder, simulated)
        stopped_because = ""
        try:
            _train(grid, scenario, folder, progress)
        except BaseException as reason:
            stopped_because = str(reason) or type(reason).__name__
            raise
        finally:
            seconds = time.monotonic() - started
            if progress.tracking is not None:
                progress.tracking.close()
            with suppress(WriteError) if stopped_because else nullcontext():  # what is told is why the run ended
                folder.finish(progress.weights, _summary(scenario, folder, progress, stopped_because, seconds))


def _start(scenario: Scenario, folder: RunFolder, simulated: bool) -> Progress:
    """Where the run stands: at its last checkpoint, or before round 1."""
    model = initial_model(scenario)
    check_federation(scenario, model)
    check_trackers(scenario.tracking.trackers)
    progress = Progress(get_weights(model), personal_entries(scenario, model), simulated)
    progress.roster.infos |= AskedLog(folder.path).infos
    checkpoint = folder.load_checkpoint(scenario)
    if checkpoint is not None:
        progress.weights, progress.state, progress.best = checkpoint.weights, checkpoint.state, checkpoint.best
        progress.rounds, progress.unstacked = folder.rounds(checkpoint.round), checkpoint.unstacked
    folder.truncate(len(progress.rounds))
    run = TrackedRun(scenario.name, folder.path, folder.recorded("run"))
    progress.tracking = Tracking(scenario.tracking.trackers, run, progress.rounds)
    return progress


def _summary(
    scenario: Scenario, folder: RunFolder, progress: Progress, stopped_because: str, seconds: float
) -> Summary:
    summary = summarize(
        scenario,
        progress.roster,
        progress.rounds,
        progress.tests,
        stopped_because,
        seconds,
        progress.test_bytes,
        progress.personal,
    )
    cut = cut_warnings(scenario, progress.rounds)
    split = split_warnings(scenario, progress.roster.infos)
    tracked = progress.tracking.warnings if progress.tracking else []
    warnings = [*split, *cut, *_one_by_one(progress.unstacked), *tracked]
    trained = {name: value for name, value in progress.shared.items() if name in trained_entries(scenario)}
    log = AskedLog(folder.path)
    num_rounds = max(progress.begun, len(progress.rounds), log.last)  # updates of an open round have left
    privacy = privacy_statement(
        scenario,
        progress.roster.infos,
        [*asked_sites(scenario, num_rounds), *log.again()],
        num_values(trained),
        progress.simulated,
    )
    return summary.model_copy(update={"warnings": [*summary.warnings, *warnings], "privacy": privacy})


def _one_by_one(rounds: tuple[int, ...]) -> list[str]:
    if not rounds:
        return []
    listed = ", ".join(map(str, rounds))
    return [
        f"engine.vectorise: in round {listed} sites of a batch were trained one by one, since the batch could not be "
        "trained at once (a site failed, or memory ran out): slower, and other last bits"
    ]


def sampled_sites(scenario: Scenario, round_number: int) -> list[str]:
    """Who is asked to train in this round: by name, so that node ids and arrival order do not matter."""
    sites = list(scenario.training_sites)
    wanted = scenario.federation.sites_per_round
    if wanted == 0 or wanted >= len(sites):
        return sites
    generator = numpy_generator(scenario.seed, round_number, "sample sites")
    return sorted(sites[i] for i in generator.choice(len(sites), size=wanted, replace=False))


def asked_sites(scenario: Scenario, num_rounds: int) -> list[Asked]:
    """Who is asked in each of the first ``num_rounds`` rounds."""
    return [Asked(number, sampled_sites(scenario, number)) for number in range(1, num_rounds + 1)]


def _train(grid: Grid, scenario: Scenario, folder: RunFolder, progress: Progress) -> None:
    progress.roster = join(grid, scenario, progress.roster.infos)
    federation = Federation(grid, scenario, progress.roster, folder, folder.recorded("run"), progress.simulated)
    while not is_over(scenario, progress.rounds):
        _advance(federation, progress, len(progress.rounds) + 1)
    if scenario.evaluation.keep != "last" and progress.best:
        progress.weights = progress.best
    progress.tests, progress.test_bytes = _final_tests(federation, progress)


def _final_tests(federation: Federation, progress: Progress) -> tuple[Evaluations, int]:
    """Test metrics of every expected site; a site that is not there is a failure as well."""
    sites, roster = federation.scenario.federation.sites, progress.roster
    found, sent = evaluate_sites(federation, sites, progress.shared, "test", len(progress.rounds))
    absent = {site: roster.absence(site) for site in sites if site not in roster.nodes}
    return dict(sorted((found | absent).items())), sent


def _advance(federation: Federation, progress: Progress, number: int) -> None:
    """Run round ``number``; ``progress`` moves only once it is complete."""
    started = time.monotonic()
    scenario, roster = federation.scenario, federation.roster
    total = scenario.training.rounds
    roster.retry_faults()
    roster.refresh(federation.grid, scenario)
    chosen = sampled_sites(scenario, number)
    events.emit(events.RoundStarted(number, total, len(chosen)))
    progress.begun = number
    outcome = run_round(federation, chosen, number, progress.shared, progress.state)
    result = outcome.result
    if number % scenario.evaluation.every == 0 or number == total:
        found = evaluate_sites(federation, scenario.training_sites, outcome.weights, "val", number)
        result = add_validation(result, *found)
    if scenario.privacy.is_on:
        asked = [*asked_sites(scenario, number), *federation.asked_log.again()]
        result = result.model_copy(update={"epsilon": spent(scenario, roster.infos, asked)})
    _commit(federation, progress, replace(outcome, result=result), time.monotonic() - started)


def _commit(federation: Federation, progress: Progress, outcome: Outcome, seconds: float) -> None:
    """Write the round down, the checkpoint last, since it says that all is there; then move ``progress`` on."""
    scenario, folder = federation.scenario, federation.folder
    result, state = outcome.result.model_copy(update={"seconds": seconds}), outcome.state
    weights, rounds = progress.weights | outcome.weights, [*progress.rounds, result]
    best = kept_weights(scenario, progress.best, weights, rounds)
    unstacked = (*progress.unstacked, result.round) if outcome.unstacked else progress.unstacked
    folder.add_round(result)
    folder.checkpoint(scenario, Checkpoint(result.round, weights, state, best, unstacked))
    progress.weights, progress.state, progress.best, progress.rounds = weights, state, best, rounds
    progress.unstacked = unstacked
    if progress.tracking is not None:
        progress.tracking.add(result)
    losses = [site.loss for site in result.sites.values() if site.loss is not None]
    metric = mean_validation(result, scenario.headline)
    loss = sum(losses) / len(losses) if losses else None
    events.emit(events.RoundDone(result.round, scenario.training.rounds, loss, scenario.headline, metric, seconds))
