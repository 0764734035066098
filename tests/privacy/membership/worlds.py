"""Confidences whose laws are known: what attacks on membership are tested on."""

import numpy as np

from privacy.membership.contract import Signals


def gaussian_world(
    num_images: int, num_shadows: int, gap: float, spread: float, seed: int, deviation: float = 1.0
) -> tuple[Signals, np.ndarray]:
    """Image i has confidence N(difficulty_i + gap [member], deviation^2), difficulty_i of N(0, spread^2).

    Each image trained half of the shadows; who is a member of the target is drawn.
    """
    draws = np.random.default_rng(seed)
    difficulty = spread * draws.standard_normal(num_images)
    first = draws.random((num_shadows // 2, num_images)) < 0.5
    trained_on = np.stack([first, ~first], axis=1).reshape(num_shadows, num_images)
    members = draws.random(num_images) < 0.5
    inside = np.vstack([members, trained_on])
    values = difficulty + gap * inside + deviation * draws.standard_normal(inside.shape)
    return Signals(values[0], values[1:], trained_on), members
