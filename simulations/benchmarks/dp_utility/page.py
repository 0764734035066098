"""From outcomes to the page and the closing rows; reads what is there, runs nothing."""

from collections.abc import Iterator, Mapping, Sequence
from textwrap import fill

from medfed.report.sweep_statistics import mean_over_seeds, paired_difference
from medfed.results import Estimate
from simulations.benchmarks.dp_utility.plan import (
    ABLATED,
    ABLATION_EPSILON,
    ALL,
    EPSILONS,
    METRICS,
    SEEDS,
    TUNING_EPSILON,
    TUNING_SEED,
    UNITS,
    Job,
    ablation,
    base,
    table,
    tuning,
)
from simulations.benchmarks.dp_utility.runs import Outcome
from simulations.benchmarks.report import Row

Outcomes = Mapping[str, Outcome]


def chosen_rates(set_name: str, found: Outcomes) -> tuple[float, float] | None:
    """The rates with noise and without that are best on validation; None while one of the trials is missing."""
    jobs = list(tuning(set_name))
    if any(job.key not in found for job in jobs):
        return None

    def score(job: Job) -> float:
        validation = found[job.key].validation
        return sum(validation.get(metric, -1.0) for metric in METRICS[set_name])

    def best(private: bool) -> float:
        return max((job for job in jobs if (job.epsilon is not None) == private), key=score).rate

    return best(True), best(False)


def values(jobs: Sequence[Job], metric: str, found: Outcomes) -> dict[int, float]:
    """Seed -> the metric on test images."""
    return {job.seed: found[job.key].test[metric] for job in jobs if job.key in found and metric in found[job.key].test}


def page(sets: Sequence[str], found: Outcomes) -> str:
    """The whole page."""
    lines = list(_HEAD)
    for set_name in sets:
        rates = chosen_rates(set_name, found)
        if rates is not None:
            lines += [*_of_set(set_name, rates, found), ""]
    wrapped = (line if line.startswith(("|", "#")) else fill(line, _WIDTH) for line in lines)
    return "\n".join(wrapped).rstrip() + "\n"


def rows(sets: Sequence[str], found: Outcomes) -> list[Row]:
    """The first metric of every set, unit and epsilon; there is no peer and no goal."""
    made = []
    for set_name in sets:
        rates = chosen_rates(set_name, found)
        for (unit, epsilon), jobs in _groups(set_name, rates).items() if rates else []:
            metric = METRICS[set_name][0]
            seen = values(jobs, metric, found)
            if seen:
                case = f"{set_name}, {unit}, epsilon {_said(epsilon)}, {len(seen)} seeds"
                mean = mean_over_seeds(list(seen.values()), bounded=True)
                assert mean.value is not None
                made.append(Row(case, mean.value, None, metric, "higher", None, "no peer"))
    return made


def _groups(set_name: str, rates: tuple[float, float]) -> dict[tuple[str, float | None], list[Job]]:
    grouped: dict[tuple[str, float | None], list[Job]] = {}
    for job in table(set_name, *rates):
        grouped.setdefault((job.unit, job.epsilon), []).append(job)
    order = {(unit, epsilon): None for unit in UNITS[set_name] for epsilon in EPSILONS}
    return {key: grouped[key] for key in order if key in grouped}


def _of_set(set_name: str, rates: tuple[float, float], found: Outcomes) -> Iterator[str]:
    metrics = METRICS[set_name]
    yield f"## {set_name}"
    yield ""
    yield _setting(set_name, found)
    yield ""
    yield f"| unit | epsilon | one replaced | noise multiplier | {' | '.join(metrics)} | seeds |"
    yield "|---|---|---|---|" + "---|" * (len(metrics) + 1)
    for (unit, epsilon), jobs in _groups(set_name, rates).items():
        done = [job for job in jobs if job.key in found]
        noise = [value for job in done if (value := found[job.key].noise) is not None]
        others = [value for job in done if (value := found[job.key].replaced) is not None]
        cells = [_cell(list(values(jobs, metric, found).values())) for metric in metrics]
        shown = f"{sum(noise) / len(noise):.2f}" if noise else "-"
        replaced = f"{max(others):.3g}" if others else "-"
        kind = "-" if epsilon is None else unit
        yield f"| {kind} | {_said(epsilon)} | {replaced} | {shown} | {' | '.join(cells)} | {len(done)} |"
    yield ""
    yield from _ablated(set_name, rates, found)
    yield _tried(set_name, found)


def _setting(set_name: str, found: Outcomes) -> str:
    scenario, training = base(set_name), base(set_name).training
    mechanism = scenario.privacy.mechanism
    sizes = {found[job.key].num_values for job in tuning(set_name) if job.key in found}
    patients = "" if len(UNITS[set_name]) > 1 else " Patients are not known: every image counts as one of its own."
    return (
        f"Images of {scenario.data.image_size} pixels, model of {max(sizes):,} values, {training.rounds} rounds of "
        f"{training.local_steps} steps, {training.batch_size} units expected in a step (all where a site has fewer), "
        f"clip {mechanism.clip:g}, {mechanism.multiplicity} augmentations of an image, delta "
        f"{scenario.privacy.delta:g}.{patients}"
    )


