"""The audit section on gradient inversion: images rebuilt from what a run really sent, beside a control."""

from typing import Annotated, ClassVar

from pydantic import Field

from medfed.audit.contract import AuditContext, NotTestedError
from medfed.audit.results import Finding, PositiveControl, Sample, SectionResult, census, share
from medfed.audit.verdicts import Verdict
from medfed.registry import plugin
from medfed.section import plugin_field
from privacy.inversion.contract import Inversion
from privacy.inversion.errors import InversionError
from privacy.inversion.row_space import RowSpace
from privacy.inversion.threat import Knowledge
from privacy.leakage.campaign import Attacked, Bounds, attack_messages, control_trials
from privacy.leakage.observed import noised
from privacy.leakage.recorded import UnmaskedError
from privacy.leakage.section_findings import left_open, statistics_findings
from privacy.leakage.section_tables import bare_table, control_table, statistics_table, threat_table, trials_table
from privacy.leakage.trial import Trial
from privacy.measures.identification import luck, named

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
        control_db: mean PSNR that the attack must reach on undefended updates of one image.
        control_named: share of the patients there that it must name instead, if ``naming_suffices``.
        naming_suffices: where the control names patients, more than by luck, but does not reach its PSNR, judge whether
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
                labels=self.labels, masks=self.labels, batch_norm_statistics=self.batch_norm_statistics
            ),
        )

    def __call__(self, context: AuditContext) -> SectionResult:
        """Attack the messages, then the control."""
        attack: Inversion = self.inversion or RowSpace()
        try:
            attacked = attack_messages(context, self.bounds, attack, self.updates)
            controls = control_trials(context, self.bounds, attack, attacked)
        except InversionError as reason:
            raise NotTestedError(f"no attack can serve these updates: {reason}") from reason
        except UnmaskedError as leak:
            return _unmasked(leak)
        trials = [message.trial for message in attacked]
        measured = sum(len(trial.scores) for trial in trials)
        control = self._control([control.trial for control in controls])
        in_part = not all(message.shown.whole for message in attacked)
        findings = tuple(left_open(f) if in_part else f for f in self._findings(trials))
        unjudged = [finding for finding in findings if _beyond(control, finding)]
        return SectionResult(
            tried=f"An attacker who sees what the server sees, the weights and the updates of single sites, looked for "
            f"images in {len(attacked)} recorded updates; {measured} images that took part, no two of one patient, "
            "were compared with what came out.",
            meaning="Whoever can read single updates can try this. A PASS holds for these updates and this attacker: "
            "fewer steps, smaller batches or more computation make rebuilding easier.",
            remedy="Train with more images and steps between updates, or with differential privacy at the sites "
            "(privacy.mechanism); keep BatchNorm statistics at the sites (federation.batch_norm).",
            findings=(*(f for f in findings if f not in unjudged), *statistics_findings(context.scenario, attacked)),
            positive_control=control,
            tables=(
                trials_table(attacked, self.rebuilt_db),
                control_table(controls),
                *statistics_table(attacked),
                *(bare_table(attacked) if noised(context.scenario) else ()),
                threat_table(attacked, self.bounds.knowledge),
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

    def _control(self, trials: list[Trial]) -> PositiveControl:
        """By PSNR; or by naming, where that is to suffice and PSNR does not."""
        decibels = sum(trial.mean_psnr for trial in trials) / len(trials)
        ranks = [rank for trial in trials for rank in trial.ranks]
        told = sum(rank == 1 for rank in ranks) / len(ranks) if ranks else 0.0
        shortest = 1 + min((trial.num_decoys for trial in trials if trial.ranks), default=0)
        by_naming = self.naming_suffices and decibels < self.control_db and luck(ranks, shortest) <= _MOST_LUCK
        return PositiveControl(
            description=f"The same attack on {len(trials)} undefended updates of one step on one image each, of the "
            f"same model and patients: {decibels:.1f} dB, {told:.0%} named. An attack that fails here is too weak to "
            "say anything by failing elsewhere.",
            metric=_NAMED if by_naming else "mean PSNR in dB",
            expected=self.control_named if by_naming else self.control_db,
            observed=told if by_naming else decibels,
        )


_NAMED = "share of patients named"
_MOST_LUCK = 0.01
_REBUILT = "Images rebuilt"
_UNJUDGED = "as the control did not reach its PSNR: "


def _beyond(control: PositiveControl, finding: Finding) -> bool:
    """Whether a control by naming says nothing of a finding about images; one that was found stays found."""
    about_images = finding.what.startswith(_REBUILT) and finding.verdict is not Verdict.FAIL
    return control.metric == _NAMED and about_images


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
            "(slots, most_steps)"
        )
    said += sorted({line for message in attacked for line in message.shown.unlike})
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
