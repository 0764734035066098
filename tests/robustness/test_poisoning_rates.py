"""How often the section on poisoned sites accuses the honest, and whom it finds. Oracles: draws of known make."""

import pytest

from robustness.byzantine import BYZANTINE
from robustness.poisoning import Poisoning
from tests.robustness.detection.test_detection import MALICIOUS, rounds_with

RUNS = 60


def named(behaviour: str | None, seed: int) -> set[str]:
    found, mute = Poisoning().named(rounds_with(BYZANTINE[behaviour]() if behaviour else None, seed=seed))
    assert mute == ()
    return {site for suspects in found.values() for site in suspects}


def test_of_honest_runs_about_one_in_twenty_has_an_alarm() -> None:
    """Of 60 runs 5 % are 3; four standard deviations of the binomial are 7."""
    assert sum(bool(named(None, seed)) for seed in range(RUNS)) <= 10


@pytest.mark.parametrize("behaviour", ["sign_flip", "scaled", "gaussian", "alie", "ipm", "min_max", "free_rider"])
def test_who_forges_is_named_and_nobody_else(behaviour: str) -> None:
    assert named(behaviour, 0) == set(MALICIOUS)