def _ablated(set_name: str, rates: tuple[float, float], found: Outcomes) -> Iterator[str]:
    metric, unit = METRICS[set_name][0], UNITS[set_name][0]
    whole = values(_groups(set_name, rates)[unit, ABLATION_EPSILON], metric, found)
    jobs = list(ablation(set_name, rates[0]))
    if not any(job.key in found for job in jobs):
        return
    yield f"Without one trick at a time, epsilon {ABLATION_EPSILON:g}, the same learning rate:"
    yield ""
    yield f"| | {metric} | less than with all, by seed | seeds |"
    yield "|---|---|---|---|"
    yield f"| {ALL} | {_cell(list(whole.values()))} | - | {len(whole)} |"
    for variant in ABLATED:
        seen = values([job for job in jobs if job.variant == variant], metric, found)
        if seen:
            difference = _interval(paired_difference(whole, seen))
            yield f"| {variant} | {_cell(list(seen.values()))} | {difference} | {len(seen)} |"
    yield ""
    yield _LEARNT.get(set_name, "")
    yield ""


def _tried(set_name: str, found: Outcomes) -> str:
    tried = []
    for job in tuning(set_name):
        scores = found[job.key].validation
        shown = " / ".join(f"{scores[metric]:.3f}" for metric in METRICS[set_name] if metric in scores) or "none"
        tried.append(f"{job.rate:g} ({'noise' if job.epsilon else 'plain'}): {shown}")
    return (
        f"Learning rates tried on validation images ({' / '.join(METRICS[set_name])}, seed {TUNING_SEED}, epsilon "
        f"{TUNING_EPSILON:g} or none): {'; '.join(tried)}. {_TRIED_BEFORE.get(set_name, '')}".rstrip()
    )


def _said(epsilon: float | None) -> str:
    return "none" if epsilon is None else f"{epsilon:g}"


def _cell(numbers: Sequence[float]) -> str:
    return _interval(mean_over_seeds(numbers, bounded=True))


def _interval(found: Estimate) -> str:
    if found.value is None:
        return "-"
    return f"{found.value:.3f}" + ("" if found.low is None else f" [{found.low:.3f}, {found.high:.3f}]")


_LEARNT = {
    "pneumonia": (
        "Normalization is worth most. The large batch, which helps where training is long, costs something here: four "
        "times as many small steps come further in 24 rounds than few steps with less noise. What averages of the "
        "rounds' weights and a second augmentation bring cannot be told from nothing by three seeds."
    ),
}
"""Set -> what its ablations show."""

_TRIED_BEFORE = {
    "pneumonia": (
        "Looked at before: four runs with unweighted cross-entropy, whose balanced accuracy on validation images was "
        "0.5 and which led to the weight in the loss; three without noise and momentum. A clip of 0.5, with rates from "
        "2 to 16, was run over the seeds in part, and its test scores were seen (auroc 0.89, 0.89 and 0.85 at epsilon "
        "8, 3 and 1, balanced accuracy 0.52, 0.54 and 0.50). It was given up since gradients of training images are "
        "longer, 0.65 for pneumonia and 2.2 for normal, so that it took the loss's weight back."
    ),
    "nuclei": (
        "The two larger rates without noise were added once the smaller ones had found no nucleus (a dice of 0) on "
        "validation images; one run at 0.3 with the last round's weights had 0.556. With noise no rate found any with "
        "seed 1, by which rates are chosen, so that the first was taken and none was chosen; with seeds 2 and 3 it "
        "found some. The intervals overlap: no epsilon can be told from another by these rows. Tried since, on "
        "validation images, seed 1, epsilon 3, 30 rounds: AdamW with 0.01 gave 0.274, with 0.03 nothing."
    ),
}
"""Set -> what was looked at before the list of trials was as it is."""

_WIDTH = 118

_HEAD = (
    "# What privacy costs",
    "",
    "Written by `python -m simulations.benchmarks.dp_utility`. DP-SGD at every site ([privacy.md](privacy.md)), mean "
    "over the sites' test scores; all rounds together cost the site that pays most the epsilon of the row, of one "
    "image or patient added or removed, as the literature states it. What holds where counts are told is that of one "
    "replaced, the largest over the seeds, in the column beside it. In "
    f"brackets: 95 % Student-t intervals over seeds {', '.join(map(str, SEEDS))}, which speak of another seed on the "
    "same images, not of other patients; a row that has fewer seeds is not finished. Rows without noise see as many "
    "images, in batches of a quarter and four times the steps, with momentum.",
    "",
    "Learning rates were chosen on validation images, with noise at one epsilon for all. Choosing on private data is "
    "itself a release: these epsilons do not count it, nor the scores.",
    "",
)
