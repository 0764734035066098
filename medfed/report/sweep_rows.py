"""From runs to rows: means over seeds, differences to a reference row, and the best row by validation. Pure."""

from collections.abc import Mapping, Sequence

from medfed.report.sweep_results import RunState, SweepRow, SweepRun
from medfed.report.sweep_statistics import mean_over_seeds, paired_difference
from medfed.results import LOWER_IS_BETTER, UNBOUNDED, Estimate

FINISHED = (RunState.COMPLETED, RunState.DEGRADED)


def build_row(
    label: str, settings: Mapping[str, str], data_group: int, runs: Sequence[SweepRun], metric: str
) -> SweepRow:
    """One grid point from its runs, not compared with others yet."""
    done = [run for run in runs if run.state in FINISHED]
    bounded = metric not in UNBOUNDED
    return SweepRow(
        label=label,
        settings=dict(settings),
        data_group=data_group,
        runs=list(runs),
        validation=mean_over_seeds([run.validation for run in done if run.validation is not None], bounded),
        test=_test(done, bounded),
        gap_closed=mean_over_seeds([run.gap_closed for run in done if run.gap_closed is not None]),
        seconds=mean_over_seeds([run.seconds for run in done if run.seconds is not None]),
        bytes_up=mean_over_seeds([run.bytes_up for run in done if run.bytes_up is not None]),
        bytes_down=mean_over_seeds([run.bytes_down for run in done if run.bytes_down is not None]),
    )


def compare_rows(rows: Sequence[SweepRow], metric: str) -> list[SweepRow]:
    """The rows with differences and the best of each data group marked.

    A difference is to the first row of the same data, since across data it would mix two causes. Where no two rows
    share their data, the data are what is compared: the first row of all is the reference, and none is the best.
    """
    groups: dict[int, list[SweepRow]] = {}
    for row in rows:
        groups.setdefault(row.data_group, []).append(row)
    only_data = all(len(group) == 1 for group in groups.values())
    best = {} if only_data else {number: _best(group, metric) for number, group in groups.items()}
    return [
        _with_difference(row, rows[0] if only_data else groups[row.data_group][0]).model_copy(
            update={"best": best.get(row.data_group) == row.label}
        )
        for row in rows
    ]


def _with_difference(row: SweepRow, reference: SweepRow) -> SweepRow:
    if row.label == reference.label:
        return row
    difference = paired_difference(_tests(row), _tests(reference))
    return row.model_copy(update={"reference": reference.label, "difference": difference})


def _best(rows: Sequence[SweepRow], metric: str) -> str | None:
    """The label of the row with the best mean validation figure; the first of equals.

    Only once every row has one for each of its seeds, or a run that failed: otherwise the choice could still change.
    A row with a failed run is not chosen, as its mean would be over the seeds that happened to work.
    """
    if any(run.state is RunState.PENDING for row in rows for run in row.runs):
        return None
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    known = {
        row.label: sign * row.validation.value for row in rows if _is_whole(row) and row.validation.value is not None
    }
    return max(known, key=known.__getitem__) if known else None


def _is_whole(row: SweepRow) -> bool:
    return row.validation.n == len(row.runs)


def _test(done: Sequence[SweepRun], bounded: bool) -> Estimate:
    """Over seeds; of one run its own estimate, whose interval is over patients and says so by its n."""
    known = [run.test for run in done if run.test is not None and run.test.value is not None]
    if len(known) == 1:
        return known[0]
    return mean_over_seeds([test.value for test in known if test.value is not None], bounded)


def _tests(row: SweepRow) -> dict[int, float]:
    """Seed -> test figure of the finished runs."""
    return {run.seed: run.test.value for run in row.runs if run.test is not None and run.test.value is not None}
