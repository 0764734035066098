"""The audit section on poisoned sites: who stands out among the recorded updates, beside one that the audit planted."""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from medfed.audit.contract import AuditContext, NotTestedError
from medfed.audit.results import Cell, Finding, PositiveControl, SectionResult, Table, census
from medfed.registry import name_of, plugin
from robustness.aggregation.contract import RobustAggregator
from robustness.byzantine.sign_flip import SignFlip
from robustness.detection import DETECTORS
from robustness.detection.contract import FalseAlarms, Round
from robustness.detection.recorded import recorded_rounds
from robustness.poisoning_harm import backdoor_of, marked, points_lost, steps_kept
from robustness.poisoning_rounds import PLANTED, server_loss, with_planted

Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Named = Mapping[str, tuple[str, ...]]
"""Detector -> the sites that it names."""

SERVER_CHECKS = "server checks"
"""Stands among the detectors: the sites whose updates were refused as they arrived."""


@plugin
class Poisoning:
    """Ask every detector which sites work against the others; where some did, see what it did to the model.

    Attributes:
        false_alarms: probability that any honest site at all is named by any detector, if honest updates are alike.
        min_named: share of the malicious sites to be named by some detector.
        max_false_alarms: share of the other sites that may be named.
        max_points_lost: how much of the headline metric malicious sites may cost, beside a run without them.
        max_backdoor: share of test images whose answer a backdoor's mark may turn.
        images: most test images, one of a patient, on which single updates and the mark are tried.
        compare: train the same federation without malicious sites, where there were some.
    """

    title: ClassVar[str] = "Poisoned sites"

    false_alarms: FalseAlarms = 0.05
    min_named: Share = 0.9
    max_false_alarms: Share = 0.05
    max_points_lost: Share = 0.05
    max_backdoor: Share = 0.1
    images: Count = 100
    compare: bool = True

    def __call__(self, context: AuditContext) -> SectionResult:
        """Name, count, and plant one."""
        tests = context.draw_tests(self.images, "poisoning")
        rounds = list(recorded_rounds(context.folder, context.scenario, server_loss(context, tests)))
        if not rounds:
            raise NotTestedError("the run recorded no updates; set record.rounds, such as [1, -1], and run it again")
        malicious = context.scenario.malicious_sites
        named, mute = self.named(rounds)
        refused = {SERVER_CHECKS: _refused(context)}
        sites = sorted({site for of_round in rounds for site in of_round.sites} | set(malicious))
        harm, untested = self._harm(context) if malicious else ((), (_NOBODY,))
        tables = [_setting(context, rounds, sites), _who(refused | named, set(malicious))]
        if malicious:
            tables.append(_steps(context, rounds))
        return SectionResult(
            tried=f"The updates of {len(sites)} sites in {len(rounds)} recorded rounds were shown to "
            f"{len(named)} detectors, beside one more that the audit turned around.",
            meaning="A site that is named is unlike the others; another scanner or another disease can be the reason. "
            "A site that is not named may have hidden among them.",
            remedy="Look at the images and labels of a named site before anything else; a robust rule "
            "(federation.aggregator) bounds what a site can do that nobody names.",
            findings=(*self._counted(named, refused, sites, malicious), *harm),
            positive_control=self._control(context, rounds),
            tables=tuple(tables),
            not_tested=(*mute, *untested),
        )

    def _counted(
        self, named: Named, refused: Named, sites: Sequence[str], malicious: Sequence[str]
    ) -> tuple[Finding, ...]:
        """Who is named of all there are; a refused update speaks against the malicious only, for others can fail."""
        suspects = {site for found in named.values() for site in found}
        caught = suspects.union(*refused.values()) & set(malicious)
        honest = set(sites) - set(malicious)
        alarms = Finding(
            what="Sites named though nothing was wrong with them" if malicious else "Sites that a detector names",
            estimate=census(len(suspects & honest), len(honest)),
            threshold=self.max_false_alarms,
            direction="at_most",
            kind="census",
        )
        if not malicious:
            return (alarms,)
        estimate = census(len(caught), len(malicious))
        recall = Finding(what="Malicious sites named", estimate=estimate, threshold=self.min_named, kind="census")
        return recall, alarms

    def _harm(self, context: AuditContext) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
        """What the malicious sites did to the model, and what was not looked at."""
        findings, untested = [], []
        metric = context.scenario.headline
        try:
            if not self.compare:
                raise NotTestedError("poisoning.compare is false")
            lost = Finding(
                what=f"{metric} lost to the malicious sites, mean over sites",
                estimate=points_lost(context),
                threshold=self.max_points_lost,
                direction="at_most",
                kind="mean",
            )
            findings.append(lost)
        except NotTestedError as reason:
            untested.append(f"what the malicious sites cost in {metric}: {reason}")
        backdoor = backdoor_of(context.scenario)
        if backdoor is not None:
            what = f"Images that the backdoor's mark turns into {context.task.classes[backdoor.target]}"
            try:
                turned = marked(context, context.draw_tests(self.images, "poisoning"), backdoor)
            except NotTestedError as reason:
                untested.append(f"{what}: {reason}")
            else:
                most = self.max_backdoor
                findings.append(Finding(what=what, estimate=turned, threshold=most, direction="at_most", kind="share"))
        return tuple(findings), tuple(untested)

    def named(self, rounds: Sequence[Round]) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
        """Whom each detector names, and why some say nothing."""
        num_sites = len({site for of_round in rounds for site in of_round.sites})
        found, mute = {}, []
        for name, detector in DETECTORS.items():
            try:
                found[name] = detector(false_alarms=self.false_alarms / len(DETECTORS) / num_sites)(rounds).suspects
            except ValueError as reason:
                mute.append(f'detector "{name}": {reason}')
        return found, tuple(mute)

    def _control(self, context: AuditContext, rounds: Sequence[Round]) -> PositiveControl:
        malicious = context.scenario.malicious_sites
        honest = sorted({site for of_round in rounds for site in of_round.sites} - set(malicious))
        if not honest:
            raise NotTestedError("no recorded update is of an honest site")
        chosen = honest[int(context.numpy_generator("poisoning", "planted").integers(len(honest)))]
        named, _ = self.named(with_planted(rounds, chosen, malicious))
        return PositiveControl(
            description=f"One more site that sends what {chosen} sends, {SignFlip().scale:g} times as long and in the "
            "opposite direction, among the honest ones.",
            metric="detectors that name it",
            expected=1.0,
            observed=float(sum(PLANTED in suspects for suspects in named.values())),
        )


