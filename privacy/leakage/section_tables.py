"""The tables of the section on gradient inversion: every update and every control image, none left out."""

from collections.abc import Iterator, Sequence

import numpy as np

from medfed.audit.results import Cell, Table
from medfed.registry import name_of
from privacy.inversion.contract import Inversion
from privacy.inversion.threat import Knowledge
from privacy.leakage.campaign import Attacked, Control
from privacy.leakage.same_setting import SameSetting
from privacy.leakage.statistics import batch_means, relative_error, told_buffers, true_batch_means
from privacy.measures.identification import named

_MOST_NAMES = 4
"""Of entries, in a cell of a table."""


def trials_table(attacked: Sequence[Attacked], rebuilt_db: float) -> Table:
    """A row for each attacked update."""
    return Table(
        title="What came out of each update",
        columns=(
            "Round and site",
            "Images in it",
            "Steps",
            "Images looked for",
            "Measured",
            "PSNR, mean (dB)",
            "PSNR, best (dB)",
            "Registered PSNR, mean (dB)",
            "SSIM, mean",
            f"At {rebuilt_db:g} dB or more",
            "Named",
            "Classes right",
        ),
        rows=tuple(_trial_row(message, rebuilt_db) for message in attacked),
    )


def _trial_row(message: Attacked, rebuilt_db: float) -> tuple[Cell, ...]:
    trial, recorded = message.trial, message.recorded
    values = [score.psnr for score in trial.scores]
    alike = [score.ssim for score in trial.scores if score.ssim is not None]
    return (
        f"{recorded.round}, {recorded.site}",
        len(message.measured.truth),
        recorded.num_steps,
        len(trial.found.images),
        len(values),
        round(float(np.mean(values)), 2),
        round(max(values), 2),
        round(float(np.mean([score.registered_psnr for score in trial.scores])), 2),
        round(float(np.mean(alike)), 3) if alike else None,
        sum(value >= rebuilt_db for value in values),
        named(trial.ranks) if trial.ranks else None,
        trial.labels,
    )


def control_table(controls: Sequence[Control]) -> Table:
    """A row for each undefended update of one image."""
    rows = []
    for control in controls:
        message, trial = control.message, control.trial
        (score,) = trial.scores
        place = f"{score.rank} of {trial.num_decoys + 1}" if score.rank is not None else None
        where = f"{message.recorded.round}, {message.recorded.site}"
        rows.append((where, round(score.psnr, 2), None if score.ssim is None else round(score.ssim, 3), place))
    columns = ("Weights of round, image of site", "PSNR (dB)", "SSIM", "Place in the line-up")
    return Table(title="The control: one undefended step on one image", columns=columns, rows=tuple(rows))


def same_setting_table(settings: Sequence[SameSetting]) -> Table:
    """A row for each attacked update: what came of it before noise, or why that was not asked."""
    rows: list[tuple[Cell, ...]] = []
    for setting in settings:
        recorded, trial = setting.message.recorded, setting.trial
        where = (f"{recorded.round}, {recorded.site}", len(setting.message.measured.truth), recorded.num_steps)
        if trial is None:
            rows.append((*where, setting.what, None, None))
        else:
            figures = round(trial.mean_psnr, 2), named(trial.ranks) if trial.ranks else None
            rows.append((*where, setting.what, *figures))
    columns = ("Round and site", "Images in it", "Steps", "What was attacked", "PSNR, mean (dB)", "Named")
    return Table(title="The control in the same setting: the updates without noise", columns=columns, rows=tuple(rows))


def statistics_table(attacked: Sequence[Attacked]) -> Iterator[Table]:
    """How exactly running statistics give the mean of a batch away; no table where they do not."""
    rows = []
    for message in attacked:
        full, recorded = message.full, message.recorded
        means = batch_means(full.model, recorded.weights, recorded.change) if recorded.num_steps == 1 else {}
        if means:
            truth = true_batch_means(full.model, recorded.weights, message.measured.truth.images)
            errors = [relative_error(mean, truth[layer]) for layer, mean in means.items()]
            rows.append((f"{recorded.round}, {recorded.site}", len(means), f"{max(errors):.1e}"))
    if rows:
        columns = ("Round and site", "Layers", "Largest relative error of the batch's mean")
        yield Table(title="What BatchNorm gives away", columns=columns, rows=tuple(rows))


def bare_table(attacked: Sequence[Attacked]) -> Iterator[Table]:
    """Which entries of noised updates carry no noise though they tell something; no table where there are none."""
    rows = []
    for message in attacked:
        told = told_buffers(message.full.model, message.recorded.change)
        if told:
            recorded = message.recorded
            rows.append((f"{recorded.round}, {recorded.site}", len(told), ", ".join(told[:_MOST_NAMES])))
    if rows:
        columns = ("Round and site", "Entries", f"The first {_MOST_NAMES}")
        yield Table(title="What has no noise in a noised update", columns=columns, rows=tuple(rows))


def threat_table(attacked: Sequence[Attacked], knowledge: Knowledge, attack: Inversion) -> Table:
    """What was granted to the attacker, what of it was of use, and what of the training the attack leaves out."""
    whole = sum(message.shown.whole for message in attacked)
    unlike = sorted({line for message in attacked for line in message.shown.unlike})
    rows: list[tuple[Cell, ...]] = [
        ("Attack", _came_to(attacked, attack)),
        ("Sees", "the global weights, and the updates of single sites"),
        ("Knows the scenario", "architecture, loss, optimizer, learning rate"),
        ("Knows how many images and steps", "yes"),
        ("Knows the classes or masks", _told(attacked)),
        ("Knows how many images of each class a site holds", "yes" if knowledge.class_counts else "no"),
        ("Sees running statistics, if they travel", "yes" if knowledge.batch_norm_statistics else "no"),
        ("Updates whose images and steps were all simulated", f"{whole} of {len(attacked)}"),
        *(("Does not model", line) for line in unlike),
    ]
    return Table(title="The attacker", columns=("What", "Value"), rows=tuple(rows))


def _came_to(attacked: Sequence[Attacked], attack: Inversion) -> str:
    """Its name, and what it was in its place where it could not serve."""
    name, other = name_of("inversion", attack), [message.tried for message in attacked if message.tried != attack]
    if not other:
        return name
    where = f"on {len(other)} of {len(attacked)} updates and on the control"
    return f"{name}, which is {name_of('inversion', other[0])} {where}"


def _told(attacked: Sequence[Attacked]) -> str:
    """As it was, not as it was asked for: labels go with images, and not all images may have been looked for."""
    told = sum(message.shown.observation.labels is not None for message in attacked)
    if told == len(attacked):
        return "yes"
    granted = any(message.shown.untold for message in attacked)
    return f"of {told} of {len(attacked)} updates; of no use where only a part is looked for" if granted else "no"
