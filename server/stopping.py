"""Early stopping: when more rounds no longer help on validation data, and which round was the best."""

from collections.abc import Sequence

from medfed.config import Scenario
from medfed.results import RoundResult


def mean_validation(result: RoundResult, metric: str) -> float | None:
    """Mean over the sites that have it of a validation metric; None where none has."""
    values = [value for site in result.sites.values() if (value := site.val.get(metric)) is not None]
    return sum(values) / len(values) if values else None


def best_round(rounds: Sequence[RoundResult], metric: str) -> int | None:
    """The number of the first round with the highest mean validation metric; None where there is none."""
    scores = [(score, -result.round) for result in rounds if (score := mean_validation(result, metric)) is not None]
    return -max(scores)[1] if scores else None


def stale_evaluations(rounds: Sequence[RoundResult], metric: str) -> int:
    """How many evaluations came after the best one."""
    best = best_round(rounds, metric)
    later = [result for result in rounds if best is not None and result.round > best]
    return sum(mean_validation(result, metric) is not None for result in later)


def is_over(scenario: Scenario, rounds: Sequence[RoundResult]) -> bool:
    """Whether all rounds were run, or ``evaluation.patience`` is over."""
    patience = scenario.evaluation.patience
    if len(rounds) >= scenario.training.rounds:
        return True
    return patience > 0 and stale_evaluations(rounds, scenario.headline) >= patience


def notes(scenario: Scenario, rounds: Sequence[RoundResult]) -> list[str]:
    """What a reader must know: that the rounds ended early, and whose round's model is kept."""
    found, total, metric = [], scenario.training.rounds, scenario.headline
    if len(rounds) < total and is_over(scenario, rounds):
        found.append(
            f"ended after round {len(rounds)} of {total}: no better validation {metric} in "
            f"{scenario.evaluation.patience} evaluations (evaluation.patience)"
        )
    if scenario.evaluation.keep == "best":
        best = best_round(rounds, metric)
        found.append(
            f"evaluation.keep = best, but no validation {metric} is defined: the model is that of the last round"
            if best is None
            else f"the model is that of round {best}, the best by validation {metric} (evaluation.keep)"
        )
    return found
