"""One round: send the weights, check and fold every update in site order, apply the strategy."""

from dataclasses import dataclass, field

from flwr.serverapp import Grid

from medfed import events, messages
from medfed.config import Scenario
from medfed.errors import QuorumError, UpdateError
from medfed.params import num_bytes
from medfed.results import Failure, RoundResult, SiteRound
from medfed.run_folder import RunFolder
from medfed.types import Update, Weights
from server.checks import check_update
from server.exchange import Fault, MessageType, Reply, announce, exchange, window_size
from server.fold import MeanFold
from server.quorum import required
from server.roster import Roster


@dataclass(frozen=True, eq=False)
class Outcome:
    """A closed round: next weights and state, and its line for ``rounds.jsonl``."""

    weights: Weights
    state: Weights
    result: RoundResult


@dataclass
class _Open:
    """A round in progress."""

    number: int
    weights: Weights
    fold: MeanFold = field(default_factory=MeanFold)
    sites: dict[str, SiteRound] = field(default_factory=dict)
    failed: list[Failure] = field(default_factory=list)
    num_replies: int = 0


def run_round(
    grid: Grid,
    scenario: Scenario,
    roster: Roster,
    chosen: list[str],
    number: int,
    weights: Weights,
    state: Weights,
    folder: RunFolder,
) -> Outcome:
    """Train the ``chosen`` sites from ``weights``; ``folder`` keeps the updates of recorded rounds.

    Raises:
        QuorumError: fewer than the quorum delivered a valid update.
    """
    recorded = number in scenario.recorded_rounds
    if recorded:
        folder.record_global(number, weights)
    current = _Open(number, weights, failed=[roster.absence(site) for site in chosen if site not in roster.nodes])
    asked = {site: roster.nodes[site] for site in chosen if site in roster.nodes}
    packed = messages.pack_weights(weights)
    text = scenario.travelling().to_toml()
    replies = exchange(
        grid,
        asked,
        MessageType.TRAIN,
        lambda: messages.request(text, number, packed),
        round_number=number,
        deadline_seconds=scenario.federation.deadline_seconds,
        window=window_size(scenario, weights),
    )
    for site, reply in replies:
        _fold_reply(scenario, current, site, reply, folder if recorded else None)
    _require_quorum(scenario, current, len(chosen))
    next_weights, next_state = scenario.federation.strategy(weights, current.fold.result(), state)
    return Outcome(next_weights, next_state, _result(current, len(asked)))


def _fold_reply(scenario: Scenario, current: _Open, site: str, reply: Reply, folder: RunFolder | None) -> None:
    """Check one reply and add it to the mean, or note why not."""
    try:
        if isinstance(reply, Fault):
            fault = reply
        else:
            current.num_replies += 1
            update, seconds = messages.read_update(site, reply)
            check_update(update, current.weights)
            if folder is not None:
                folder.record_update(current.number, update)
            current.fold.add(update.tensors, scenario.federation.strategy.weight(update))
            current.sites[site] = _site_round(update, seconds)
            events.emit(events.SiteDone(current.number, site, update.metrics["loss"]))
            return
    except UpdateError as error:
        fault = Fault(Failure(site=site, code="update", cause=str(error), remedy="its update was not used"))
    announce(fault, current.number)
    current.failed.append(fault.failure)


def _site_round(update: Update, seconds: float) -> SiteRound:
    loss = update.metrics["loss"]
    return SiteRound(num_examples=update.num_examples, num_steps=update.num_steps, loss=loss, seconds=seconds)


def _require_quorum(scenario: Scenario, current: _Open, num_chosen: int) -> None:
    quorum = scenario.federation.quorum
    if len(current.sites) >= required(quorum, num_chosen):
        return
    causes = "; ".join(f"{failure.site}: {failure.cause}" for failure in current.failed[:3])
    raise QuorumError(
        f"round {current.number}: only {len(current.sites)} of {num_chosen} sites delivered "
        f"(federation.quorum = {quorum:g}): {causes}"
    )


def _result(current: _Open, num_asked: int) -> RoundResult:
    size = num_bytes(current.weights)
    return RoundResult(
        round=current.number,
        seconds=0.0,
        bytes_up=size * current.num_replies,
        bytes_down=size * num_asked,
        sites=current.sites,
        failed=current.failed,
    )
