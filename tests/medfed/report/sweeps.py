"""Builders of sweeps: runs with figures that are easy to check by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from medfed.report.sweep_results import RunState, SweepResult, SweepRun
from medfed.report.sweep_rows import build_row, compare_rows
from medfed.results import Status, write_json
from tests.medfed.report.figures import estimate

SCENARIO = """\
seeds = [1, 2, 3]

[grid]
"federation.strategy.name" = ["fedavg"]

[scenario]
name = "tiny"

[scenario.data]
"""


def build_run(seed: int, test: float | None, validation: float | None = None, **changes: object) -> SweepRun:
    """A finished run; without a test figure one that failed."""
    if test is None:
        return SweepRun(seed=seed, folder=f"x-seed{seed}", state=RunState.FAILED, cause="QuorumError: round 3: too few")
    fields: dict[str, object] = {
        "seed": seed, "folder": f"x-seed{seed}", "state": RunState.COMPLETED, "validation": validation,
        "test": estimate(test), "gap_closed": 0.5, "seconds": 12.0, "bytes_up": 1_000_000, "bytes_down": 2_000_000,
    }  # fmt: skip
    return SweepRun.model_validate(fields | changes)


def build_sweep(
    tests: Mapping[str, Sequence[float | None]],
    validations: Mapping[str, Sequence[float | None]] | None = None,
    groups: Mapping[str, int] | None = None,
    status: str = "COMPLETED",
    key: str = "federation.strategy.name",
) -> SweepResult:
    """One axis; ``tests`` and ``validations`` have one figure per seed for each of its values."""
    rows = []
    for value, figures in tests.items():
        scores = (validations or tests)[value]
        runs = [build_run(k + 1, test, scores[k]) for k, test in enumerate(figures)]
        rows.append(build_row(value, {key: value}, (groups or {}).get(value, 1), runs, "auroc"))
    return SweepResult(
        name="tiny-sweep", status=Status(status), task="classification", headline_metric="auroc",
        axes={key: list(tests)}, seeds=list(range(1, 1 + len(next(iter(tests.values()))))),
        rows=compare_rows(rows, "auroc"),
    )  # fmt: skip


def write_sweep(folder: Path, result: SweepResult) -> Path:
    """A sweep's folder, its ``data.path`` one of this machine."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "sweep.json", result)
    (folder / "sweep.toml").write_text(SCENARIO + 'path = "/secret/place/labels.csv"\n', encoding="utf-8")
    return folder
