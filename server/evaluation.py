"""Evaluation at the sites: the weights travel, the images stay, metrics come back."""

from collections.abc import Mapping

from flwr.app import RecordDict
from flwr.serverapp import Grid

from medfed import messages
from medfed.config import Scenario
from medfed.errors import UpdateError
from medfed.params import num_bytes
from medfed.results import Evaluation, Failure, RoundResult, SiteRound
from medfed.types import Split, Weights
from server.checks import check_evaluation
from server.exchange import Fault, MessageType, announce, exchange, window_size

Evaluations = dict[str, Evaluation | Failure]


def evaluate_sites(
    grid: Grid,
    scenario: Scenario,
    nodes: Mapping[str, int],
    weights: Weights,
    split: Split,
    *,
    intervals: bool,
    round_number: int,
) -> Evaluations:
    """Metrics of ``weights`` on every site's ``split``, or why they are missing, by site name."""
    packed = messages.pack_weights(weights)
    text = scenario.travelling().to_toml()
    replies = exchange(
        grid,
        nodes,
        MessageType.EVALUATE,
        lambda: messages.request(text, round_number, packed, split, intervals),
        round_number=round_number,
        deadline_seconds=scenario.federation.deadline_seconds,
        window=window_size(scenario, weights),
    )
    found: Evaluations = {}
    for site, reply in replies:
        outcome = reply if isinstance(reply, Fault) else _read(site, reply, scenario)
        if isinstance(outcome, Fault):
            announce(outcome, round_number)
            found[site] = outcome.failure
        else:
            found[site] = outcome
    return found


def _read(site: str, content: RecordDict, scenario: Scenario) -> Evaluation | Fault:
    try:
        evaluation = messages.read_evaluation(site, content)
        check_evaluation(site, evaluation, scenario)
    except UpdateError as error:
        remedy = "its metrics were not used"
        return Fault(Failure(site=site, code="metrics", cause=str(error), remedy=remedy))
    return evaluation


def add_validation(result: RoundResult, evaluations: Evaluations, weights: Weights) -> RoundResult:
    """``result`` with every site's validation metrics, who failed to give them, and the ``weights`` sent for them."""
    sites, failed = dict(result.sites), list(result.failed)
    for site, outcome in evaluations.items():
        if isinstance(outcome, Failure):
            failed.append(outcome)
        else:
            values = {name: estimate.value for name, estimate in outcome.metrics.items()}
            sites[site] = sites.get(site, SiteRound()).model_copy(update={"val": values})
    sent = result.bytes_down + num_bytes(weights) * len(evaluations)
    return result.model_copy(update={"sites": dict(sorted(sites.items())), "failed": failed, "bytes_down": sent})


def mean_validation(result: RoundResult, metric: str) -> float | None:
    """Mean over the sites that have it of a validation metric; None where none has."""
    values = [value for site in result.sites.values() if (value := site.val.get(metric)) is not None]
    return sum(values) / len(values) if values else None
