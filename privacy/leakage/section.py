"""The audit section on gradient inversion: images rebuilt from what a run really sent, beside a control."""

from typing import Annotated, ClassVar

from pydantic import Field

from medfed.audit.contract import AuditContext, NotTestedError
from medfed.audit.results import Finding, Sample, SectionResult, census, share
from medfed.audit.verdicts import Verdict
from medfed.registry import build, plugin
from medfed.section import plugin_field
from privacy.inversion.contract import Inversion
from privacy.inversion.errors import InversionError
from privacy.inversion.threat import Knowledge
from privacy.leakage.campaign import Attacked, Bounds, attack_messages, control_trials
from privacy.leakage.default import ATTACK
from privacy.leakage.observed import noised
from privacy.leakage.recorded import UnmaskedError
from privacy.leakage.same_setting import same_setting_trials
from privacy.leakage.section_controls import NAMED, positive_control, same_setting_strength, why_open
from privacy.leakage.section_findings import left_open, statistics_findings
from privacy.leakage.section_tables import (
    bare_table,
    control_table,
    same_setting_table,
    statistics_table,
    threat_table,
    trials_table,
)
from privacy.leakage.strength import Goal
from privacy.leakage.trial import Trial
from privacy.measures.identification import named

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Decibels = Annotated[float, Field(gt=0.0, le=100.0, allow_inf_nan=False)]


@plugin
class GradientInversion:
    """Rebuild images from recorded updates, and see whether a patient would be told by them.

    Attributes:
        max_named: share of patients that may be named from a line-up; by chance it is 1 / (decoys + 1).
        max_rebuilt: share of images that may be rebuilt.
        rebuilt_db: PSNR from which an image counts as rebuilt.
        control_db: median PSNR that the attack must reach on both controls: undefended updates of one image, and the
            recorded updates without their noise.
        control_named: share of the patients there that it must name instead, if ``naming_suffices``.
        naming_suffices: where a control names patients, more than by luck, but does not reach its PSNR, judge whether
            patients are named, and no longer whether images are rebuilt. A blurred image can name a patient.
        updates: recorded updates that are attacked, drawn by the seed.
        targets: images of each update that are measured, one of a patient.
        slots: most images that are looked for in one update.
        most_steps: most local steps that are simulated; beyond, an update is taken for the direction of one step.
        decoys: images of the site in a line-up beside the true one.
        control_images: undefended updates.
        inversion: in place of the section's own attack.
        max_iterations: of the attack, for each update.
        labels: tell the attacker the classes of the images.
        batch_norm_statistics: let the attacker see running statistics, where they travel.
        class_counts: let the attacker know how many images of each class a site holds, for a loss that is "balanced".
    """

    title: ClassVar[str] = "Rebuilding images from updates"

    max_named: Share = 0.1
    max_rebuilt: Share = 0.1
    rebuilt_db: Decibels = 20.0
    control_db: Decibels = 25.0
    control_named: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    naming_suffices: bool = True
    updates: Count = 2
    targets: Count = 20
    slots: Count = 8
    most_steps: Count = 20
    decoys: Count = 99
    control_images: Count = 3
    inversion: plugin_field("inversion") | None = None  # type: ignore[valid-type]
    max_iterations: Count = 500
    labels: bool = False
    batch_norm_statistics: bool = True
    class_counts: bool = True

    @property
    def bounds(self) -> Bounds:
        """What is granted: a server that wrote the scenario."""
        return Bounds(
            targets=self.targets,
            slots=self.slots,
            most_steps=self.most_steps,
            decoys=self.decoys,
            control_images=self.control_images,
            max_iterations=self.max_iterations,
            knowledge=Knowledge(
                labels=self.labels,
                masks=self.labels,
                batch_norm_statistics=self.batch_norm_statistics,
                class_counts=self.class_counts,
            ),
        )

    def __call__(self, context: AuditContext) -> SectionResult:
        """Attack the messages, then the control."""
        attack: Inversion = self.inversion or build("inversion", {"name": ATTACK})
        try:
            attacked = attack_messages(context, self.bounds, attack, self.updates)
            controls = control_trials(context, self.bounds, attack, attacked)
            settings = same_setting_trials(context, self.bounds, attacked)
        except InversionError as reason:
            raise NotTestedError(f"no attack can serve these updates: {reason}") from reason
        except UnmaskedError as leak:
            return _unmasked(leak)
        trials = [message.trial for message in attacked]
        measured = sum(len(trial.scores) for trial in trials)
        control = positive_control([control.trial for control in controls], self.goal)
        same = same_setting_strength(settings, self.goal)
        by_naming = control.metric == NAMED or bool(same and same.by_naming and same.holds)
        findings, unjudged = _judged(self._findings(trials), why_open(attacked, settings, same), by_naming)
        return SectionResult(
            tried=f"An attacker who sees what the server sees, the weights and the updates of single sites, looked for "
            f"images in {len(attacked)} recorded updates; {measured} images that took part, no two of one patient, "
            "were compared with what came out.",
            meaning="Whoever can read single updates can try this. A PASS holds for these updates and this attacker: "
            "fewer steps, smaller batches or more computation make rebuilding easier.",
            remedy="Train with more images and steps between updates, or with differential privacy at the sites "
            "(privacy.mechanism); keep BatchNorm statistics at the sites (federation.batch_norm).",
            findings=(*findings, *statistics_findings(context.scenario, attacked)),
            positive_control=control,
            tables=(
                trials_table(attacked, self.rebuilt_db),
                control_table(controls),
                same_setting_table(settings),
                *statistics_table(attacked),
                *(bare_table(attacked) if noised(context.scenario) else ()),
                threat_table(attacked, self.bounds.knowledge, attack),
            ),
            not_tested=(*(_UNJUDGED + finding.what for finding in unjudged), *_not_tested(attacked, trials)),
            samples=tuple(_samples(context, attacked)),
        )

    def _findings(self, trials: list[Trial]) -> tuple[Finding, ...]:
        """Patients that are named, and images that are rebuilt."""
        ranks = [rank for trial in trials for rank in trial.ranks]
        values = [score.psnr for trial in trials for score in trial.scores]
        rebuilt = Finding(
            what=f"{_REBUILT} with a PSNR of {self.rebuilt_db:g} dB or more",
            estimate=share(sum(value >= self.rebuilt_db for value in values), len(values)),
            threshold=self.max_rebuilt,
            direction="at_most",
            kind="share",
        )
        if not ranks:
            return (rebuilt,)
        places = sorted({trial.num_decoys + 1 for trial in trials})
        told = Finding(
            what=f"Patients named from line-ups of {' or '.join(map(str, places))} people of their site",
            estimate=named(ranks),
            threshold=self.max_named,
            direction="at_most",
            kind="share",
        )
        return told, rebuilt

    @property
    def goal(self) -> Goal:
        """What the attack must reach on both controls."""
        return Goal(self.control_db, self.control_named, self.naming_suffices)


