"""Evaluation at the sites: the weights travel, the images stay, metrics come back."""

from collections.abc import Mapping

from flwr.serverapp import Grid

from medfed import messages
from medfed.config import Scenario
from medfed.results import Evaluation, Failure, RoundResult, SiteRound
from medfed.types import Split, Weights
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
        if isinstance(reply, Fault):
            announce(reply, round_number)
            found[site] = reply.failure
        else:
            found[site] = messages.read_evaluation(reply)
    return found


def add_validation(result: RoundResult, evaluations: Evaluations) -> RoundResult:
    """``result`` with every site's validation metrics, and with who failed to give them."""
    sites, failed = dict(result.sites), list(result.failed)
    for site, outcome in evaluations.items():
        if isinstance(outcome, Failure):
            failed.append(outcome)
        else:
            values = {name: estimate.value for name, estimate in outcome.metrics.items()}
            sites[site] = sites.get(site, SiteRound()).model_copy(update={"val": values})
    return result.model_copy(update={"sites": dict(sorted(sites.items())), "failed": failed})


def mean_validation(result: RoundResult, metric: str) -> float | None:
    """Mean over the sites that have it of a validation metric; None where none has."""
    values = [value for site in result.sites.values() if (value := site.val.get(metric)) is not None]
    return sum(values) / len(values) if values else None
