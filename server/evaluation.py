"""Evaluation at the sites: the weights travel, the images stay, metrics come back."""

from collections.abc import Sequence

from flwr.app import RecordDict

from medfed import messages
from medfed.config import Scenario
from medfed.errors import UpdateError
from medfed.messages import SiteInfo
from medfed.results import Evaluation, Failure, RoundResult, SiteRound
from medfed.types import Split, Weights
from server.checks import check_evaluation
from server.exchange import Fault, MessageType, announce, exchange, window_size
from server.round_state import Federation

Evaluations = dict[str, Evaluation | Failure]


def evaluate_sites(
    federation: Federation, sites: Sequence[str], weights: Weights, split: Split, round_number: int
) -> tuple[Evaluations, int]:
    """Metrics of ``weights`` (the shared entries) on the ``split`` of those ``sites`` that are there.

    Test metrics come with intervals.

    Returns:
        Metrics, or why they are missing, by site name; and the bytes that were sent.
    """
    scenario, roster = federation.scenario, federation.roster
    packed = messages.pack_weights(weights)
    text = scenario.travelling_text()
    nodes = {site: roster.nodes[site] for site in sites if site in roster.nodes}
    num_images = {site: _num_images(roster.infos[site], split) for site in nodes}
    replies = exchange(
        federation.grid,
        nodes,
        MessageType.EVALUATE,
        lambda _: messages.request(text, federation.run, round_number, packed, split, split == "test"),
        round_number=round_number,
        deadline_seconds=scenario.federation.deadline_seconds,
        cost=num_images,
        window=window_size(scenario, weights),
    )
    found: Evaluations = {}
    for site, reply in replies:
        outcome = reply if isinstance(reply, Fault) else _read(site, reply, scenario, num_images[site])
        if isinstance(outcome, Fault):
            announce(outcome, round_number)
            found[site] = outcome.failure
        else:
            found[site] = outcome
        federation.folder.heed_stop()
    return found, messages.num_bytes(packed) * len(nodes)


def _num_images(info: SiteInfo, split: Split) -> int:
    return {"train": info.num_train, "val": info.num_val, "test": info.num_test}[split]


def _read(site: str, content: RecordDict, scenario: Scenario, num_images: int) -> Evaluation | Fault:
    try:
        evaluation = messages.read_evaluation(site, content)
        check_evaluation(site, evaluation, scenario, num_images)
    except UpdateError as error:
        remedy = "its metrics were not used"
        return Fault(Failure(site=site, code="metrics", cause=str(error), remedy=remedy))
    return evaluation


def add_validation(result: RoundResult, evaluations: Evaluations, bytes_sent: int) -> RoundResult:
    """``result`` with every site's validation metrics, who failed to give them, and what was sent for them."""
    sites, failed = dict(result.sites), list(result.failed)
    for site, outcome in evaluations.items():
        if isinstance(outcome, Failure):
            failed.append(outcome)
        else:
            values = {name: estimate.value for name, estimate in outcome.metrics.items()}
            sites[site] = sites.get(site, SiteRound()).model_copy(update={"val": values})
    changes = {"sites": dict(sorted(sites.items())), "failed": failed, "bytes_down": result.bytes_down + bytes_sent}
    return result.model_copy(update=changes)