_NOBODY = "whether an attack would succeed: nobody attacked this run; simulate it with [adversary], and audit that run"


def _refused(context: AuditContext) -> tuple[str, ...]:
    """Sites whose updates the server refused in any round."""
    return tuple(sorted({f.site for line in context.run.rounds for f in line.failed if f.code == "update"}))


def _setting(context: AuditContext, rounds: Sequence[Round], sites: Sequence[str]) -> Table:
    scenario = context.scenario
    rule, malicious = scenario.federation.aggregator, scenario.malicious_sites
    rows: list[tuple[Cell, ...]] = [
        ("Sites that train", len(sites)),
        ("Malicious sites", ", ".join(malicious) or "none, as far as the scenario says"),
        ("What they did", name_of("byzantine", scenario.adversary.behaviour) if malicious else "nothing"),
        ("Aggregation rule", name_of("aggregator", rule)),
        ("A robust rule", "yes" if isinstance(rule, RobustAggregator) else "no: each site moves the mean by its share"),
        ("Recorded rounds", ", ".join(str(of_round.number) for of_round in rounds)),
    ]
    return Table(title="What was played, and what stood against it", columns=("What", "Value"), rows=tuple(rows))


def _who(named: Named, malicious: set[str]) -> Table:
    rows = []
    for name, suspects in named.items():
        right = [site for site in suspects if site in malicious]
        rows.append((name, ", ".join(right) or "none", ", ".join(s for s in suspects if s not in malicious) or "none"))
    columns = ("Detector", "Malicious sites that it names", "Other sites that it names")
    return Table(title="Who named whom", columns=columns, rows=tuple(rows))


def _steps(context: AuditContext, rounds: Sequence[Round]) -> Table:
    rows = []
    for of_round in rounds:
        plain, used = steps_kept(context, of_round)
        rows.append((str(of_round.number), *plain, *used))
    return Table(
        title="How far malicious sites moved the step of a round, in lengths of the honest sites' mean step (1 and 0: "
        "not at all)",
        columns=("Round", "Plain mean: along it", "across it", "Rule in use: along it", "across it"),
        rows=tuple(rows),
    )