_REBUILT = "Images rebuilt"
_UNJUDGED = "as the control did not reach its PSNR: "


def _judged(findings: tuple[Finding, ...], why: str | None, by_naming: bool) -> tuple[list[Finding], list[Finding]]:
    """Findings as far as the controls allow, and those that they say nothing of; one that was found stays found.

    Args:
        findings: on the updates.
        why: nothing may be cleared; None: something may.
        by_naming: a control succeeded by naming alone, which says nothing of a finding about images.
    """
    beyond = [f for f in findings if by_naming and f.what.startswith(_REBUILT) and f.verdict is not Verdict.FAIL]
    judged = [f for f in findings if f not in beyond]
    return [left_open(finding, why) for finding in judged] if why else judged, beyond


def _unmasked(leak: UnmaskedError) -> SectionResult:
    """What is there to say of an update that secure aggregation masks in part: nothing but that."""
    number = len(leak.entries)
    return SectionResult(
        tried="Recorded updates were opened; they are masked, and should look like noise throughout.",
        meaning="The server can read a part of single updates, from which it should learn their sum alone.",
        remedy="Install the same medfed at all sites and at the server, and run the scenario again.",
        findings=(
            Finding(
                what=f"Entries of a masked update that are not masked and not zero: {leak.entries[0]} and others",
                estimate=census(number, number),
                threshold=0.0,
                direction="at_most",
                kind="census",
            ),
        ),
        not_tested=("whether images can be rebuilt from what is not masked",),
    )


def _not_tested(attacked: list[Attacked], trials: list[Trial]) -> list[str]:
    said = []
    partial = sum(not message.shown.whole for message in attacked)
    if partial:
        said.append(
            f"whether {partial} of the {len(attacked)} updates give more to an attacker who simulates all their images "
            "and steps: that costs too much here, so that each was taken for the direction of one step on fewer images "
            "(slots, most_steps, memory)"
        )
    if any(message.shown.untold for message in attacked):
        said.append("what an attacker who knows classes or masks gets out of them: nobody knows whose they would be")
    said += sorted({line for message in attacked for line in message.shown.unlike})
    if any(message.measured.decoys.from_test for message in attacked):
        said.append(
            "line-ups of training and validation images alone: there are too few, and the test images among them may "
            "be of another draw, which makes the right one easier to tell"
        )
    if not any(trial.ranks for trial in trials):
        said.append("whether a patient would be named: the sites hold no images that took no part, so no decoys")
    return [*said, "a server that sends weights made to give images away", "several rounds attacked together"]


def _samples(context: AuditContext, attacked: list[Attacked]) -> list[Sample]:
    return [
        Sample(
            site=message.recorded.site,
            row=context.dataset.records[int(message.measured.truth.rows[score.index])].row,
            measure=f"PSNR of the image rebuilt from round {message.recorded.round}, dB",
            value=score.psnr,
        )
        for message in attacked
        for score in message.trial.scores
    ]
