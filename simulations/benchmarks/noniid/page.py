"""The section of ``docs/results.md``: what was tried, what was chosen, and what the chosen values came to."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from medfed.results import Estimate, Summary
from simulations.benchmarks.noniid.choose import Validation, best, tried
from simulations.benchmarks.noniid.figures import baselines_of, federated, gap_closed, over_seeds, summaries
from simulations.benchmarks.noniid.plan import SEEDS, TUNING_SEED, Trial, base, strategies, trials
from simulations.benchmarks.noniid.runs import failure

BEGIN = "<!-- from here: written by simulations.benchmarks.noniid -->"
END = "<!-- up to here: written by simulations.benchmarks.noniid -->"

METRICS = {
    "pneumonia": ("balanced_accuracy", "auroc"),
    "skin": ("balanced_accuracy", "auroc"),
    "nuclei": ("dice",),
}
PERSONAL = ("fedbn", "fedper", "ditto")
"""Each site is tested with a model of its own; marked in the tables."""

_Found = Mapping[str, tuple[Trial, Mapping[int, Summary]]]


def section(sets: Sequence[str], out: Path) -> str:
    """Everything between the two markers."""
    return "\n\n".join([BEGIN, *(_set(name, out) for name in sets), END])


def replace_section(page: str, new: str) -> str:
    """``page`` with the old section exchanged for ``new``.

    Raises:
        ValueError: the page does not hold both markers, in this order.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page must hold both markers, in this order: {BEGIN} and {END}")
    return before + new + after


def _set(name: str, out: Path) -> str:
    found = {s: (trial, summaries(trial, out)) for s in strategies() if (trial := _chosen(name, s, out)) is not None}
    tables = [_test_table(found, metric) for metric in METRICS[name]]
    return "\n\n".join([f"### {name}", *tables, _tried_table(name, out), *_failures(name, out)])


def _chosen(name: str, strategy: str, out: Path) -> Trial | None:
    figures = tried(name, strategy, out)
    return best(figures) if figures else None


def _test_table(found: _Found, metric: str) -> str:
    lines = [
        f"| test {metric} | value chosen | mean over sites | share of the gap closed | per seed | seeds | s per run |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *_baseline_lines(found, metric),
    ]
    for strategy, (trial, runs) in found.items():
        mark = " *" if strategy in PERSONAL else ""
        shares = ", ".join(_share(runs[seed], metric) for seed in sorted(runs))
        seconds = f"{sum(s.seconds for s in runs.values()) / len(runs):.0f}" if runs else "-"
        values = _values(trial)
        figures = f"{_text(federated(runs, metric))} | {_text(gap_closed(runs, metric), 2)} | {shares}"
        lines.append(f"| {strategy}{mark} | {values} | {figures} | {len(runs)} | {seconds} |")
    return "\n".join(lines)


def _baseline_lines(found: _Found, metric: str) -> list[str]:
    """Pooled, the best single model, and local models on their own images: over all seeds that any run has."""
    by_seed = {seed: summary for _, runs in found.values() for seed, summary in runs.items()}
    known = [b for seed in sorted(by_seed) if (b := baselines_of(by_seed[seed], metric)) is not None]
    sites = ", ".join(b.best_site for b in known)
    rows = [
        ("pooled", over_seeds([b.pooled for b in known]), "1"),
        (f"best single model ({sites})", over_seeds([b.best for b in known]), "0"),
        ("local models, own images", over_seeds([b.own for b in known]), "-"),
    ]
    return [f"| {label} | - | {_text(value)} | {share} | - | {len(known)} | - |" for label, value, share in rows]


def _tried_table(name: str, out: Path) -> str:
    metric = base(name).headline
    lines = [f"| tried, seed {TUNING_SEED} | validation {metric}, loss |", "| --- | --- |"]
    for strategy in strategies():
        figures = tried(name, strategy, out)
        chosen = best(figures) if figures else None
        shown = [
            f"{'**' if trial == chosen else ''}{_values(trial)}: {_validation(value)}{'**' if trial == chosen else ''}"
            for trial, value in (figures or dict.fromkeys(trials(name, strategy))).items()
        ]
        lines.append(f"| {strategy} | {'; '.join(shown) if figures else 'not finished'} |")
    return "\n".join(lines)


def _failures(name: str, out: Path) -> list[str]:
    """A line per run that could not be finished."""
    every = {(trial, seed) for s in strategies() for trial in trials(name, s) for seed in SEEDS}
    ended = sorted((trial.scenario(seed).name, trial, seed) for trial, seed in every)
    lines = [f"- {label}: {cause}" for label, _, _ in ended if (cause := failure(out / name / label)) is not None]
    return ["Runs that could not be finished:\n\n" + "\n".join(lines)] if lines else []


def _values(trial: Trial) -> str:
    return ", ".join(f"{key} {value}" for key, value in trial.fields.items()) or "-"


def _validation(value: Validation | None) -> str:
    return "failed" if value is None else f"{value.headline:.3f}, {value.loss:.3f}"


def _share(summary: Summary, metric: str) -> str:
    share = summary.gap_closed.get(metric)
    return "no gap" if share is None else f"{share:.2f}"


def _text(estimate: Estimate, digits: int = 3) -> str:
    if estimate.value is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.{digits}f}"
    return f"{estimate.value:.{digits}f} ({estimate.low:.{digits}f} to {estimate.high:.{digits}f})"
