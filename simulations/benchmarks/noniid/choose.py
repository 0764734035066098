"""The choice of a strategy's values by validation images; test figures are not read here."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from medfed.results import RunResult
from server.stopping import mean_validation
from simulations.benchmarks.noniid.plan import TUNING_SEED, Trial, trials
from simulations.benchmarks.noniid.runs import failure, finished


@dataclass(frozen=True)
class Validation:
    """After the last round, as means over sites: the headline metric (higher is better) and the loss."""

    headline: float
    loss: float

    @property
    def rank(self) -> tuple[float, float]:
        """Larger is better: the metric in steps of 0.01, as a few validation images tell no more, then the loss."""
        return round(self.headline, 2), -self.loss


def validated(trial: Trial, out: Path, seed: int = TUNING_SEED) -> Validation | None:
    """What a finished run came to; None where it failed or is not finished."""
    scenario = trial.scenario(seed)
    folder = out / trial.set_name / scenario.name
    done = finished(folder, scenario)
    return None if done is None else validation(done, scenario.headline)


def validation(run: RunResult, headline: str) -> Validation | None:
    """Of the last round; None where a figure is missing at every site."""
    last = run.rounds()[-1]
    score, loss = mean_validation(last, headline), mean_validation(last, "loss")
    return None if score is None or loss is None else Validation(score, loss)


def tried(set_name: str, strategy: str, out: Path) -> dict[Trial, Validation | None] | None:
    """Every trial of the strategy with what it came to (None: it failed); None while one of them is not finished."""
    found = {}
    for trial in trials(set_name, strategy):
        found[trial] = validated(trial, out)
        if found[trial] is None and failure(out / set_name / trial.scenario(TUNING_SEED).name) is None:
            return None
    return found


def best(figures: Mapping[Trial, Validation | None]) -> Trial | None:
    """The trial with the best validation; the first of equals; None where all failed."""
    ranked = [(value.rank, -place, trial) for place, (trial, value) in enumerate(figures.items()) if value is not None]
    return max(ranked, key=lambda entry: entry[:2])[2] if ranked else None
