"""The second control: the same attack on the recorded updates as they were before noise.

An attack that solves single images says little of one that fails on ten. So each message is attacked once more in its
own setting, the same weights, images, steps, compression and all, without the clipping and noise of its site. Only
where that succeeds can it be the noise that stopped the attack. A message without noise is this control by itself:
an attack that fails on what nothing protects is too weak, and cannot clear it.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from medfed.audit.contract import AuditContext
from medfed.models.initial import trained_entries
from medfed.params import difference, get_weights, set_weights
from medfed.rng import numpy_generator
from medfed.types import SiteData, Weights
from privacy.inversion.engine import Progress
from privacy.leakage.campaign import Attacked, Bounds, settings_of
from privacy.leakage.observed import noised, plain_strategy
from privacy.leakage.recorded import Recorded
from privacy.leakage.trial import Trial, attack_message

ITSELF = "the recorded update: no noise was added"
AGAIN = "trained again, without clipping and noise"
_IN_PART = "not attacked: only a part of its images is looked for"
_STRATEGY = "not attacked: what the client strategy does is not repeated here"


@dataclass(frozen=True, eq=False)
class SameSetting:
    """A message before noise, and what an attack got out of it.

    Attributes:
        message: as it was sent.
        trial: None where it was not attacked.
        what: what was attacked, or why nothing was.
    """

    message: Attacked
    trial: Trial | None
    what: str


def same_setting_trials(
    context: AuditContext,
    bounds: Bounds,
    attacked: Sequence[Attacked],
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> list[SameSetting]:
    """One for each message, in their order, up to the first that ``stop`` cut short.

    Nothing is attacked twice: a message without noise has its own outcome. Of a message whose images are looked for in
    part nothing is cleared in any case.
    """
    found = []
    for message in attacked:
        if not message.shown.whole:
            found.append(SameSetting(message, None, _IN_PART))
        elif not noised(context.scenario):
            found.append(SameSetting(message, message.trial, ITSELF))
        elif not plain_strategy(context.scenario):
            found.append(SameSetting(message, None, _STRATEGY))
        else:
            trial = _attacked_again(context, bounds, message, progress, stop)
            if trial.found.stopped == "asked":
                break
            found.append(SameSetting(message, trial, AGAIN))
    return found


def _attacked_again(
    context: AuditContext,
    bounds: Bounds,
    message: Attacked,
    progress: Progress | None,
    stop: Callable[[], bool] | None,
) -> Trial:
    recorded = message.recorded
    context.progress(f"rebuilding images of {recorded.site}, round {recorded.round}, before noise", 0.9)
    seen = message.shown.observation
    change = before_noise(context, message, context.site(recorded.site))
    seen = seen.replace(change={name: change[name] for name in seen.change})
    generator = context.numpy_generator("gradient_inversion", "before noise", recorded.round, recorded.site)
    settings = settings_of(context, bounds)
    return attack_message(seen, message.measured, message.tried, settings, generator, progress, stop)


def before_noise(context: AuditContext, message: Attacked, data: SiteData) -> Weights:
    """What the site would have sent without clipping and noise; buffers as it sent them.

    Compression is done as in a round without a leftover of earlier ones.
    """
    scenario, recorded = context.scenario, message.recorded
    model = copy.deepcopy(message.full.model)
    set_weights(model, recorded.weights)
    scenario.training.trainer(model, data.train, scenario, recorded.site, recorded.round)
    moved, trained = difference(get_weights(model), recorded.weights), trained_entries(scenario)
    change = {name: moved[name] if name in trained else value for name, value in recorded.change.items()}
    return _compressed(context, recorded, change)


def _compressed(context: AuditContext, recorded: Recorded, change: Weights) -> Weights:
    compression = context.scenario.federation.compression
    draws = numpy_generator(context.scenario.seed, recorded.site, recorded.round, "compression")
    wire, _ = compression.compress(change, {}, draws)
    found: Weights = compression.decompress(wire, recorded.change)
    return found
