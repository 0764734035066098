"""``audit``: a finished run, or a model alone, in; a report with verdicts out."""

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from medfed import __version__
from medfed.audit.budget import DEFAULT, Planned, as_reported, fit
from medfed.audit.contract import AuditContext, AuditSection, NotTestedError, Progress
from medfed.audit.inputs import run_inputs, section_key
from medfed.audit.kept import KeptSection, read_kept, to_keep, write_kept
from medfed.audit.opening import FOLDER, open_run
from medfed.audit.outputs import write_outputs
from medfed.audit.outside import OutsideModel, open_model
from medfed.audit.pdf import print_page
from medfed.audit.plan import as_command, left_out, make_plan, section_title, settings
from medfed.audit.results import AuditReport, Fault, Missing, RunIdentity, SectionResult
from medfed.determinism import deterministic
from medfed.errors import StopRequested
from medfed.lock import locked

_FRAMES = 8
"""Calls of a traceback that are kept, from the end."""


@dataclass(frozen=True)
class AuditResult:
    """A finished audit: the folder of its files, the report in it, and why there is no PDF (empty: there is one)."""

    folder: Path
    report: AuditReport
    no_pdf: str = ""


def _ignore(what: str, done: float) -> None:
    """Nobody watches."""


def audit(
    run: str | Path | OutsideModel,
    *,
    sections: Sequence[str] = (),
    overrides: Sequence[str] = (),
    seed: int | None = None,
    budget: float | None = DEFAULT,
    pdf: bool = False,
    progress: Progress = _ignore,
    on_plan: Callable[[Sequence[Planned], frozenset[str]], None] = lambda plan, kept: None,
    on_section: Callable[[SectionResult], None] = lambda result: None,
) -> AuditResult:
    """Audit the run in a folder and write ``RUN/audit``; sections that were finished before are kept.

    Args:
        run: folder of a finished run, or a model that someone else trained.
        sections: names of those to run; all where empty.
        overrides: ``SECTION.FIELD=VALUE``, thresholds and budgets.
        seed: of the audit's own draws; None: the scenario's.
        budget: seconds that the whole may take by the estimates of :mod:`medfed.audit.costs`; None: no limit. Sections
            that are named are made cheaper, never left out.
        pdf: print the page into ``report.pdf`` too, if there is a Chromium.
        progress: hears what is being done; what it raises ends the audit, and finished sections stay.
        on_plan: hears what will be done, before it is done, and which sections are kept from before.
        on_section: hears of every finished section.

    Raises:
        ScenarioError, RunFolderError, DataError: bad input, found before anything is measured.
    """
    plan = make_plan(sections, overrides)
    opened = open_model(run, seed, progress) if isinstance(run, OutsideModel) else open_run(Path(run), seed, progress)
    context, identity = opened
    folder = context.run.folder / FOLDER
    planned = fit(plan, context, budget, overrides, sections)
    chosen = {each.name: each.section for each in planned if each.section is not None}
    inputs = run_inputs(context, identity)
    keys = {name: section_key(inputs, name, settings(name, section)) for name, section in chosen.items()}
    with locked(folder), deterministic(True):
        before = {name: kept for name, key in keys.items() if (kept := read_kept(folder / "sections", name, key))}
        on_plan(planned, frozenset(before))
        found: list[KeptSection] = []
        for name, section in chosen.items():
            finished = before.get(name) or _measure(context, name, section, keys[name])
            if name not in before and to_keep(finished.result):
                write_kept(folder / "sections", finished)
            found.append(finished)
            on_section(finished.result)
        report = AuditReport(
            version=__version__,
            run=identity,
            seed=context.seed,
            command=as_command(_subject(identity), plan, context.seed, budget, sections),
            budget=as_reported(planned, budget),
            sections=tuple(kept.result for kept in found),
            missing=_missing(chosen, {each.name: each.reason for each in planned}),
        )
        write_outputs(folder, report, found)
        return AuditResult(folder, report, _print(folder, pdf))


def _subject(identity: RunIdentity) -> str:
    """What was audited, as on the command line, without where it lies."""
    return identity.name if identity.trained_here else "--model FILE --data MANIFEST --scenario FILE"


def _print(folder: Path, pdf: bool) -> str:
    """Why there is no PDF of this report; an older one never stays beside a newer page."""
    if pdf:
        return print_page(folder / "report.html", folder / "report.pdf") or ""
    (folder / "report.pdf").unlink(missing_ok=True)
    return "no PDF: not asked for"


def _missing(chosen: Mapping[str, AuditSection], reasons: Mapping[str, str]) -> tuple[Missing, ...]:
    return tuple(
        Missing(
            name=name,
            title=section_title(name),
            reason=reasons.get(name) or reason,
            by_budget=bool(reasons.get(name)),
        )
        for name, reason in left_out(chosen).items()
    )


def _measure(context: AuditContext, name: str, section: AuditSection, key: str) -> KeptSection:
    wall, processor = time.perf_counter(), time.process_time()
    with torch.random.fork_rng(devices=[]):  # what a section draws from the global generator would change the next
        torch.manual_seed(context.seed)
        result = _guarded(context, section)
    context.progress("done", 1.0)
    result = result.model_copy(update={"name": name, "title": section.title, "settings": settings(name, section)})
    return KeptSection(
        key=key,
        seconds=time.perf_counter() - wall,
        cpu_seconds=time.process_time() - processor,
        result=result,
        samples=result.samples,
    )


def _guarded(context: AuditContext, section: AuditSection) -> SectionResult:
    """The section's result, its verdicts derived anew; NOT_TESTED with the reason, or ERROR, where there is none."""
    try:
        found = section(context)
        return SectionResult.model_validate(found.model_dump() | {"samples": found.samples})
    except StopRequested:
        raise
    except NotTestedError as reason:
        return SectionResult(not_tested=(f"the whole section: {reason}",))
    except Exception as error:  # whatever a section raises is the section's, and the others go on
        return SectionResult(error=_fault(error))


def _fault(error: Exception) -> Fault:
    """Without the paths of this machine: file name, line, function and code of the last calls."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    calls = tuple(f"{Path(f.filename).name}, line {f.lineno}, in {f.name}: {f.line}" for f in frames)
    return Fault(error=f"{type(error).__name__}: {error}", traceback=calls)
