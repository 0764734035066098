"""What a sweep's table says in words: settings, which row is best by validation, and how clear a difference is."""

from medfed.overrides import short_names
from medfed.report.comparison import Difference, beyond_chance
from medfed.report.sweep_results import RunState, SweepResult, SweepRow
from medfed.report.sweep_rows import FINISHED
from medfed.report.text import interval, metric_title, number, short
from medfed.results import Estimate


def settings(row: SweepRow) -> list[tuple[str, str]]:
    """Short key and value of every axis; one entry that says so where nothing is varied but the seed."""
    names = short_names(list(row.settings))
    found = [(names[key], short(value.strip("\"'"), 40)) for key, value in row.settings.items()]
    return found or [("scenario", "as it is")]


def setting_line(row: SweepRow) -> str:
    """The settings in one line."""
    return ", ".join(f"{key} {value}" for key, value in settings(row))


def in_groups(result: SweepResult) -> list[SweepRow]:
    """The rows with those of the same data next to each other."""
    return sorted(result.rows, key=lambda row: row.data_group)


def num_finished(result: SweepResult) -> int:
    """How many runs have figures."""
    return sum(run.state in FINISHED for run in result.runs)


def only_data(result: SweepResult) -> bool:
    """Whether no two rows share their data, so that the data are what is compared."""
    return len(result.rows) > 1 and len({row.data_group for row in result.rows}) == len(result.rows)


def count(row: SweepRow) -> str:
    """Finished runs of all, and what became of the others."""
    states = [run.state for run in row.runs]
    parts = [f"{sum(state in FINISHED for state in states)} of {len(states)}"]
    for state, word in ((RunState.DEGRADED, "degraded"), (RunState.FAILED, "failed"), (RunState.PENDING, "to come")):
        if state in states:
            parts.append(f"{states.count(state)} {word}")
    return ", ".join(parts)


def clear(difference: Estimate | None, metric: str) -> str:
    """``better`` or ``worse`` where the interval lies on one side of 0, ``unclear`` where it does not or is unknown."""
    found = Difference.UNKNOWN if difference is None else beyond_chance(difference, metric)
    return {Difference.BETTER: "better", Difference.WORSE: "worse"}.get(found, "unclear")


def signed(value: float | None, digits: int = 3) -> str:
    """A rounded number with its sign, or a dash."""
    text = number(value, digits)
    return f"+{text}" if value is not None and float(text or 0) > 0 else text


def ranges_are(result: SweepResult) -> str:
    """What the intervals are taken over."""
    if len(result.seeds) == 1:
        return "One seed: test ranges are the run's own 95 % intervals, over patients, and say nothing of another seed."
    return (
        f"Ranges are 95 % t intervals over {len(result.seeds)} seeds (where one run alone is finished, over patients)."
    )


def conclusions(result: SweepResult) -> list[str]:
    """One sentence per row that is best by validation; one that says why where there is none."""
    best = [row for row in in_groups(result) if row.best]
    if best:
        return [_conclusion(result, row) for row in best]
    if num_finished(result) < len(result.runs) and result.status == "STOPPED":
        return [f"{num_finished(result)} of {len(result.runs)} runs are finished; the choice is made when all are."]
    if only_data(result):
        return ["The rows differ in their data, which is nothing to choose by validation; compare them as they stand."]
    if len(result.rows) == 1:
        return [f"One setting; its test {metric_title(result.headline_metric)} is {told(result.rows[0].test)}."]
    return ["No row has a validation figure for each of its seeds, so none is chosen."]


def told(estimate: Estimate) -> str:
    """Value and interval."""
    ends = interval(estimate)
    return number(estimate.value) + (f" ({ends})" if ends else "")


def _conclusion(result: SweepResult, row: SweepRow) -> str:
    metric = metric_title(result.headline_metric)
    text = f"Best by validation: {setting_line(row)}. Its test {metric}: {told(row.test)}"
    reference = next((other for other in result.rows if other.label == row.reference), None)
    if reference is None or row.difference is None:
        return f"{text}; it is the row that the others are compared with."
    ends = interval(row.difference)
    words = {"better": "clearly better", "worse": "clearly worse", "unclear": "no clear difference"}
    found = words[clear(row.difference, result.headline_metric)] if ends else "too few common seeds for an interval"
    shown = signed(row.difference.value) + (f" ({ends})" if ends else "")
    return f"{text}; against {setting_line(reference)}, paired by seed: {shown}, {found}."
