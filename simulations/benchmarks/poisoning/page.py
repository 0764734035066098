"""The tables of the matrix, and ``docs/results-poisoning.md``."""

import textwrap
from collections.abc import Sequence

from medfed.results import Estimate
from robustness.detection import DETECTORS
from simulations.benchmarks.poisoning import figures
from simulations.benchmarks.poisoning.figures import Outcomes, chosen
from simulations.benchmarks.poisoning.pair import SERVER_CHECKS, Outcome
from simulations.benchmarks.poisoning.plan import (
    ATTACKS,
    CLEAN,
    FEDAVG,
    HONEST_NORM,
    NOISED,
    STRATEGY_ATTACKS,
    STRATEGY_COLUMNS,
    base,
)

_WIDTH = 120

WAYS = (*DETECTORS, SERVER_CHECKS)
"""All ways in which a site is named."""

LEAST_CLEAN, MOST_LOST, LEAST_RECALL, MOST_ALARMS = 0.85, 5.0, 0.9, 0.05
"""Goals: accuracy of FedAvg without attack, points that the best rule loses, malicious and honest sites named."""


def page(
    outcomes: Outcomes,
    attacks: Sequence[str],
    rules: Sequence[str],
    malicious: Sequence[int],
    command: str,
    missing: int = 0,
) -> str:
    """The whole page; ``command`` is what writes it anew, ``missing`` how many runs are not finished."""
    seeds = sorted({pair.seed for pair in outcomes})
    scenario = base()
    parts = [
        "# Malicious sites: every attack under every rule",
        f"Written by `{command}`. PneumoniaMNIST, {scenario.data.partition.num_sites} sites alike (IID), "
        f"{scenario.training.rounds} rounds, seeds {', '.join(map(str, seeds))}. Attacks, rules, detectors and what "
        "the figures mean: [poisoning.md](poisoning.md)."
        + (" Intervals speak of another seed on the same images, not of other patients." if len(seeds) > 1 else ""),
    ]
    if missing:
        parts.append(
            f"Not finished: {missing} of {missing + len(outcomes)} runs. What they would add is not in the figures, so "
            "that some are of fewer seeds than others; a figure without an interval is of one seed at most."
        )
    if noised := [rule for rule in rules if rule in NOISED]:
        parts.append(noise_note(outcomes, noised))
    of_fedavg = [rule for rule in rules if rule not in STRATEGY_COLUMNS]
    for number in malicious:
        parts += [
            f"## {number} of {scenario.data.partition.num_sites} sites malicious",
            "Test accuracy, and in brackets the points that it is below the same rule without attack"
            + (" (mean over seeds, 95 % interval)" if len(seeds) > 1 else ""),
            accuracy_table(outcomes, attacks, of_fedavg, number),
            "Success of the backdoor: share of test images with a finding that the trigger turns to none, and in "
            "brackets the same under that rule without attack",
            success_table(outcomes, attacks, of_fedavg, number),
            "Who is named, over all rules without noise: share of malicious sites named / share of honest sites named",
            named_table(outcomes, attacks, number),
            goals(outcomes, attacks, of_fedavg, number),
        ]
        if others := [rule for rule in rules if rule in STRATEGY_COLUMNS]:
            parts += [
                "Strategies other than FedAvg, accuracy and points lost as above",
                strategy_table(outcomes, attacks, others, number),
            ]
    return "\n\n".join(map(_wrapped, parts)) + "\n"


def noise_note(outcomes: Outcomes, noised: Sequence[str]) -> str:
    """What the columns with noise are, and what their epsilon comes to."""
    found = []
    for name in noised:
        rule, mechanism = NOISED[name]
        epsilons = [o.epsilon for pair, o in outcomes.items() if pair.rule == name and o.epsilon is not None]
        spent = f"epsilon {max(epsilons):,.0f}" if epsilons else "not run"
        found.append(f"`{name}` is {rule} with noise multiplier {mechanism['noise_multiplier']:g} ({spent})")
    return (
        f"Clip and noise ([privacy.md](privacy.md)), clip {HONEST_NORM:g}: {'; '.join(found)}. Epsilon is of whole "
        "sites over all rounds at delta 1e-5, one site added or removed, and hides nothing at this size: noise for "
        "epsilon 8 would leave no model with 20 sites. Malicious sites add no noise, so that they are named too easily "
        "there: who is named is counted without these columns. Under `norm_clipped_mean` and `mean+central` the server "
        "bounds every update."
    )


def _wrapped(part: str) -> str:
    """Prose in lines of a page; a table or heading as it is."""
    as_it_is = part.startswith(("|", "#"))
    return part if as_it_is else textwrap.fill(part, _WIDTH, break_long_words=False, break_on_hyphens=False)


