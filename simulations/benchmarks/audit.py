"""The default audit of the bundled runs: how long it takes, what it needs, and whether it gives the same bytes twice.

    python -m simulations.benchmarks.audit [--out runs] [--budget 10m] [--once] [--scenarios pneumonia-cnn ...]

A run that is not there is trained first. Each audit is a process of its own, so that its memory is its own; nothing of
an earlier audit is used. The second audit is compared with the first byte for byte (``--once`` leaves it out), and what
it consists of, sections, findings, verdicts, with the first too: no constant of another machine is asked for.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from medfed.audit.results import AuditReport
from medfed.config import load_scenario
from simulations.benchmarks.bundled import NAMES, SCENARIOS, finished
from simulations.benchmarks.report import Row, print_rows
from simulations.run import simulate

MINUTES, GIGABYTES = 10.0, 4.0
_REASON = "no federated framework audits a model"


class Audited(NamedTuple):
    """One audit: wall and processor seconds, largest memory of a process in bytes, and the report as bytes."""

    seconds: float
    cpu_seconds: float
    memory: int
    report: bytes


def run_audit(folder: Path, budget: str) -> Audited:
    """``medfed audit`` from nothing."""
    shutil.rmtree(folder / "audit", ignore_errors=True)
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([sys.executable, "-m", "medfed", "audit", str(folder), "--budget", budget, "--no-pdf"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    report = (folder / "audit" / "report.json").read_bytes()
    return Audited(time.monotonic() - started, spent, 1024 * after.ru_maxrss, report)


def shape(report: bytes) -> list[Any]:
    """What a report consists of, without a figure: sections, verdicts, findings, thresholds, checks."""
    found = AuditReport.model_validate(json.loads(report))
    return [
        (
            section.name,
            str(section.verdict),
            [(finding.what, str(finding.verdict), finding.threshold) for finding in section.findings],
            [(check.what, check.holds) for check in section.checks],
            [(table.title, table.columns, len(table.rows)) for table in section.tables],
        )
        for section in found.sections
    ]


def rows(name: str, first: Audited, second: Audited | None) -> list[Row]:
    """Time, memory, and equality."""
    found = [
        Row(f"{name}: time", first.seconds / 60, None, "minutes", "lower", MINUTES, _REASON),
        Row(f"{name}: processor time", first.cpu_seconds / 60, None, "minutes", "lower", None, _REASON),
        Row(f"{name}: memory", first.memory / 1e9, None, "GB", "lower", GIGABYTES, _REASON),
    ]
    if second is not None:
        alike = float(shape(first.report) == shape(second.report))
        equal = float(first.report == second.report)
        found.append(Row(f"{name}: same sections and verdicts", alike, None, "1 = yes", "higher", 1.0, _REASON))
        found.append(Row(f"{name}: same bytes", equal, None, "1 = yes", "higher", 1.0, _REASON))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, audit, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs"), help="where the runs are, or are trained")
    parser.add_argument("--budget", default="10m", help="of each audit")
    parser.add_argument("--once", action="store_true", help="no second audit")
    parser.add_argument("--scenarios", nargs="+", choices=NAMES, default=NAMES)
    given = parser.parse_args(arguments)
    found = []
    for name in given.scenarios:
        scenario = load_scenario(SCENARIOS / f"{name}.toml")
        if finished(scenario, given.out / name) is None:
            simulate(scenario, out=given.out, overwrite=True)
        first = run_audit(given.out / name, given.budget)
        second = None if given.once else run_audit(given.out / name, given.budget)
        found += rows(name, first, second)
    print_rows("audit", found)


if __name__ == "__main__":
    main()
