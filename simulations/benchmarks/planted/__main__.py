"""Train the planted models in real federations and audit them: does each bad one FAIL where it should, and only there?

    python -m simulations.benchmarks.planted [--out runs/planted] [--budget 5m] [--cases honest shuffled ...]

Finished runs in the folder are used again. A section that may FAIL as well, because the same fault shows there too, is
named with its case in :mod:`simulations.benchmarks.planted.cases` and counts neither way.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from medfed.audit.budget import parse_budget
from medfed.audit.results import AuditReport
from medfed.audit.run import audit
from medfed.audit.verdicts import Verdict
from medfed.config import load_scenario
from simulations.benchmarks.bundled import finished
from simulations.benchmarks.planted.cases import CASES, Planted, scenario_text, write_images
from simulations.benchmarks.report import Row, print_rows
from simulations.run import simulate

_BAD = (Verdict.FAIL, Verdict.INVALID, Verdict.ERROR)
_REASON = "no federated framework audits a model"


def audited(case: Planted, out: Path, budget: float | None) -> AuditReport:
    """The audit of a case, trained first where it is not trained yet."""
    folder = out / case.name
    if not (folder / "images").exists():
        write_images(case, folder / "images")
    (folder / "scenario.toml").write_text(scenario_text(case), encoding="utf-8")
    scenario = load_scenario(folder / "scenario.toml")
    if finished(scenario, folder / case.name) is None:
        simulate(scenario, out=folder, overwrite=True)
    return audit(folder / case.name, budget=budget).report


def rows(case: Planted, report: AuditReport) -> list[Row]:
    """How many of the right sections FAIL, and how many others went bad."""
    bad = {section.name for section in report.sections if section.verdict in _BAD}
    accidents = len(bad - {*case.must, *case.may})
    found = [Row(f"{case.name}: other sections that went bad", accidents, None, "sections", "lower", 0, _REASON)]
    if case.must:
        failed = {section.name for section in report.sections if section.verdict is Verdict.FAIL}
        share = len(failed & set(case.must)) / len(case.must)
        found.append(Row(f"{case.name}: {', '.join(case.must)} FAIL", share, None, "share", "higher", 1, _REASON))
    return found


def table(reports: dict[str, AuditReport]) -> Table:
    """The verdict of every section on every case."""
    names = list(dict.fromkeys(section.name for report in reports.values() for section in report.sections))
    found = Table("case", *names, title="Verdicts")
    for name, report in reports.items():
        verdicts = {section.name: str(section.verdict) for section in report.sections}
        found.add_row(name, *(verdicts.get(section, "left out") for section in names))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, audit, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/planted"), help="finished runs there are used again")
    parser.add_argument("--budget", default="5m", help="of each audit")
    parser.add_argument("--cases", nargs="+", choices=[case.name for case in CASES], help="default: all")
    given = parser.parse_args(arguments)
    chosen = [case for case in CASES if given.cases is None or case.name in given.cases]
    reports = {case.name: audited(case, given.out, parse_budget(given.budget)) for case in chosen}
    Console(width=160).print(table(reports))
    print_rows("planted", [row for case in chosen for row in rows(case, reports[case.name])])


if __name__ == "__main__":
    main()
