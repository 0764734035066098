"""What every detector of malicious sites must keep; a new line in DETECTORS is picked up by itself.

Oracles: the Protocol, and laws: a plain value, no argument written to, a score for every site, the same twice. That the
order of sites plays no part, and who is named, is in ``tests/robustness/detection``.
"""

import dataclasses

import pydantic
import pytest
import torch

from robustness.detection import DETECTORS
from robustness.detection.contract import Detector, Round

every_detector = pytest.mark.parametrize("name", DETECTORS)
SITES = tuple("abcdefgh")


def loss(change: torch.Tensor) -> float:
    """Some loss."""
    return float(change.square().mean())


def rounds() -> list[Round]:
    """The last site sits the second round out."""
    draws = torch.Generator().manual_seed(0)
    updates = [1 + torch.randn(len(SITES), 30, generator=draws) for _ in range(2)]
    return [Round(1, SITES, updates[0], loss), Round(2, SITES[:-1], updates[1][:-1], loss)]


@every_detector
def test_is_a_plain_value_that_refuses_unknown_keys_and_wrong_types(name: str) -> None:
    detector = DETECTORS[name]()
    assert isinstance(detector, Detector)
    assert dataclasses.is_dataclass(detector)
    assert detector == DETECTORS[name]()
    for wrong in ({"no_such_field": 1}, {"false_alarms": "0.1"}, {"false_alarms": 0.0}, {"false_alarms": 0.5}):
        with pytest.raises(pydantic.ValidationError):
            DETECTORS[name](**wrong)


@every_detector
def test_scores_every_site_and_a_lower_rate_names_no_more(name: str) -> None:
    found = DETECTORS[name]()(rounds())
    assert set(found.scores) == set(SITES)
    assert set(found.suspects) <= set(DETECTORS[name](false_alarms=0.4)(rounds()).suspects)


@every_detector
def test_writes_to_nothing_and_says_the_same_twice(name: str) -> None:
    given = rounds()
    one, other = DETECTORS[name]()(given), DETECTORS[name]()(given)
    assert (one.scores, one.threshold) == (other.scores, other.threshold)
    assert all(torch.equal(used.updates, fresh.updates) for used, fresh in zip(given, rounds(), strict=True))
