"""Attack one recorded message of a run, with a control, and write what came out beside the truth.

The pictures show patients: they stay in the run's folder and are in no report.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from medfed.audit.contract import AuditContext
from medfed.audit.opening import FOLDER, open_run
from medfed.files import file_name, write_text_atomic
from medfed.registry import describe
from privacy.inversion.contract import Inversion
from privacy.leakage.campaign import Attacked, Bounds, Control, attack_ready, control_trials, prepare
from privacy.leakage.pictures import write_pictures
from privacy.leakage.same_setting import SameSetting, same_setting_trials

INVERSION = "inversion"
"""Inside the audit's folder: one folder for each attacked message."""

Progress = Callable[[str, float, float], None]
"""What is being done, the share of it that is done, and the smallest loss so far."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came out of a message, where it was written, and what the controls say of the attack.

    ``before_noise``: of the same message; None where it was not attacked in this way, or the search was ended.
    """

    folder: Path
    message: Attacked
    controls: tuple[Control, ...]
    before_noise: SameSetting | None


def attack_run(
    run: Path,
    site: str,
    round_number: int,
    bounds: Bounds,
    attack: Inversion,
    progress: Progress,
    stop: Callable[[], bool],
    seed: int | None = None,
) -> Outcome:
    """Attack what ``site`` sent in a round and write ``RUN/audit/inversion/<round>-<site>``.

    Args:
        run: folder of a finished run with recorded updates.
        site: whose update.
        round_number: from 1, or from the end where negative.
        bounds: how much is looked for and measured, and what is granted.
        attack: what to run.
        progress: hears of the search.
        stop: asked after every iteration; True ends the search, and the best so far is measured. A control that was
            cut short, or not begun, is left out.
        seed: of the attack; None: the scenario's.

    Raises:
        MedfedError: bad input, one line.
    """
    context, _ = open_run(run, seed, lambda what, done: None)
    ready = prepare(context, bounds, round_number, site, set())
    assert ready is not None, "no patient was measured before"
    what = f"round {ready[0].round}, {site}"
    message = attack_ready(context, bounds, attack, ready, partial(progress, what), stop)
    heard = partial(progress, "control")
    controls = [] if stop() else control_trials(context, bounds, attack, [message], heard, stop)
    before = [] if stop() else same_setting_trials(context, bounds, [message], heard, stop)
    folder = context.folder / FOLDER / INVERSION / f"{message.recorded.round}-{file_name(site)}"
    folder.mkdir(parents=True, exist_ok=True)
    found = Outcome(folder, message, tuple(controls), next(iter(before), None))
    write_text_atomic(folder / "attack.json", json.dumps(as_json(context, found, bounds, attack), indent=2) + "\n")
    write_pictures(folder, message.measured.truth, message.trial)
    return found


def as_json(context: AuditContext, found: Outcome, bounds: Bounds, attack: Inversion) -> dict[str, Any]:
    """Every figure; images are named by their record in the data file, counted from 1."""
    message = found.message
    trial, recorded, truth = message.trial, message.recorded, message.measured.truth
    scores = [
        {"row": context.dataset.records[int(truth.rows[score.index])].row, **asdict(score)} for score in trial.scores
    ]
    return {
        "schema_version": 1,
        "round": recorded.round,
        "site": recorded.site,
        "attack": describe("inversion", attack),
        "came_to": describe("inversion", message.tried),
        "seed": context.seed,
        "bounds": {name: value for name, value in asdict(bounds).items() if name != "knowledge"},
        "knowledge": asdict(bounds.knowledge),
        "classes_or_masks_told": message.shown.observation.labels is not None,
        "images_in_update": len(truth),
        "local_steps": recorded.num_steps,
        "images_looked_for": len(trial.found.images),
        "whole_training_simulated": message.shown.whole,
        "unlike_the_training": list(message.shown.unlike),
        "decoys": trial.num_decoys,
        "one_to_one": trial.one_to_one,
        "share_of_classes_right": trial.labels,
        "cosine_distance": trial.found.loss,
        "iterations": trial.found.iterations,
        "stopped": trial.found.stopped,
        "images": scores,
        "control": [asdict(control.trial.scores[0]) for control in found.controls],
        "before_noise": _before_noise(found.before_noise),
    }


def _before_noise(found: SameSetting | None) -> dict[str, Any] | None:
    """None where the search was ended before."""
    if found is None:
        return None
    images = [] if found.trial is None else [asdict(score) for score in found.trial.scores]
    return {"what": found.what, "images": images}
