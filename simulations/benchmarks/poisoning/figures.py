"""From the outcomes of runs to the figures of the tables: points lost, backdoor success, recall and false alarms."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from medfed.report.sweep_statistics import mean_over_seeds
from medfed.results import Estimate
from simulations.benchmarks.poisoning.pair import Outcome
from simulations.benchmarks.poisoning.plan import CLEAN, Pair, rules

Outcomes = Mapping[Pair, Outcome]


@dataclass(frozen=True)
class Named:
    """Sites named by a detector, over several runs.

    Attributes:
        malicious: how many malicious sites there were, summed over runs.
        found: how many of them were named.
        honest: how many honest sites there were.
        alarms: how many of them were named.
    """

    malicious: int
    found: int
    honest: int
    alarms: int

    @property
    def recall(self) -> float | None:
        """Found of malicious; None where there was none."""
        return self.found / self.malicious if self.malicious else None

    @property
    def false_alarms(self) -> float | None:
        """Alarms of honest; None where there was none."""
        return self.alarms / self.honest if self.honest else None


def chosen(outcomes: Outcomes, attack: str, rule: str, num_malicious: int) -> dict[int, Outcome]:
    """Seed -> outcome of one cell."""
    key = (attack, rule, num_malicious)
    return {p.seed: found for p, found in outcomes.items() if (p.attack, p.rule, p.num_malicious) == key}


def accuracy(cell: Mapping[int, Outcome]) -> Estimate:
    """Mean over the seeds whose run came to its end."""
    return mean_over_seeds([found.accuracy for found in cell.values() if found.accuracy is not None], bounded=True)


def points_lost(cell: Mapping[int, Outcome], clean: Mapping[int, Outcome]) -> Estimate:
    """100 x (accuracy without attack - accuracy), seed by seed, under the same rule."""
    lost = []
    for seed, found in cell.items():
        before = clean[seed].accuracy if seed in clean else None
        if before is not None and found.accuracy is not None:
            lost.append(100.0 * (before - found.accuracy))
    return mean_over_seeds(lost)


def success(cell: Mapping[int, Outcome], attack: str) -> Estimate:
    """The backdoor's success rate; of no value where ``attack`` is none."""
    rates = [found.success[attack] for found in cell.values() if attack in found.success]
    return mean_over_seeds(rates, bounded=True)


def named(outcomes: Iterable[Outcome], detectors: Iterable[str]) -> Named:
    """Sites that any of ``detectors`` names, summed over runs; runs that did not start count nowhere."""
    wanted = tuple(detectors)
    malicious = found = honest = alarms = 0
    for outcome in outcomes:
        suspects = {site for detector in wanted for site in outcome.named.get(detector, ())}
        bad = set(outcome.malicious)
        good = set(outcome.sites) - bad
        malicious, found = malicious + len(bad), found + len(suspects & bad)
        honest, alarms = honest + len(good), alarms + len(suspects & good)
    return Named(malicious, found, honest, alarms)


def of_attack(outcomes: Outcomes, attack: str, num_malicious: int) -> list[Outcome]:
    """All runs of an attack under FedAvg, whatever the rule; without noise, which tells honest sites from others."""
    wanted, counted = (attack, num_malicious), rules(num_malicious)
    return [o for p, o in outcomes.items() if (p.attack, p.num_malicious) == wanted and p.rule in counted]


def played(outcomes: Outcomes, attacks: Iterable[str], num_malicious: int) -> list[str]:
    """Those of ``attacks`` that so many sites can play: some run was not refused."""
    return [attack for attack in attacks if any(not o.refused for o in of_attack(outcomes, attack, num_malicious))]


def least_lost(outcomes: Outcomes, attack: str, rules: Iterable[str], num_malicious: int) -> tuple[str, float] | None:
    """The rule that loses the fewest points, and how many; None where no rule has both runs."""
    lost = {}
    for rule in rules:
        cell = chosen(outcomes, attack, rule, num_malicious)
        value = points_lost(cell, chosen(outcomes, CLEAN, rule, num_malicious)).value
        if value is not None and not any(found.stopped for found in cell.values()):
            lost[rule] = value
    best = min(lost, key=lost.__getitem__) if lost else None
    return None if best is None else (best, lost[best])
