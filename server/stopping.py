"""When more rounds no longer help on validation data, and which weights become the model: a round's, or an average.

An average over the rounds is made of the global weights alone: where these are private, it is too, and costs nothing.
"""

from collections.abc import Sequence

from torch import Tensor

from medfed.config import Scenario
from medfed.results import RoundResult
from medfed.types import Weights
from server.quorum import required


def _scores(result: RoundResult, metric: str) -> dict[str, float]:
    """By site, of those that have the validation metric."""
    return {site: value for site, about in result.sites.items() if (value := about.val.get(metric)) is not None}


def mean_validation(result: RoundResult, metric: str) -> float | None:
    """Mean over the sites that have it of a validation metric; None where none has."""
    values = _scores(result, metric).values()
    return sum(values) / len(values) if values else None


def is_better(result: RoundResult, best: RoundResult, metric: str, needed: int) -> bool | None:
    """Whether ``result`` is better than ``best``; None: they cannot be compared.

    Means over different sites differ though the model be the same, so both are taken over the sites that have the
    metric in both rounds. Where these are fewer than ``needed``, the round that more sites have is the better one.
    """
    new, old = _scores(result, metric), _scores(best, metric)
    shared = sorted(new.keys() & old.keys())
    if len(shared) < needed:
        return True if len(new) > len(old) else None
    return sum(new[site] for site in shared) > sum(old[site] for site in shared)


def _needed(scenario: Scenario) -> int:
    return required(scenario.federation.quorum, len(scenario.training_sites))


def _best(scenario: Scenario, rounds: Sequence[RoundResult]) -> RoundResult | None:
    metric, needed = scenario.headline, _needed(scenario)
    best: RoundResult | None = None
    for result in rounds:
        if is_better(result, best, metric, needed) if best else _scores(result, metric):
            best = result
    return best


def best_round(scenario: Scenario, rounds: Sequence[RoundResult]) -> int | None:
    """The number of the best round by validation; None where no site has the metric in any.

    The first round that has the metric is the best until a later one is better (:func:`is_better`), and so on. So
    whether a round is the best so far depends on no later one, whose weights are not there yet.
    """
    best = _best(scenario, rounds)
    return best.round if best else None


def stale_evaluations(scenario: Scenario, rounds: Sequence[RoundResult]) -> int:
    """How many evaluations came after the best one and can be compared with it."""
    best, metric, needed = _best(scenario, rounds), scenario.headline, _needed(scenario)
    if best is None:
        return 0
    later = [result for result in rounds if result.round > best.round]
    return sum(is_better(result, best, metric, needed) is not None for result in later)


def is_over(scenario: Scenario, rounds: Sequence[RoundResult]) -> bool:
    """Whether all rounds were run, or ``evaluation.patience`` is over."""
    patience = scenario.evaluation.patience
    if len(rounds) >= scenario.training.rounds:
        return True
    return patience > 0 and stale_evaluations(scenario, rounds) >= patience


def kept_weights(scenario: Scenario, before: Weights, weights: Weights, rounds: Sequence[RoundResult]) -> Weights:
    """What becomes the model if the last of ``rounds`` is the last at all; empty: that round's weights.

    The average is exponential and begins with the first round: after t rounds a weight is (1 - d) x + d a, with
    d = min(``decay``, (1 + t) / (10 + t)), as De et al. (arXiv:2204.13650, section 3.1) have it from TensorFlow.
    """
    if scenario.evaluation.keep == "average":
        done = len(rounds)
        decay = min(scenario.evaluation.decay, (1.0 + done) / (10.0 + done)) if before else 0.0
        return {name: _mixed(before.get(name, value), value, decay) for name, value in weights.items()}
    is_best = scenario.evaluation.keep == "best" and best_round(scenario, rounds) == rounds[-1].round
    return weights if is_best else before


def _mixed(average: Tensor, value: Tensor, decay: float) -> Tensor:
    return average.lerp(value, 1.0 - decay) if value.is_floating_point() else value


def notes(scenario: Scenario, rounds: Sequence[RoundResult]) -> list[str]:
    """What a reader must know: that the rounds ended early, and whose round's model is kept."""
    found, total, metric = [], scenario.training.rounds, scenario.headline
    if len(rounds) < total and is_over(scenario, rounds):
        found.append(
            f"ended after round {len(rounds)} of {total}: no better validation {metric} in "
            f"{scenario.evaluation.patience} evaluations (evaluation.patience)"
        )
    best = best_round(scenario, rounds)
    if scenario.evaluation.keep == "best":
        found.append(
            f"evaluation.keep = best, but no validation {metric} is defined: the model is that of the last round"
            if best is None
            else f"the model is that of round {best}, the best by validation {metric} (evaluation.keep)"
        )
    if scenario.evaluation.keep == "average":
        found.append("the model is an average over the rounds, whose validation is each round's own (evaluation.keep)")
    if best is not None and (scenario.evaluation.keep == "best" or scenario.evaluation.patience):
        found += _unequal(rounds, metric)
    return found


def _unequal(rounds: Sequence[RoundResult], metric: str) -> list[str]:
    """A line where rounds could not be compared over all sites."""
    sites = {result.round: frozenset(_scores(result, metric)) for result in rounds}
    most = frozenset().union(*sites.values())
    fewer = [str(number) for number, found in sites.items() if found and found != most]
    if not fewer:
        return []
    return [
        f"validation {metric} is missing at some sites in round {', '.join(fewer)}: two rounds are compared over the "
        "sites that have it in both, if they are a quorum (evaluation.keep, evaluation.patience)"
    ]
