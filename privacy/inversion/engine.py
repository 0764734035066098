"""The only way to run an inversion attack: it owns the model, the rules and the final comparison."""

import time
from collections.abc import Callable

from medfed.registry import name_of
from medfed.rng import torch_generator
from privacy.inversion.contract import Inversion, Reconstruction
from privacy.inversion.keep import global_state_kept
from privacy.inversion.observation import Observation, require_sound
from privacy.inversion.search import ImageSearch
from privacy.inversion.settings import InversionSettings

Progress = Callable[[float, float], None]
"""Called with the share of the work done, 0 to 1, and the smallest loss so far (the attack's own)."""


def run_inversion(
    observation: Observation,
    *,
    attack: Inversion,
    settings: InversionSettings | None = None,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> Reconstruction:
    """Look for the images behind one message.

    Args:
        observation: what the attacker sees; neither its model nor its tensors are written to.
        attack: what to run.
        settings: seed, limits, memory.
        progress: told how far the search is.
        stop: asked after every iteration; True ends the search, and the best so far is returned.

    Returns:
        As many images as took part, in [0, 1], with the attacker's labels.

    Raises:
        InversionError: the observation is unsound, or the attack cannot serve its task.
    """
    settings = settings or InversionSettings()
    require_sound(observation)
    started = time.process_time()
    with global_state_kept():
        search = ImageSearch(observation, attack.precision, settings, progress, stop)
        attack(search, torch_generator(settings.seed, "inversion", name_of("inversion", attack)))
        return search.result(started)
