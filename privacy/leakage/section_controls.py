"""The two controls of the section: single undefended images, and the recorded updates without their noise.

Unless the first succeeds the whole section is inconclusive; unless the second does, nothing is cleared.
"""

from collections.abc import Sequence

from medfed.audit.results import PositiveControl
from privacy.leakage.campaign import Attacked
from privacy.leakage.same_setting import SameSetting
from privacy.leakage.strength import Goal, Strength, strength
from privacy.leakage.trial import Trial

NAMED = "share of patients named"


def positive_control(trials: Sequence[Trial], goal: Goal) -> PositiveControl:
    """Of single images: by PSNR; or by naming, where that is to suffice and PSNR does not."""
    found = strength_of(trials, goal)
    return PositiveControl(
        description=f"The same attack on {len(trials)} undefended updates of one step on one image each, of the "
        f"same model and patients: {found.decibels:.1f} dB (median), {found.named:.0%} named. An attack that fails "
        "here is too weak to say anything by failing elsewhere.",
        metric=NAMED if found.by_naming else "median PSNR in dB",
        expected=goal.named if found.by_naming else goal.decibels,
        observed=found.named if found.by_naming else found.decibels,
    )


def same_setting_strength(settings: Sequence[SameSetting], goal: Goal) -> Strength | None:
    """Of the updates without their noise; None where not all of them were attacked."""
    trials = [setting.trial for setting in settings if setting.trial is not None]
    return strength_of(trials, goal) if len(trials) == len(settings) else None


def strength_of(trials: Sequence[Trial], goal: Goal) -> Strength:
    """All trials together."""
    ranks = [rank for trial in trials for rank in trial.ranks]
    people = 1 + min((trial.num_decoys for trial in trials if trial.ranks), default=0)
    return strength([score.psnr for trial in trials for score in trial.scores], ranks, people, goal)


def why_open(attacked: Sequence[Attacked], settings: Sequence[SameSetting], same: Strength | None) -> str | None:
    """Why nothing that was looked for in vain is cleared; None where it may be."""
    if not all(message.shown.whole for message in attacked):
        return "only a part of the images was looked for"
    if same is None:
        return "the attack was not tried on the same updates without noise"
    return None if same.holds else "the attack does not succeed on the same updates without noise either"