def accuracy_table(outcomes: Outcomes, attacks: Sequence[str], rules: Sequence[str], number: int) -> str:
    """A row per attack, a column per rule."""
    rows = {a: [_accuracy(outcomes, a, rule, number) for rule in rules] for a in (CLEAN, *attacks)}
    return _table("attack", rules, rows)


def strategy_table(outcomes: Outcomes, attacks: Sequence[str], columns: Sequence[str], number: int) -> str:
    """A row per strategy and rule, a column per attack."""
    tried = (CLEAN, *(attack for attack in attacks if attack in STRATEGY_ATTACKS))
    rows = {column: [_accuracy(outcomes, attack, column, number) for attack in tried] for column in columns}
    return _table("strategy, rule", tried, rows)


def _accuracy(outcomes: Outcomes, attack: str, rule: str, number: int) -> str:
    found, clean = chosen(outcomes, attack, rule, number), chosen(outcomes, CLEAN, rule, number)
    if said := _no_figure(list(found.values())):
        return said
    shown = _text(figures.accuracy(found), 3)
    return shown if attack == CLEAN else f"{shown} ({_text(figures.points_lost(found, clean), 1)})"


def success_table(outcomes: Outcomes, attacks: Sequence[str], rules: Sequence[str], number: int) -> str:
    """A row per backdoor, a column per rule."""

    def cell(attack: str, rule: str) -> str:
        found = chosen(outcomes, attack, rule, number)
        if said := _no_figure(list(found.values())):
            return said
        clean = figures.success(chosen(outcomes, CLEAN, rule, number), attack)
        return f"{_text(figures.success(found, attack), 2)} ({_text(clean, 2)})"

    backdoors = [attack for attack in attacks if ATTACKS[attack]["name"] == "backdoor"]
    return _table("backdoor", rules, {attack: [cell(attack, rule) for rule in rules] for attack in backdoors})


def named_table(outcomes: Outcomes, attacks: Sequence[str], number: int) -> str:
    """A row per attack, a column per way of naming, and one for all of them together."""

    def cell(attack: str, ways: Sequence[str]) -> str:
        found = figures.named(figures.of_attack(outcomes, attack, number), ways)
        return f"{_share(found.recall)} / {_share(found.false_alarms)}"

    columns = [*((way,) for way in WAYS), WAYS]
    rows = {attack: [cell(attack, ways) for ways in columns] for attack in (CLEAN, *attacks)}
    return _table("attack", [*WAYS, "any of them"], rows)


def candidates(rules: Sequence[str]) -> list[str]:
    """The rules that are to withstand an attack: all but the plain mean, without noise."""
    return [rule for rule in rules if rule != FEDAVG and rule not in NOISED and rule not in STRATEGY_COLUMNS]


def goals(outcomes: Outcomes, attacks: Sequence[str], rules: Sequence[str], number: int) -> str:
    """Which goals hold for which attacks, in words."""
    tried = figures.played(outcomes, attacks, number)
    lost, recall, alarms = dict[str, str](), dict[str, str](), dict[str, str]()
    for attack in tried:
        best = figures.least_lost(outcomes, attack, candidates(rules), number)
        if best is None or best[1] > MOST_LOST:
            lost[attack] = "no figure" if best is None else f"{best[1]:.1f} under {best[0]}"
    for attack in (CLEAN, *tried):
        told = figures.named(figures.of_attack(outcomes, attack, number), WAYS)
        if told.recall is not None and told.recall < LEAST_RECALL:
            recall[attack] = f"{told.recall:.0%}"
        if told.false_alarms is not None and told.false_alarms > MOST_ALARMS:
            alarms[attack] = f"{told.false_alarms:.1%}"
    return (
        f"Some robust rule loses at most {MOST_LOST:g} points: {_held(lost)}. At least {LEAST_RECALL:.0%} of the "
        f"malicious sites are named: {_held(recall)}. At most {MOST_ALARMS:.0%} of the honest sites are named: "
        f"{_held(alarms)}."
    )


def _held(missed: dict[str, str]) -> str:
    said = ", ".join(f"{attack} ({figure})" for attack, figure in missed.items())
    return f"under every attack but {said}" if said else "under every attack"


def _no_figure(found: Sequence[Outcome]) -> str:
    """Why a cell has no figure; empty where it has one."""
    for outcome in found:
        if outcome.refused:
            return f"refused: {outcome.refused}"
        if outcome.stopped:
            return "no model: the run stopped"
    return "" if found else "not run"


def _table(first: str, columns: Sequence[str], rows: dict[str, list[str]]) -> str:
    lines = [f"| {first} | {' | '.join(columns)} |", f"|{'---|' * (len(columns) + 1)}"]
    return "\n".join([*lines, *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items())])


def _text(estimate: Estimate, digits: int) -> str:
    if estimate.value is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.{digits}f}"
    return f"{estimate.value:.{digits}f}, {estimate.low:.{digits}f} to {estimate.high:.{digits}f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
