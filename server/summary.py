"""The federated part of ``summary.json``: final figures per site, who failed, how the run ended."""

from collections.abc import Sequence

from medfed.config import Scenario
from medfed.messages import SiteInfo
from medfed.metrics.intervals import mean_over_sites
from medfed.results import (
    UNBOUNDED,
    Evaluation,
    Failure,
    MeanSummary,
    Metrics,
    RoundResult,
    SiteSummary,
    Status,
    Summary,
)
from server.evaluation import Evaluations
from server.roster import Roster
from server.stopping import notes as stopping_notes
from server.strategies.personal import personal_warnings


def summarize(
    scenario: Scenario,
    roster: Roster,
    rounds: Sequence[RoundResult],
    tests: Evaluations,
    stopped_because: str,
    seconds: float,
    test_bytes: int,
    personal: frozenset[str],
) -> Summary:
    """Build the summary of a run.

    ``stopped_because`` is empty where all rounds were run; ``test_bytes`` were sent for the final test; ``personal``
    are the entries of the model that never left a site.
    """
    warnings = [*_failures(rounds, tests), *_undefined(tests)]
    if not stopped_because:
        warnings += stopping_notes(scenario, rounds)
    warnings += personal_warnings(scenario, personal, rounds)
    if roster.uninvited:
        names = ", ".join(sorted(roster.uninvited))
        warnings.append(f"nodes that federation.sites does not name were sent nothing: {names}")
    status = Status.DEGRADED if _anyone_failed(rounds, tests) else Status.COMPLETED
    if stopped_because or not tests:
        status = Status.STOPPED
        warnings.insert(0, f"stopped after round {len(rounds)} of {scenario.training.rounds}: {stopped_because}")
    federated = {site: e.metrics for site, e in tests.items() if isinstance(e, Evaluation)}
    return Summary(
        name=scenario.name,
        status=status,
        task=scenario.task.kind,
        headline_metric=scenario.headline,
        rounds=len(rounds),
        seconds=seconds,
        bytes_up=sum(r.bytes_up for r in rounds),
        bytes_down=sum(r.bytes_down for r in rounds) + test_bytes,
        sites={site: _site(scenario, info, tests.get(site)) for site, info in sorted(roster.infos.items())},
        mean=MeanSummary(federated=mean_metrics(scenario, federated) if federated else None),
        left_out=sorted(scenario.federation.leave_out),
        shared_test=shares_test(scenario),
        warnings=warnings,
    )


def shares_test(scenario: Scenario) -> bool:
    """Whether all sites are scored on the same images: a partitioner leaves the official test split whole."""
    return not scenario.data.partition.keeps_sites


def mean_metrics(scenario: Scenario, by_site: dict[str, Metrics]) -> Metrics:
    """Mean over sites of every metric, each site counting once."""
    names = list(next(iter(by_site.values())))
    shared = shares_test(scenario)
    return {
        name: mean_over_sites([m[name] for m in by_site.values()], bounded=name not in UNBOUNDED, shared=shared)
        for name in names
    }


def _site(scenario: Scenario, info: SiteInfo, test: Evaluation | Failure | None) -> SiteSummary:
    done = test if isinstance(test, Evaluation) else None
    return SiteSummary(
        num_train=info.num_train,
        num_val=info.num_val,
        num_test=info.num_test,
        class_counts=dict(zip(scenario.task.classes, info.class_counts, strict=True)),
        federated=done.metrics if done else None,
        per_class=done.per_class if done else {},
    )


def _anyone_failed(rounds: Sequence[RoundResult], tests: Evaluations) -> bool:
    return any(r.failed for r in rounds) or any(isinstance(t, Failure) for t in tests.values())


def _failures(rounds: Sequence[RoundResult], tests: Evaluations) -> list[str]:
    """One line per site and cause, with the rounds it missed."""
    missed: dict[tuple[str, str], list[str]] = {}
    for result in rounds:
        for failure in result.failed:
            where = missed.setdefault((failure.site, f"{failure.cause}; {failure.remedy}"), [])
            where += [str(result.round)] if str(result.round) not in where else []
    for test in tests.values():
        if isinstance(test, Failure):
            missed.setdefault((test.site, f"{test.cause}; {test.remedy}"), []).append("final test")
    return [f"site {site} failed in round {', '.join(where)}: {cause}" for (site, cause), where in missed.items()]


def _undefined(tests: Evaluations) -> list[str]:
    return [
        f"site {site}: {name} is undefined on its {test.num_images} test images (for AUROC: a single class)"
        for site, test in tests.items()
        if isinstance(test, Evaluation)
        for name, estimate in test.metrics.items()
        if estimate.value is None
    ]
